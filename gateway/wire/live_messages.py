"""The live form of messages: a block of text, and the thinking before it, as they are being written."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from gateway.wire.chunks import Json
from gateway.wire.forms.messages import MESSAGES
from gateway.wire.forms.messages_reply import SHOWN
from gateway.wire.forms.messages_stream import (
    block_events,
    merge_message,
    message_event,
    more_of_block,
    split_message,
)
from gateway.wire.live_shown import Shown, is_text
from gateway.wire.live_units import Begun, Kinds, UnitReader, UnitWriter
from gateway.wire.sse import Event, encode_event

_STOP = "content_block_stop"
_KINDS = Kinds(
    start="content_block_start",
    ends=frozenset({"message_stop", "error"}),
    openings=frozenset({b"message_start", b"ping"}),
    reasoning=SHOWN,
    text="text",
)


class _Delta(msgspec.Struct):
    type: str = ""
    text: str | None = None


class _Told(msgspec.Struct):
    type: str = ""
    at: int | None = msgspec.field(default=None, name="index")
    begun: Begun | None = msgspec.field(default=None, name="content_block")
    answer: Json | None = msgspec.field(default=None, name="message")
    delta: _Delta | None = None


_SHAPE = msgspec.json.Decoder(_Told)


class LiveMessages:
    """Messages while they are being written."""

    def can_show(self, _members: Mapping[str, Any]) -> Literal[True]:
        """Always: what is more than text, such as citations, waits by itself."""
        return True

    def reader(self) -> "MessageReader":
        """A reader."""
        return MessageReader(_KINDS, _SHAPE)

    def writer(self) -> "MessageWriter":
        """A writer."""
        return MessageWriter(MESSAGES, _KINDS)


class MessageReader(UnitReader[_Told]):
    """Reads one sample's message."""

    def _text(self, kind: str, told: _Told) -> str | None:
        if kind == _STOP:
            return ""
        said = told.begun if kind == _KINDS.start else told.delta
        is_known = said is not None and said.type in {"text", "text_delta"}
        return (said.text or "") if said is not None and is_known else None


class MessageWriter(UnitWriter):
    """Writes one client's message. A block ends before the next one begins, since clients know but the last."""

    def _begin(self, opening: Json) -> bytes:
        self._blocks = 0  # that have begun
        self._is_open = False  # whether the last of them has not ended
        self._around = (b"", b"")  # what encloses the text in an event
        if opening.get("type") != "message_start":
            return _encode(split_message(opening)[0])
        return _encode(message_event("message_start", message=opening["message"]))

    def _pass_on(self, event: Event) -> bytes:
        self._is_open = event.type != _STOP.encode()
        self._blocks += event.type == _KINDS.start.encode()
        return _encode(event)

    def _begin_text(self) -> bytes:
        made = [*self._closing(), _start_text(self._blocks)]
        delta = message_event(
            "content_block_delta", index=self._blocks, delta={"type": "text_delta", "text": ""}
        )
        before, after = _encode(delta).rsplit(b'""', 1)
        self._around = (before, after)
        self._blocks += 1
        self._is_open = True
        return b"".join(map(_encode, made))

    def _delta(self, text: str) -> bytes:
        before, after = self._around
        return before + msgspec.json.encode(text) + after

    def _left(self, events: Sequence[Event], shown: str) -> tuple[bytes, ...]:
        thinking, blocks = self._apart(merge_message(events)["content"])
        left = Shown(shown)
        made = []
        if shown and (text := next(filter(is_text, blocks), None)):
            blocks.remove(text)
            made += more_of_block(self._blocks - 1, {**text, "text": left.less(text.get("text") or "")})
        else:
            made += self._closing()
        blocks = left.less_parts(blocks)
        left.end()
        for index, block in enumerate([*thinking, *blocks], self._blocks):
            made += block_events(index, block)
        ends = [event for event in events if event.type in {b"message_delta", b"message_stop"}]
        return self._encode([*made, *ends])

    def _encode(self, events: Sequence[Event]) -> tuple[bytes, ...]:
        return tuple(map(_encode, events))

    def _closing(self) -> list[Event]:
        return [message_event(_STOP, index=self._blocks - 1)] if self._is_open else []


def _start_text(index: int) -> Event:
    return message_event(_KINDS.start, index=index, content_block={"type": "text", "text": ""})


def _encode(event: Event) -> bytes:
    return encode_event(event.data, event.type)


MESSAGES_LIVE = LiveMessages()
