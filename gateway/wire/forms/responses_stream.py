"""A response's event stream, made from a whole response and read back to one.

Event types and their order: https://platform.openai.com/docs/api-reference/responses-streaming.
"""

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import msgspec

from gateway.wire.chunks import BrokenStream
from gateway.wire.forms.exact import decode, encode
from gateway.wire.forms.form import Json
from gateway.wire.sse import DONE, Event, EventDecoder

_ENDS = frozenset({b"response.completed", b"response.incomplete"})
_FAILURES = frozenset({b"error", b"response.failed"})
_TEXTS = frozenset({"output_text", "refusal", "reasoning_text"})
_NOT_YET = {"usage": None, "incomplete_details": None, "completed_at": None}


class _Type(msgspec.Struct):
    type: str = ""


class _Lasting(msgspec.Struct):
    response: msgspec.Raw


class _Done(msgspec.Struct):
    output_index: int
    item: Any


def read_events(body: bytes) -> Sequence[Event]:
    """The events of a whole stream, each with its type; BrokenStream if it tells of an error or does not end."""
    events = []
    for event in EventDecoder().feed(body):
        if event.data == DONE:
            break
        kind = event.type or _decode(event.data, _Type).type.encode()
        if kind in _FAILURES:
            raise BrokenStream("the stream ended in an error", _error(event.data))
        events.append(Event(event.data, kind))
        if kind in _ENDS:
            return events
    raise BrokenStream("the stream ended without response.completed")


def ending(events: Sequence[Event]) -> bytes:
    """The whole response, as the last event has it; its output from the events before, where it has none."""
    response = bytes(_decode(events[-1].data, _Lasting).response)
    whole = decode(response, BrokenStream)
    if not whole.get("output"):
        kind = b"response.output_item.done"
        items = [_decode(event.data, _Done) for event in events if event.type == kind]
        whole["output"] = [done.item for done in sorted(items, key=lambda done: done.output_index)]
        return encode(whole) if items else response
    return response


def split_response(response: Json) -> list[Event]:
    """The stream that a response would have been, in as few events as the protocol allows."""
    numbers = count()

    def event(kind: str, **members: Any) -> Event:
        body = {"type": f"response.{kind}", **members, "sequence_number": next(numbers)}
        return Event(encode(body), body["type"].encode())

    blank: Json = {**_NOT_YET, "status": "in_progress", "output": []}
    begun = {name: blank.get(name, value) for name, value in response.items()}
    made = [event("created", response=begun), event("in_progress", response=begun)]
    for index, item in enumerate(response.get("output") or ()):
        made += [event(kind, **members) for kind, members in item_events(index, item)]
    end = "incomplete" if response.get("status") == "incomplete" else "completed"
    return [*made, event(end, response=response)]


def item_events(index: int, item: Json) -> Iterator[tuple[str, Json]]:
    """The events of a whole item: their types, less `response.`, and their members."""
    at = {"output_index": index}
    yield "output_item.added", {**at, "item": _empty(item)}
    for kind, members in _within(item):
        yield kind, {"item_id": item.get("id") or "", **at, **members}
    yield "output_item.done", {**at, "item": item}


def _empty(item: Json) -> Json:
    """An item that has just begun: what comes in events of its own is not there yet."""
    blank: Json = {"message": {"content": []}, "reasoning": {"content": [], "summary": []},
                   "function_call": {"arguments": ""}, "custom_tool_call": {"input": ""}}  # fmt: skip
    begun = blank.get(item.get("type") or "")
    if begun is None:
        return item  # a kind that has no such events, or none that is known
    begun = {**begun, "status": "in_progress"}
    return {name: value if value is None else begun.get(name, value) for name, value in item.items()}


def _within(item: Json) -> Iterator[tuple[str, Json]]:
    """The events between an item's beginning and its end."""
    kind = item.get("type")
    if kind == "function_call":
        arguments = item.get("arguments") or ""
        yield "function_call_arguments.delta", {"delta": arguments}
        yield "function_call_arguments.done", {"name": item.get("name"), "arguments": arguments}
    elif kind == "custom_tool_call":
        yield "custom_tool_call_input.delta", {"delta": item.get("input") or ""}
        yield "custom_tool_call_input.done", {"input": item.get("input") or ""}
    elif kind in {"message", "reasoning"}:
        for index, part in enumerate(item.get("summary") or ()):
            yield from _summary(part, {"summary_index": index})
        for index, part in enumerate(item.get("content") or ()):
            yield from part_events(part, {"content_index": index})


def _summary(part: Json, at: Json) -> Iterator[tuple[str, Json]]:
    text = part.get("text") or ""
    yield "reasoning_summary_part.added", {**at, "part": {**part, "text": ""}}
    yield "reasoning_summary_text.delta", {**at, "delta": text}
    yield "reasoning_summary_text.done", {**at, "text": text}
    yield "reasoning_summary_part.done", {**at, "part": part}


def part_events(part: Json, at: Json) -> Iterator[tuple[str, Json]]:
    """The events of a whole part of an item's content; `at` says where it is."""
    blank = {_said_in(part): "", "annotations": [], "logprobs": []}
    begun = {name: blank.get(name, value) for name, value in part.items()}
    yield "content_part.added", {**at, "part": begun}
    if part.get("type") in _TEXTS:
        yield f"{part['type']}.delta", {**at, "delta": part.get(_said_in(part)) or "", **_logprobs(part)}
    yield from part_ending(part, at)


def part_ending(part: Json, at: Json) -> Iterator[tuple[str, Json]]:
    """The events after all text of a part."""
    kind, member = part.get("type"), _said_in(part)
    if kind in _TEXTS:
        for index, annotation in enumerate(part.get("annotations") or ()):
            yield "output_text.annotation.added", {**at, "annotation_index": index, "annotation": annotation}
        yield f"{kind}.done", {**at, member: part.get(member) or "", **_logprobs(part)}
    yield "content_part.done", {**at, "part": part}


def _said_in(part: Json) -> str:
    return "refusal" if part.get("type") == "refusal" else "text"


def _logprobs(part: Json) -> Json:
    return {"logprobs": part.get("logprobs") or []} if part.get("type") == "output_text" else {}


def _error(payload: bytes) -> Json:
    """The error that an event tells of: nested, flat, or in the failed response."""
    event = decode(payload, BrokenStream)
    response = event.get("response")
    error = response.get("error") if isinstance(response, dict) else event.get("error")
    if isinstance(error, dict):
        return error
    told = {name: event.get(name) for name in ("code", "param")}
    return {"message": str(error or event.get("message") or "the response failed"), **told}


def _decode(payload: bytes, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BrokenStream(f"an event is not one of a response: {error}") from error
