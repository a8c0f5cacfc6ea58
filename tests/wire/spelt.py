"""What a client makes of a stream of the later two forms, each event checked."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import RawMessageStreamEvent
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from gateway.wire.forms.form import Form
from gateway.wire.forms.messages import MESSAGES
from gateway.wire.sse import Event, EventDecoder

Json = dict[str, Any]
REASONING = ("reasoning", "thinking", "redacted_thinking")

_OPENAI: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)
_ANTHROPIC: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)


@dataclass(frozen=True)
class Got:
    """What a client has at the end of a stream."""

    name: str  # the answer's id
    units: list[Json]
    ending: Json  # what the last events say of the whole answer

    def of(self, *kinds: str) -> list[Json]:
        """Its units of these types."""
        return [unit for unit in self.units if unit["type"] in kinds]

    @property
    def thought(self) -> str:
        """The reasoning that it begins with."""
        first = takewhile(lambda unit: unit["type"] in REASONING, self.units)
        parts = [
            part
            for unit in first
            for part in (*(unit.get("summary") or ()), *(unit.get("content") or ()), unit)
        ]
        return "".join(part.get("text") or part.get("thinking") or "" for part in parts)


def got(form: Form, stream: bytes) -> Got:
    """The answer that a whole stream spells out, each event and the order of all of them checked."""
    events = [event for event in EventDecoder().feed(stream) if event.type != b"ping"]
    for event in events:
        parsed = json.loads(event.data)
        assert event.type.decode() == parsed["type"]
        (_ANTHROPIC if form is MESSAGES else _OPENAI).validate_json(event.data)
    return _got_message(events) if form is MESSAGES else _got_response(events)


def _got_message(events: Sequence[Event]) -> Got:
    """As Anthropic's SDK puts it together; blocks come one after the other, each from its start to its stop."""
    parsed = [json.loads(event.data) for event in events]
    inner = [event for event in parsed if event["type"].startswith("content_block")]
    assert ["message_start", *(event["type"] for event in inner), "message_delta", "message_stop"] == [
        event["type"] for event in parsed
    ]
    running = -1
    for before, event in zip([{"type": "content_block_stop"}, *inner], inner, strict=False):
        running += event["type"] == "content_block_start"
        assert running == event["index"]
        assert (before["type"] == "content_block_stop") == (event["type"] == "content_block_start")
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    for event in events:
        read = _ANTHROPIC.validate_json(event.data)
        snapshot = accumulate_event(event=read, current_snapshot=snapshot, json_bufs=buffers)
    made = snapshot.to_dict()
    ending = {name: made[name] for name in ("stop_reason", "stop_sequence", "usage")}
    return Got(made["id"], made["content"], ending)


def _got_response(events: Sequence[Event]) -> Got:
    """As its deltas spell it, which is what its `done` events and its last one say, under numbers in order."""
    parsed = [json.loads(event.data) for event in events]
    assert list(range(len(parsed))) == [event["sequence_number"] for event in parsed]
    assert ["response.created", "response.in_progress"] == [event["type"] for event in parsed[:2]]
    items: list[Json] = []
    for event in parsed[2:-1]:
        _take(event, items)
    last = parsed[-1]["response"]
    assert f"response.{last['status']}" == parsed[-1]["type"]
    assert items == last["output"]
    assert parsed[0]["response"]["id"] == last["id"]
    ending = {name: last[name] for name in ("status", "usage", "incomplete_details")}
    return Got(last["id"], items, ending)


def _take(event: Json, items: list[Json]) -> None:
    """Put one event into the items; what a `done` says must be there already."""
    kind = event["type"].removeprefix("response.")
    if kind == "output_item.added":
        assert len(items) == event["output_index"]
        items.append(event["item"])
        return
    item = items[event["output_index"]]
    if kind == "output_item.done":
        member = {"message": "content", "function_call": "arguments"}.get(item["type"])
        assert member is None or item[member] == event["item"][member]
        assert item["id"] == event["item"]["id"]
        items[event["output_index"]] = event["item"]
        return
    assert item["id"] == event["item_id"]
    if kind.startswith("function_call"):
        item["arguments"] = event["arguments"] if "arguments" in event else item["arguments"] + event["delta"]
        return
    member = "summary" if "summary_index" in event else "content"
    item[member] = item[member] or []
    index = event[f"{member}_index"]
    if kind.endswith("part.added"):
        assert len(item[member]) == index
        item[member].append(event["part"])
        return
    part = item[member][index]
    name = "refusal" if part["type"] == "refusal" else "text"
    if kind.endswith(".delta"):
        part[name] += event["delta"]
    else:
        assert part[name] == (event["part"][name] if "part" in event else event[name])
        item[member][index] = event.get("part", part)
