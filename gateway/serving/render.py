"""An answer in the form that the client asked for."""

from typing import Any

import msgspec

from gateway.core.pin import Pin
from gateway.wire.chunks import Stream, merge, read_stream, split
from gateway.wire.headers import as_comment
from gateway.wire.sse import DONE, encode_comment, encode_event


def as_plain(pin: Pin) -> bytes:
    """One JSON body: the winner's own bytes, or what its chunks spell out."""
    return msgspec.json.encode(merge(read_stream(pin.body))) if pin.streamed else pin.body


def as_stream(pin: Pin, *, include_usage: bool, told: dict[str, str] | None = None) -> bytes:
    """All events of the stream: the winner's own chunks, or what its body would have been as chunks.

    `told` is what the response's header could not say yet: it goes into a comment before `[DONE]` and, where
    the client asked for usage, into that chunk's `consistency` member.
    """
    stream = _stream(pin)
    parts = [encode_event(chunk) for chunk in stream.chunks]
    if include_usage and stream.usage:
        parts.append(encode_event(_with_consistency(stream.usage, told) if told else stream.usage))
    if told:
        parts.append(encode_comment(as_comment(told)))
    parts.append(encode_event(DONE))
    return b"".join(parts)


def _stream(pin: Pin) -> Stream:
    return read_stream(pin.body) if pin.streamed else split(msgspec.json.decode(pin.body))


def _with_consistency(usage: bytes, told: dict[str, str]) -> bytes:
    chunk: dict[str, Any] = msgspec.json.decode(usage)
    chunk["consistency"] = {
        name.removeprefix("x-consistency-").replace("-", "_"): value for name, value in told.items()
    }
    return msgspec.json.encode(chunk)
