"""The live form of responses: an item of text, and the reasoning before it, as they are being written."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from gateway.wire.chunks import BrokenStream, Json
from gateway.wire.forms.exact import decode, encode
from gateway.wire.forms.responses import INCLUDE_LOGPROBS, RESPONSES
from gateway.wire.forms.responses_stream import (
    ending,
    item_events,
    part_ending,
    part_events,
    split_response,
)
from gateway.wire.live_reasoning import closing, finished
from gateway.wire.live_shown import Shown, is_text
from gateway.wire.live_units import Begun, Kinds, UnitReader, UnitWriter
from gateway.wire.sse import Event, encode_event

_KINDS = Kinds(
    start="response.output_item.added",
    ends=frozenset({"response.completed", "response.incomplete", "response.failed", "error"}),
    openings=frozenset({b"response.created", b"response.in_progress", b"response.queued"}),
    reasoning=frozenset({"reasoning"}),
    text="message",
)
_IDENTITY = ("id", "object", "created_at", "model")
_DELTA = "response.output_text.delta"
_PART = "response.content_part.added"
# Events of an item of text that say nothing new.
_SILENT = frozenset({
    _KINDS.start, "response.output_item.done", "response.content_part.done", "response.output_text.done",
})  # fmt: skip


class _Told(msgspec.Struct):
    type: str = ""
    at: int | None = msgspec.field(default=None, name="output_index")
    begun: Begun | None = msgspec.field(default=None, name="item")
    answer: Json | None = msgspec.field(default=None, name="response")
    part: Begun | None = None
    delta: Any = None


_SHAPE = msgspec.json.Decoder(_Told)


class LiveResponses:
    """Responses while they are being written."""

    def can_show(self, members: Mapping[str, Any]) -> bool:
        """Not what has something to say of each token."""
        included = members.get("include") or []
        return not members.get("top_logprobs") and INCLUDE_LOGPROBS not in included

    def reader(self) -> "ResponseReader":
        """A reader."""
        return ResponseReader(_KINDS, _SHAPE)

    def writer(self) -> "ResponseWriter":
        """A writer."""
        return ResponseWriter(RESPONSES, _KINDS)


class ResponseReader(UnitReader[_Told]):
    """Reads one sample's response: the first part of its first message."""

    def __init__(self, kinds: Kinds, shape: msgspec.json.Decoder[_Told]) -> None:
        super().__init__(kinds, shape)
        self._has_part = False

    def _text(self, kind: str, told: _Told) -> str | None:
        if kind == _DELTA:
            return told.delta if isinstance(told.delta, str) else None
        if kind == _PART and told.part is not None:
            is_first, self._has_part = not self._has_part, True
            return told.part.text or "" if is_first and told.part.type == "output_text" else None
        return "" if kind in _SILENT else None


class ResponseWriter(UnitWriter):
    """Writes one client's response. The item of text has an id of its own: it may begin before the leader's does."""

    def _begin(self, opening: Json) -> bytes:
        self._number = 0  # of events so far
        self._around = (b"", b"", b"")  # what encloses the number and the text of a delta
        begun = opening if "response" in opening else decode(split_response(opening)[0].data, BrokenStream)
        self._response: Json = begun["response"]
        steps = ("created", "in_progress")
        return self._send([_event(step, {"response": self._response}) for step in steps])

    def _pass_on(self, event: Event) -> bytes:
        return self._send([decode(event.data, BrokenStream)])

    def _begin_text(self) -> bytes:
        thoughts = self._thoughts()
        self._closing = closing(thoughts)
        self._at = len(finished([*thoughts, *self._closing]))
        item = {
            "id": self._item_id,
            "type": "message",
            "status": "in_progress",
            "role": "assistant",
            "content": [],
        }
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        began = [next(item_events(self._at, item)), next(part_events(part, self._inside(0)))]
        delta = _event("output_text.delta", {**self._inside(0), "logprobs": []})
        frame = encode_event(encode({**delta, "sequence_number": "", "delta": ""}), _DELTA.encode())
        before, between, after = frame.rsplit(b'""', 2)
        self._around = (before, between, after)
        return self._send([*self._closing, *itertools.starmap(_event, began)])

    def _delta(self, text: str) -> bytes:
        before, between, after = self._around
        self._number += 1
        return b"%b%d%b%b%b" % (before, self._number - 1, between, msgspec.json.encode(text), after)

    def _left(self, events: Sequence[Event], shown: str) -> tuple[bytes, ...]:
        response = decode(ending(events), BrokenStream)
        thoughts = self._thoughts()
        closed = self._closing if shown else closing(thoughts)
        output = finished([*thoughts, *closed])
        made = [] if shown else closed
        left = Shown(shown)
        reasoning, items = self._apart(response.get("output") or ())
        if shown and (item := next(filter(_has_text, items), None)):
            items.remove(item)
            whole, more = self._continue(item, left, shown)
            output.append(whole)
            made += more
        further = [*reasoning, *_less(items, left)]
        left.end()
        for index, item in enumerate(further, len(output)):
            made += itertools.starmap(_event, item_events(index, item))
        head = {name: self._response[name] for name in _IDENTITY if name in self._response}
        whole = {**response, **head, "output": [*output, *further]}
        return self._numbered([*made, {"type": events[-1].type.decode(), "response": whole}])

    def _continue(self, item: Json, left: Shown, shown: str) -> tuple[Json, list[Json]]:
        """The item of text when it is whole, and the events that make it so."""
        parts = list(item["content"])
        part = next(filter(is_text, parts))
        parts.remove(part)
        new = left.less(part.get("text") or "")
        content = [{**part, "text": shown + new}, *left.less_parts(parts)]
        made = [("output_text.delta", {**self._inside(0), "delta": new, "logprobs": []})] if new else []
        made += part_ending(content[0], self._inside(0))
        for index, part in enumerate(content[1:], 1):
            made += part_events(part, self._inside(index))
        whole = {**item, "id": self._item_id, "content": content}
        made.append(("output_item.done", {"output_index": self._at, "item": whole}))
        return whole, list(itertools.starmap(_event, made))

    def _encode(self, events: Sequence[Event]) -> tuple[bytes, ...]:
        return self._numbered([decode(event.data, BrokenStream) for event in events])

    @property
    def _item_id(self) -> str:
        return f"msg_{str(self._response.get('id') or '').removeprefix('resp_')}"

    def _inside(self, index: int) -> Json:
        return {"item_id": self._item_id, "output_index": self._at, "content_index": index}

    def _thoughts(self) -> list[Json]:
        return [decode(event.data, BrokenStream) for event in self._reasoned]

    def _send(self, events: Sequence[Json]) -> bytes:
        made = self._numbered(events)
        self._number += len(made)
        return b"".join(made)

    def _numbered(self, events: Sequence[Json]) -> tuple[bytes, ...]:
        """The events that come next."""
        return tuple(
            encode_event(encode({**event, "sequence_number": number}), event["type"].encode())
            for number, event in enumerate(events, self._number)
        )


def _event(kind: str, members: Json) -> Json:
    return {"type": f"response.{kind}", **members}


def _has_text(item: Json) -> bool:
    return any(map(is_text, item.get("content") or ()))


def _less(items: Sequence[Json], left: Shown) -> Iterator[Json]:
    """The items without what was shown of their texts; those of which nothing is left are left out."""
    for item in items:
        parts = item.get("content") or ()
        new = left.less_parts(parts)
        if new or not parts:
            yield {**item, "content": new} if parts else item


RESPONSES_LIVE = LiveResponses()
