"""Events of responses and messages read while they come: what is said, what waits, what ends a stream."""

import json
from typing import Any

import pytest

from gateway.wire.forms.responses import INCLUDE_LOGPROBS
from gateway.wire.live import LiveForm, Said
from gateway.wire.live_messages import MESSAGES_LIVE
from gateway.wire.live_reasoning import closing, finished
from gateway.wire.live_responses import RESPONSES_LIVE
from gateway.wire.sse import EventDecoder, encode_event

Json = dict[str, Any]
NOTHING, HELD = Said(), Said(is_held=True)
ITEM, BLOCK = "response.output_item.added", "content_block_start"
CREATED = {"type": "response.created", "response": {"id": "r"}}
STARTED = {"type": "message_start", "message": {"id": "m"}}
PART = {
    "type": "response.content_part.added",
    "output_index": 0,
    "content_index": 0,
    "part": {"type": "output_text"},
}
TEXT = {"type": "response.output_text.delta", "output_index": 0, "delta": "a"}


def item(kind: str, index: int = 0) -> Json:
    return {"type": ITEM, "output_index": index, "item": {"type": kind, "id": "i"}}


def block(kind: str, index: int = 0, **members: Any) -> Json:
    return {"type": BLOCK, "index": index, "content_block": {"type": kind, **members}}


def delta(kind: str, index: int = 0, **members: Any) -> Json:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **members}}


RESPONSE = [CREATED, item("message"), PART]
MESSAGE = [STARTED, block("text")]
A = delta("text_delta", text="a")

