"""Streams and plain answers, each made from the other.

A plain answer from chunks: deltas merged by index, texts and log-probabilities joined, unknown members kept.
Chunks from a plain answer: one for the role, one for what was said, one for how it ended.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.wire.sse import DONE, EventDecoder

Json = dict[str, Any]

# Members of a delta that are names rather than pieces of text: said once, never joined.
_NAMES = frozenset({"role", "type", "id", "name"})
_OBJECTS = {"chat.completion.chunk": "chat.completion"}


class BrokenStream(ValueError):
    """A stream that ended early, or that told of an error. `error` is the upstream's own, if it gave one."""

    def __init__(self, message: str, error: Json | None = None) -> None:
        super().__init__(message)
        self.error = error


@dataclass(frozen=True, slots=True)
class Stream:
    """A whole stream: its chunks as JSON texts, and the usage chunk, which goes only to those who ask."""

    chunks: tuple[bytes, ...]
    usage: bytes = b""


def read_stream(body: bytes) -> Stream:
    """The chunks of a complete stream of completions; BrokenStream otherwise."""
    decoder = EventDecoder()
    payloads = [event.data for event in decoder.feed(body)]
    if DONE not in payloads:
        raise BrokenStream(*_why_broken(payloads))
    chunks = payloads[: payloads.index(DONE)]
    usage = b""
    if chunks and _is_usage(chunks[-1]):
        usage = chunks.pop()
    if error := _error_in(chunks[-1:]):
        raise BrokenStream("the stream ended in an error", error)
    return Stream(tuple(chunks), usage)


def merge(stream: Stream) -> Json:
    """The plain answer that a stream spells out."""
    merged: Json = {}
    choices: dict[int, Json] = {}
    for chunk in map(_parse, (*stream.chunks, stream.usage) if stream.usage else stream.chunks):
        for choice in chunk.pop("choices", None) or ():
            _merge_choice(
                choices.setdefault(choice.get("index", 0), {"index": choice.get("index", 0)}), choice
            )
        merged.update(
            {name: value for name, value in chunk.items() if value is not None or name not in merged}
        )
    merged["object"] = _OBJECTS.get(merged.get("object", ""), merged.get("object"))
    merged["choices"] = [choices[index] for index in sorted(choices)]
    return merged


def split(plain: Json) -> Stream:
    """The stream that a plain answer would have been, in as few chunks as the protocol allows."""
    head = {name: value for name, value in plain.items() if name not in {"choices", "usage"}}
    if head.get("object") == "chat.completion":
        head["object"] = "chat.completion.chunk"
    parts = [part for choice in plain["choices"] for part in _split_choice(choice)]
    usage = _encode({**head, "choices": [], "usage": plain["usage"]}) if plain.get("usage") else b""
    return Stream(tuple(_encode({**head, "choices": [part]}) for part in parts), usage)


def _merge_choice(into: Json, choice: Json) -> None:
    for name, value in choice.items():
        if name == "delta":
            _join(into.setdefault("message", {}), value or {})
        elif name == "text":
            into["text"] = into.get("text", "") + (value or "")
        elif name == "logprobs" and isinstance(value, dict):
            into["logprobs"] = _join_lists(into.get("logprobs") or {}, value)
        elif name == "token_ids" and isinstance(value, list):
            into[name] = (into.get(name) or []) + value
        elif value is not None or name not in into:
            into[name] = value


def _join(into: Json, delta: Json) -> None:
    for name, value in delta.items():
        if name == "tool_calls" and value:
            _join_calls(into.setdefault(name, []), value)
        elif isinstance(value, dict) and isinstance(into.get(name), dict):
            _join(into[name], value)
        elif isinstance(value, str) and isinstance(into.get(name), str) and name not in _NAMES:
            into[name] += value
        elif value is not None or name not in into:
            into[name] = value


def _join_calls(calls: list[Json], pieces: Iterable[Json]) -> None:
    for piece in pieces:
        index = piece.get("index", len(calls))
        while len(calls) <= index:
            calls.append({})
        _join(calls[index], {name: value for name, value in piece.items() if name != "index"})


def _join_lists(into: Json, piece: Json) -> Json:
    def joined(name: str) -> Any:
        old, new = into.get(name), piece.get(name)
        return old + new if isinstance(old, list) and isinstance(new, list) else (new if old is None else old)

    return {name: joined(name) for name in {**into, **piece}}


def _split_choice(choice: Json) -> Sequence[Json]:
    index, rest = choice.get("index", 0), {"logprobs": choice.get("logprobs"), "finish_reason": None}
    ending = {name: value for name, value in choice.items() if name not in {"message", "text", "logprobs"}}
    if "message" not in choice:
        return [{"index": index, "text": choice.get("text", ""), **rest, **ending}]
    message = dict(choice["message"])
    if message.get("tool_calls"):
        message["tool_calls"] = [{"index": at, **call} for at, call in enumerate(message["tool_calls"])]
    role = {"role": message.pop("role", "assistant"), "content": ""}
    said = {name: value for name, value in message.items() if value not in (None, [])}
    return [
        {"index": index, "delta": role, "logprobs": None, "finish_reason": None},
        {"index": index, "delta": said, **rest},
        {"index": index, "delta": {}, "logprobs": None, **ending},
    ]


def _why_broken(payloads: Sequence[bytes]) -> tuple[str, Json | None]:
    error = _error_in(payloads[-1:])
    return ("the stream ended in an error" if error else "the stream ended without [DONE]", error)


def _error_in(payloads: Sequence[bytes]) -> Json | None:
    """The error that the last payload tells of, if it does."""
    for payload in payloads:
        if b'"error"' in payload and isinstance(error := _parse(payload).get("error"), dict):
            return error
    return None


def _is_usage(payload: bytes) -> bool:
    return (
        b'"usage"' in payload and not (chunk := _parse(payload)).get("choices") and bool(chunk.get("usage"))
    )


def _parse(payload: bytes) -> Json:
    try:
        chunk = msgspec.json.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BrokenStream(f"a chunk is not JSON: {error}") from error
    if not isinstance(chunk, dict):
        raise BrokenStream("a chunk is not an object")
    return chunk


_encode = msgspec.json.encode
