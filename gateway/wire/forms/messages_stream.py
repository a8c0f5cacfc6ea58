"""A message's event stream, made from a whole message and read back to one.

Event types and their order: https://docs.anthropic.com/en/docs/build-with-claude/streaming.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from gateway.wire.chunks import BrokenStream
from gateway.wire.forms.exact import decode, encode
from gateway.wire.forms.form import Json
from gateway.wire.sse import Event, EventDecoder

# The member of a block that a delta of this type goes on with, which is the delta's own member too.
_DELTAS: Mapping[str, str] = MappingProxyType({
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
})  # fmt: skip

# A block that has just begun: what comes in deltas is not there yet.
_BLANK: Mapping[str, Json] = MappingProxyType({
    "text": {"text": "", "citations": []},
    "thinking": {"thinking": "", "signature": ""},
    "tool_use": {"input": {}},
    "server_tool_use": {"input": {}},
})  # fmt: skip

# Where a tool's input is kept while it comes in pieces; no member of any block is called so.
_PARTIAL = "\0partial_json"


def read_events(body: bytes) -> Sequence[Event]:
    """The events of a whole stream, each with its type; BrokenStream if it tells of an error or does not end."""
    events = []
    for event in EventDecoder().feed(body):
        kind = event.type or str(decode(event.data, BrokenStream).get("type")).encode()
        if kind == b"error":
            error = decode(event.data, BrokenStream).get("error")
            told = error if isinstance(error, dict) else {"message": str(error)}
            raise BrokenStream("the stream ended in an error", told)
        events.append(Event(event.data, kind))
        if kind == b"message_stop":
            return events
    raise BrokenStream("the stream ended without message_stop")


def merge_message(events: Sequence[Event]) -> Json:
    """The message that a whole stream spells out; BrokenStream if an event does not fit.

    The input of a tool that was cut in the middle is text; everywhere else it is an object.
    """
    message: Json = {}
    blocks: dict[int, Json] = {}
    try:
        for event in events:
            _take(event.type, decode(event.data, BrokenStream), message, blocks)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BrokenStream(f"an event is not one of a message: {error!r}") from error
    if not message:
        raise BrokenStream("the stream has no message_start")
    message["content"] = [_whole(blocks[index]) for index in sorted(blocks)]
    return message


def split_message(message: Json) -> list[Event]:
    """The stream that a message would have been, in as few events as the protocol allows."""
    usage = message.get("usage") or {}
    blank: Json = {
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**usage, "output_tokens": 0},
    }
    begun = {name: blank.get(name, value) for name, value in message.items()}
    made = [message_event("message_start", message=begun)]
    for index, block in enumerate(message.get("content") or ()):
        made += block_events(index, block)
    ended = {name: message.get(name) for name in ("stop_reason", "stop_sequence")}
    more = {name: message[name] for name in ("stop_details", "container") if name in message}
    made.append(message_event("message_delta", delta={**ended, **more}, usage=usage))
    return [*made, message_event("message_stop")]


def block_events(index: int, block: Json) -> list[Event]:
    """The events of a whole block."""
    start = message_event("content_block_start", index=index, content_block=_empty(block))
    return [start, *more_of_block(index, block)]


def more_of_block(index: int, block: Json) -> list[Event]:
    """The events after its start of a block that has this to say."""
    made = [message_event("content_block_delta", index=index, delta=delta) for delta in _deltas(block)]
    return [*made, message_event("content_block_stop", index=index)]


def _take(kind: bytes, event: Json, message: Json, blocks: dict[int, Json]) -> None:
    """Put one event into the message. Types that are not known are passed over, as the protocol wants."""
    if kind == b"message_start":
        message |= event["message"]
    elif kind == b"content_block_start":
        blocks[event["index"]] = {**event["content_block"]}
    elif kind == b"content_block_delta":
        _join(blocks[event["index"]], event["delta"])
    elif kind == b"message_delta":
        message |= {name: value for name, value in event.items() if name not in {"type", "usage", "delta"}}
        message |= event["delta"]
        told = {name: value for name, value in (event.get("usage") or {}).items() if value is not None}
        message["usage"] = {**(message.get("usage") or {}), **told}


def _join(block: Json, delta: Json) -> None:
    kind = str(delta.get("type"))
    if kind == "input_json_delta":
        block[_PARTIAL] = block.get(_PARTIAL, "") + delta["partial_json"]
    elif kind == "citations_delta":
        block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
    elif kind in _DELTAS:
        member = _DELTAS[kind]
        block[member] = (block.get(member) or "") + delta[member]


def _whole(block: Json) -> Json:
    """A block whose input is what its pieces spell: an object, or their text where they were cut."""
    partial = block.pop(_PARTIAL, "")
    if partial:
        try:
            block["input"] = msgspec.json.decode(partial)
        except (msgspec.MsgspecError, RecursionError):
            block["input"] = partial
    return block


def _empty(block: Json) -> Json:
    blank = _BLANK.get(block.get("type") or "", {})
    return {name: value if value is None else blank.get(name, value) for name, value in block.items()}


def _deltas(block: Json) -> Iterator[Json]:
    kind = block.get("type")
    if kind == "text":
        if block.get("text"):
            yield {"type": "text_delta", "text": block["text"]}
        for citation in block.get("citations") or ():
            yield {"type": "citations_delta", "citation": citation}
    elif kind == "thinking":
        yield {"type": "thinking_delta", "thinking": block.get("thinking") or ""}
        if block.get("signature"):
            yield {"type": "signature_delta", "signature": block["signature"]}
    elif kind in {"tool_use", "server_tool_use"}:
        given = block.get("input") or {}
        text = given if isinstance(given, str) else encode(given).decode()
        yield {"type": "input_json_delta", "partial_json": text}


def message_event(kind: str, **members: Any) -> Event:
    """One event of this type."""
    return Event(encode({"type": kind, **members}), kind.encode())
