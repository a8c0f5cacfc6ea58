"""Streams and plain answers, each made from the other.

The usage stands apart, wherever the upstream puts it: OpenAI and vLLM send a chunk of it, LMDeploy puts it into the
chunks of the choices, and so does vLLM besides where it is asked to (`continuous_usage_stats`).

A plain answer from chunks: deltas merged by index, texts and log-probabilities joined, unknown members kept.
Chunks from a plain answer: one for the role, one for what was said, one for how it ended.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.wire.pairs import encode, join, may_have_halves, parse
from gateway.wire.splice import cut
from gateway.wire.sse import DONE, EventDecoder

Json = dict[str, Any]
# What all chunks of an answer have in common.
IDENTITY = ("id", "object", "created", "model", "system_fingerprint")
_Calls = dict[int, Json]  # tool calls by index, while they come in pieces

# Members of a delta that are names rather than pieces of text: said once, never joined.
_NAMES = frozenset({"role", "type", "id", "name"})
# Lists of a choice that have a piece for each token: vLLM's and SGLang's, then LMDeploy's.
_BY_TOKEN = frozenset({"token_ids", "output_ids", "output_token_logprobs"})
_OBJECTS = {"chat.completion.chunk": "chat.completion"}
_USAGE = re.compile(rb'"usage"\s*:\s*\{')


class _Call(msgspec.Struct):
    index: int | None = None


class _Delta(msgspec.Struct):
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    index: int | None = None
    delta: _Delta | None = None
    text: str | None = None
    token_ids: list[Any] | None = None
    output_ids: list[Any] | None = None
    output_token_logprobs: list[Any] | None = None


class _Chunk(msgspec.Struct):
    """What a chunk must look like to be merged: only what is taken apart."""

    object: str | None = None
    choices: list[_Choice] | None = None


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
    with_usage: tuple[bytes, ...] = ()  # the chunks as they came, where usage had to be cut out of them


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
    error = _error_in(chunks[-1:])
    if error is not None:
        raise BrokenStream("the stream ended in an error", error)
    is_apart = body.count(b'"usage"') == bool(usage)
    return Stream(tuple(chunks), usage) if is_apart else _apart(chunks, usage)


def _apart(chunks: Sequence[bytes], usage: bytes) -> Stream:
    """The stream without what its chunks tell of usage. The last that they tell counts, if there is no usage chunk."""
    kept: list[bytes] = []
    told: Json = {}
    for payload in chunks:
        chunk = _parse(payload) if _USAGE.search(payload) else {}
        if not chunk.get("usage"):
            kept.append(payload)
            continue
        told = chunk
        if chunk.get("choices"):
            kept.append(_cut_usage(payload))
    if not told:
        return Stream(tuple(chunks), usage)
    head = {name: told[name] for name in IDENTITY if told.get(name) is not None}
    return Stream(
        tuple(kept), usage or encode({**head, "choices": [], "usage": told["usage"]}), tuple(chunks)
    )


def _cut_usage(payload: bytes) -> bytes:
    try:
        return cut(payload, "usage")
    except (ValueError, RecursionError) as error:  # the two parsers differ in what they bear
        raise BrokenStream(f"a chunk cannot be taken apart: {error}") from error


def merge(stream: Stream) -> Json:
    """The plain answer that a stream spells out; BrokenStream if a chunk is no chunk of a completion."""
    try:
        merged = _merge(stream)
        if any(map(may_have_halves, stream.chunks)):
            merged = join(merged)
    except RecursionError as error:
        raise BrokenStream("a chunk is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise BrokenStream(f"half a surrogate pair: {error}") from error
    return merged


def _merge(stream: Stream) -> Json:
    merged: Json = {}
    choices: dict[int, Json] = {}
    calls: dict[int, _Calls] = {}
    for chunk in map(_parse_chunk, (*stream.chunks, stream.usage) if stream.usage else stream.chunks):
        for choice in chunk.pop("choices", None) or ():
            index = choice.pop("index", None) or 0
            _merge_choice(choices.setdefault(index, {"index": index}), choice, calls.setdefault(index, {}))
        merged.update(
            {name: value for name, value in chunk.items() if value is not None or name not in merged}
        )
    for index, made in calls.items():
        if made:
            _object(choices[index], "message")["tool_calls"] = [made[at] for at in sorted(made)]
    merged["object"] = _OBJECTS.get(merged.get("object") or "", merged.get("object"))
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


def _merge_choice(into: Json, choice: Json, calls: _Calls) -> None:
    for name, value in choice.items():
        if name == "delta":
            delta = dict(value or {})
            _join_calls(calls, delta.pop("tool_calls", None) or ())
            _join(_object(into, "message"), delta)
        elif name == "text":
            into["text"] = into.get("text", "") + (value or "")
        elif name == "logprobs" and isinstance(value, dict):
            _join_lists(_object(into, name), value)
        elif name in _BY_TOKEN and into.get(name) and value:
            into[name].extend(value)
        elif value is not None or name not in into:
            into[name] = value


def _join(into: Json, delta: Json) -> None:
    for name, value in delta.items():
        old = into.get(name)
        if isinstance(value, dict) and isinstance(old, dict):
            _join(old, value)
        elif isinstance(value, str) and isinstance(old, str):
            into[name] = (value or old) if name in _NAMES else old + value
        elif isinstance(value, list) and isinstance(old, list):
            old.extend(value)
        elif value is not None or name not in into:
            into[name] = value


def _join_calls(calls: _Calls, pieces: Iterable[Json]) -> None:
    """A call in pieces has an index; one without is whole."""
    for piece in pieces:
        index = piece.get("index")
        call = calls.setdefault(max(calls, default=-1) + 1 if index is None else index, {})
        _join(call, {name: value for name, value in piece.items() if name != "index"})


def _object(into: Json, name: str) -> Json:
    """The object under this name, a new one if there is none."""
    if not isinstance(into.get(name), dict):
        into[name] = {}
    made: Json = into[name]
    return made


def _join_lists(into: Json, piece: Json) -> None:
    for name, new in piece.items():
        old = into.get(name)
        if isinstance(old, list) and isinstance(new, list):
            old.extend(new)
        elif old is None:
            into[name] = new


def _split_choice(choice: Json) -> Sequence[Json]:
    index, rest = choice.get("index", 0), {"logprobs": choice.get("logprobs"), "finish_reason": None}
    ending = {name: value for name, value in choice.items() if name not in {"message", "text", "logprobs"}}
    if choice.get("message") is None:
        return [{"index": index, "text": choice.get("text") or "", **rest, **ending}]
    message = dict(choice["message"])
    if message.get("tool_calls"):
        message["tool_calls"] = [{**call, "index": at} for at, call in enumerate(message["tool_calls"])]
    role = {"role": message.pop("role", "assistant"), "content": ""}
    said = {name: value for name, value in message.items() if value not in (None, [])}
    return [
        {"index": index, "delta": role, "logprobs": None, "finish_reason": None},
        {"index": index, "delta": said, **rest},
        {"index": index, "delta": {}, "logprobs": None, **ending},
    ]


def _why_broken(payloads: Sequence[bytes]) -> tuple[str, Json | None]:
    error = _error_in(payloads[-1:])
    return ("the stream ended without [DONE]" if error is None else "the stream ended in an error", error)


def _error_in(payloads: Sequence[bytes]) -> Json | None:
    """The error that the last payload tells of, if it does."""
    for payload in payloads:
        error = _parse(payload).get("error") if b'"error"' in payload else None
        if error is not None:
            return error if isinstance(error, dict) else {"message": str(error)}
    return None


def _is_usage(payload: bytes) -> bool:
    return (
        b'"usage"' in payload and not (chunk := _parse(payload)).get("choices") and bool(chunk.get("usage"))
    )


def _parse(payload: bytes) -> Json:
    try:
        chunk = parse(payload)
    except (ValueError, RecursionError) as error:
        raise BrokenStream(f"a chunk is not JSON: {error}") from error
    if not isinstance(chunk, dict):
        raise BrokenStream("a chunk is not an object")
    return chunk


def _parse_chunk(payload: bytes) -> Json:
    chunk = _parse(payload)
    try:
        msgspec.convert(chunk, _Chunk)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BrokenStream(f"a chunk is not one of a completion: {error}") from error
    return chunk


_encode = msgspec.json.encode
