"""An answer in the form that the client asked for."""

from typing import Any

import msgspec

from gateway.core.pin import Pin
from gateway.wire.forms.form import Form
from gateway.wire.headers import as_comment
from gateway.wire.sse import encode_comment, encode_event


def as_plain(form: Form, pin: Pin) -> bytes:
    """One JSON body: the winner's own bytes, or what its events spell out."""
    return form.plain(pin.body) if pin.streamed else pin.body


def as_stream(form: Form, pin: Pin, *, include_usage: bool, told: dict[str, str] | None = None) -> bytes:
    """All events of the stream: the winner's own, or what its body would have been as events.

    `told` is what the response's header could not say yet: it goes into a comment before the last event and,
    where the client asked for usage, into that chunk's `consistency` member.
    """
    events = form.events(pin.body, streamed=pin.streamed)
    parts = [*events.frames]
    if include_usage and events.usage:
        parts.append(encode_event(_with_consistency(events.usage, told) if told else events.usage))
    if told:
        parts.append(encode_comment(as_comment(told)))
    parts.append(events.end)
    return b"".join(parts)


def _with_consistency(usage: bytes, told: dict[str, str]) -> bytes:
    chunk: dict[str, Any] = msgspec.json.decode(usage)
    chunk["consistency"] = {
        name.removeprefix("x-consistency-").replace("-", "_"): value for name, value in told.items()
    }
    return msgspec.json.encode(chunk)