# Events that begin a stream, one more, and what that says.
CASES: list[tuple[LiveForm, list[Json], Json, Said]] = [
    (RESPONSES_LIVE, RESPONSE, TEXT, Said((), "a")),
    (RESPONSES_LIVE, RESPONSE, {**TEXT, "logprobs": [{}], "obfuscation": "x"}, Said((), "a")),
    (RESPONSES_LIVE, [CREATED, item("message")], {**PART, "part": {"type": "output_text", "text": "a"}}, Said((), "a")),
    (RESPONSES_LIVE, RESPONSE, {"type": "response.output_text.done", "output_index": 0, "text": "a"}, NOTHING),
    (RESPONSES_LIVE, RESPONSE, {**CREATED, "type": "response.in_progress"}, NOTHING),
    (RESPONSES_LIVE, RESPONSE, {"type": "keepalive", "sequence_number": 4}, NOTHING),
    (RESPONSES_LIVE, RESPONSE, {**item("message"), "type": "response.output_item.done"}, NOTHING),
    (RESPONSES_LIVE, RESPONSE, PART, HELD),
    (RESPONSES_LIVE, RESPONSE, {**TEXT, "delta": {"a": 1}}, HELD),
    (RESPONSES_LIVE, RESPONSE, {"type": "response.output_text.annotation.added", "output_index": 0}, HELD),
    (RESPONSES_LIVE, RESPONSE, {"type": "response.refusal.delta", "output_index": 0, "delta": "a"}, HELD),
    (RESPONSES_LIVE, RESPONSE, item("message", 1), HELD),
    (RESPONSES_LIVE, RESPONSE, item("reasoning", 1), HELD),
    (RESPONSES_LIVE, RESPONSE, {**TEXT, "output_index": 1}, HELD),
    (RESPONSES_LIVE, [CREATED], item("function_call"), HELD),
    (RESPONSES_LIVE, [CREATED], item("new"), HELD),
    (RESPONSES_LIVE, [CREATED, item("message")], {**PART, "part": {"type": "refusal"}}, HELD),
    (MESSAGES_LIVE, MESSAGE, A, Said((), "a")),
    (MESSAGES_LIVE, [STARTED], block("text", text="a"), Said((), "a")),
    (MESSAGES_LIVE, MESSAGE, {"type": "ping"}, NOTHING),
    (MESSAGES_LIVE, MESSAGE, {"type": "content_block_stop", "index": 0}, NOTHING),
    (MESSAGES_LIVE, MESSAGE, {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, NOTHING),
    (MESSAGES_LIVE, MESSAGE, {"type": "new"}, NOTHING),
    (MESSAGES_LIVE, MESSAGE, delta("citations_delta", citation={}), HELD),
    (MESSAGES_LIVE, MESSAGE, delta("new"), HELD),
    (MESSAGES_LIVE, MESSAGE, block("text", 1), HELD),
    (MESSAGES_LIVE, MESSAGE, block("thinking", 1), HELD),
    (MESSAGES_LIVE, MESSAGE, delta("text_delta", 1, text="a"), HELD),
    (MESSAGES_LIVE, [STARTED], block("tool_use"), HELD),
    (MESSAGES_LIVE, [STARTED], block("new"), HELD),
]  # fmt: skip

ENDING: list[tuple[LiveForm, bytes]] = [
    *((RESPONSES_LIVE, f'{{"type":"{kind}"}}'.encode()) for kind in
      ("response.completed", "response.incomplete", "response.failed", "error")),
    *((MESSAGES_LIVE, f'{{"type":"{kind}"}}'.encode()) for kind in ("message_stop", "error")),
    *((form, data) for form in (RESPONSES_LIVE, MESSAGES_LIVE) for data in
      (b"[DONE]", b"<html>", b"[]", b"1", b'{"type":1}', b"[" * 5000, b'{"type":"\xff"}',
       b'{"output_index":"a","index":"a"}')),
    (RESPONSES_LIVE, b'{"type":"response.output_text.delta","output_index":0,"delta":"\\ude00"}'),
]  # fmt: skip


def encoded(*events: Json, typed: bool = True) -> bytes:
    return b"".join(
        encode_event(json.dumps(event).encode(), event["type"].encode() if typed else b"") for event in events
    )


def opening(form: LiveForm) -> tuple[list[Json], Json]:
    """What begins a text of this form, and an `a` of it."""
    return (RESPONSE, TEXT) if form is RESPONSES_LIVE else (MESSAGE, A)


@pytest.mark.parametrize("typed", [True, False])
@pytest.mark.parametrize(("form", "before", "event", "said"), CASES)
def test_what_an_event_says(
    form: LiveForm, before: list[Json], event: Json, said: Said, *, typed: bool
) -> None:
    """Text is said; what begins anything else waits, and all after it; the type may be in the data alone."""
    reader = form.reader()
    assert NOTHING == reader.feed(encoded(*before, typed=typed))
    assert before[0] == json.loads(reader.opening)
    assert said == reader.feed(encoded(event, typed=typed))
    if said.is_held:
        assert NOTHING == reader.feed(encoded(*before[1:], TEXT, A, typed=typed))


@pytest.mark.parametrize(("form", "data"), ENDING)
def test_what_ends_a_stream(form: LiveForm, data: bytes) -> None:
    """After the last event, an error or what is none, nothing is said; what came before it is."""
    before, text = opening(form)
    reader = form.reader()
    assert [Said((), "a"), NOTHING] == [
        reader.feed(encoded(*before, text) + encode_event(data) + encoded(text)), reader.feed(encoded(text)),
    ]  # fmt: skip


@pytest.mark.parametrize("form", [RESPONSES_LIVE, MESSAGES_LIVE])
def test_a_text_of_no_answer(form: LiveForm) -> None:
    """What does not say whose text it is says nothing."""
    before, text = opening(form)
    reader = form.reader()
    assert (NOTHING, b"") == (reader.feed(encoded(*before[1:], text)), reader.opening)


@pytest.mark.parametrize("form", [RESPONSES_LIVE, MESSAGES_LIVE])
def test_reasoning_is_said_in_its_own_events(form: LiveForm) -> None:
    """Reasoning that an answer begins with comes event by event, with its types, before the text."""
    thought = {"type": "response.reasoning_text.delta", "output_index": 0, "delta": "Hm"}
    events = [item("reasoning"), thought, {**item("reasoning"), "type": "response.output_item.done"}]
    after = [item("message", 1), {**PART, "output_index": 1}, {**TEXT, "output_index": 1}]
    if form is MESSAGES_LIVE:
        events = [
            block("redacted_thinking", data="x"),
            block("thinking", 1),
            delta("signature_delta", 1, signature="s"),
        ]
        after = [block("text", 2), delta("text_delta", 2, text="a")]
    reader = form.reader()
    said = reader.feed(encoded(opening(form)[0][0], *events, *after, typed=False))
    assert "a" == said.text
    told = EventDecoder().feed("".join(text for _, text in said.reasoning).encode())
    assert events == [json.loads(event.data) for event in told]
    assert [event["type"] for event in events] == [event.type.decode() for event in told]


@pytest.mark.parametrize(
    ("members", "can_show"),
    [
        ({}, True), ({"include": None}, True), ({"include": ["reasoning.encrypted_content"]}, True),
        ({"include": [INCLUDE_LOGPROBS]}, False), ({"top_logprobs": 2}, False), ({"top_logprobs": None}, True),
    ],
)  # fmt: skip
def test_what_can_be_shown(members: Json, can_show: bool) -> None:  # noqa: FBT001  a table's column
    """Responses with log-probabilities are not shown live; messages have none."""
    assert (can_show, True) == (RESPONSES_LIVE.can_show(members), MESSAGES_LIVE.can_show(members))


REASONED: list[Json] = [
    {"type": ITEM, "output_index": 0, "item": {"type": "reasoning", "id": "r", "summary": [], "content": None}},
    {"type": "response.reasoning_part.added", "item_id": "r", "output_index": 0, "content_index": 0,
     "part": {"type": "reasoning_text", "text": ""}},
    {"type": "response.reasoning_text.delta", "item_id": "r", "output_index": 0, "content_index": 0, "delta": "H"},
    {"type": "response.reasoning_text.delta", "item_id": "r", "output_index": 0, "content_index": 0, "delta": "m"},
    {"type": "response.reasoning_text.done", "item_id": "r", "output_index": 0, "content_index": 0, "text": "Hm"},
    {"type": "response.reasoning_part.done", "item_id": "r", "output_index": 0, "content_index": 0,
     "part": {"type": "reasoning_text", "text": "Hm"}},
    {"type": "response.output_item.done", "output_index": 0,
     "item": {"type": "reasoning", "id": "r", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm"}]}},
]  # fmt: skip


@pytest.mark.parametrize("length", range(len(REASONED) + 1))
def test_reasoning_that_ends_early(length: int) -> None:
    """Wherever it is cut, it ends as it would have, with the text so far."""
    text = "Hm"[: max(0, min(length, 4) - 2)]
    ends: dict[int, Json] = {4: {"text": text}, 5: {"part": {"type": "reasoning_text", "text": text}}}
    begun = {0: [], 1: [], 2: [5]}.get(length, [number for number in (4, 5) if number >= length])
    expected = [REASONED[number] | ends[number] for number in begun]
    content = [{"type": "reasoning_text", "text": text}] if text else None
    whole = {**REASONED[0]["item"], "content": content, "status": "incomplete"}
    if 0 < length < len(REASONED):
        expected.append({**REASONED[6], "item": whole})
    made = closing(REASONED[:length])
    assert expected == made
    items = [] if not length else [REASONED[6]["item"] if length == len(REASONED) else whole]
    assert items == finished([*REASONED[:length], *made])


def test_reasoning_without_parts() -> None:
    """An engine that tells of no part has the text ended, then the item."""
    made = closing([REASONED[0], REASONED[2]])
    assert ["response.reasoning_text.done", "response.output_item.done"] == [event["type"] for event in made]
    assert ("H", [{"type": "reasoning_text", "text": "H"}]) == (made[0]["text"], made[1]["item"]["content"])
