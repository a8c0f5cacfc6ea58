"""Each form's streams made from plain answers, and plain answers from streams."""

import json
from typing import Any

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from gateway.wire.forms.form import Events, Form
from gateway.wire.forms.messages import MESSAGES
from gateway.wire.forms.responses import RESPONSES
from gateway.wire.sse import DONE, Event, EventDecoder
from tests.wire.recordings import anonymous, form_of, recorded

Json = dict[str, Any]

_OPENAI: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)
_ANTHROPIC: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)

PAIRS = [
    ("chat", "chat_stream_usage"), ("chat_tool", "chat_tool_stream"), ("completions", "completions_stream"),
    ("responses", "responses_stream"), ("responses_tool", "responses_tool_stream"),
    ("messages", "messages_stream"), ("messages_tool", "messages_tool_stream"),
]  # fmt: skip

texts = st.text(max_size=8)
extras = st.dictionaries(
    st.sampled_from(["é", "new"]), st.one_of(st.none(), st.integers(), texts), max_size=1
)
values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(texts, inner, max_size=2)),
    max_leaves=4,
)

annotation = {"type": "url_citation", "start_index": 0, "end_index": 1, "title": "t", "url": "u"}
logprob = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}
output_texts = st.builds(
    lambda text, annotations, logprobs, more: {
        "type": "output_text", "text": text, "annotations": annotations, "logprobs": logprobs, **more
    },
    texts, st.lists(st.just(annotation), max_size=2), st.sampled_from([None, [], [logprob]]), extras,
)  # fmt: skip
refusals = texts.map(lambda text: {"type": "refusal", "refusal": text})
reasoning_parts = texts.map(lambda text: {"type": "reasoning_text", "text": text})
summaries = texts.map(lambda text: {"type": "summary_text", "text": text})
items = st.one_of(
    st.builds(
        lambda content: {"type": "message", "role": "assistant", "status": "completed", "content": content},
        st.lists(st.one_of(output_texts, refusals), max_size=2),
    ),
    st.builds(
        lambda content, summary: {"type": "reasoning", "content": content, "summary": summary},
        st.one_of(st.none(), st.lists(reasoning_parts, max_size=2)), st.lists(summaries, max_size=2),
    ),
    texts.map(lambda text: {"type": "function_call", "name": "add", "arguments": text}),
    texts.map(lambda text: {"type": "custom_tool_call", "name": "sh", "input": text}),
    st.just({"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "x"}}),
)  # fmt: skip
responses = st.builds(
    lambda output, status, more: {
        "object": "response", "created_at": 1795462044, "model": "m", "tool_choice": "auto", "tools": [],
        "parallel_tool_calls": True, "usage": None, "status": status, **more, "id": "resp_1",
        "output": [{**item, "id": f"i{index}", "call_id": f"c{index}"} for index, item in enumerate(output)],
    },
    st.lists(items, max_size=3), st.sampled_from(["completed", "incomplete"]), extras,
)  # fmt: skip

citation = {
    "type": "char_location", "cited_text": "a", "document_index": 0, "document_title": None,
    "start_char_index": 0, "end_char_index": 1, "file_id": None,
}  # fmt: skip
blocks = st.one_of(
    st.builds(
        lambda text, citations: {"type": "text", "text": text, "citations": citations},
        texts, st.sampled_from([None, [], [citation, citation]]),
    ),
    st.builds(
        lambda text, signature: {"type": "thinking", "thinking": text, "signature": signature}, texts, texts
    ),
    st.builds(
        lambda given: {"type": "tool_use", "id": "t", "name": "add", "input": given},
        st.dictionaries(texts, values, max_size=2),
    ),
    st.just({"type": "redacted_thinking", "data": "x"}),
)  # fmt: skip
messages = st.builds(
    lambda content, reason, sequence, tokens, more: {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", **more, "content": content,
        "stop_reason": reason, "stop_sequence": sequence,
        "usage": {"input_tokens": 5, "output_tokens": tokens, "cache_read_input_tokens": None},
    },
    st.lists(blocks, max_size=3), st.sampled_from(["end_turn", "max_tokens", "tool_use"]),
    st.one_of(st.none(), texts), st.integers(0, 9), extras,
)  # fmt: skip


def encoded(answer: Any) -> bytes:
    return json.dumps(answer, ensure_ascii=False).encode()


def whole(events: Events) -> bytes:
    return b"".join([*events.frames, events.end])


def decoded(events: Events) -> list[Event]:
    return EventDecoder().feed(whole(events))


@pytest.mark.parametrize(("form", "answers"), [(RESPONSES, responses), (MESSAGES, messages)])
@given(data=st.data())
def test_a_plain_answer_comes_back(form: Form, answers: st.SearchStrategy[Json], data: st.DataObject) -> None:
    """Made into a stream and read back, an answer is what it was, and says what it said."""
    plain = data.draw(answers)
    body = encoded(plain)
    stream = whole(form.events(body, streamed=False))
    assert plain == json.loads(form.plain(stream))
    assert form.reply(body, "application/json") == form.reply(stream, "text/event-stream")


@given(responses)
def test_openais_sdk_takes_every_event(plain: Json) -> None:
    """Each event is one of the SDK's types, numbered from 0, and its accumulator ends with the response."""
    state: ResponseStreamState[Any] = ResponseStreamState(input_tools=omit, text_format=omit)
    fired: list[Any] = []
    for number, event in enumerate(decoded(RESPONSES.events(encoded(plain), streamed=False))):
        read = _OPENAI.validate_json(event.data)
        assert (number, event.type.decode()) == (read.sequence_number, read.type)
        fired += state.handle_event(read)
    assert f"response.{plain['status']}" == fired[-1].type
    assert [item["id"] for item in plain["output"]] == [item.id for item in fired[-1].response.output]


@given(messages)
def test_anthropics_sdk_takes_every_event(plain: Json) -> None:
    """Each event is one of the SDK's types, and its accumulator ends with the message."""
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    for event in decoded(MESSAGES.events(encoded(plain), streamed=False)):
        read = _ANTHROPIC.validate_json(event.data)
        assert event.type.decode() == read.type
        snapshot = accumulate_event(event=read, current_snapshot=snapshot, json_bufs=buffers)
    made = snapshot.to_dict()
    told = ("type", "text", "thinking", "input", "data")
    for name in ("id", "stop_reason", "stop_sequence"):
        assert plain[name] == made[name]
    assert [[block.get(name) for name in told] for block in plain["content"]] == [
        [block.get(name) for name in told] for block in made["content"]
    ]


@pytest.mark.parametrize(("plain", "stream"), PAIRS)
def test_a_real_stream_is_the_real_plain_answer(plain: str, stream: str) -> None:
    """What vLLM streams, put together, is what it answers plainly: all members but ids, times and nulls."""
    expected = anonymous(recorded(plain))
    made = anonymous(form_of(plain).plain(recorded(stream)))
    assert expected == made


@pytest.mark.parametrize("name", [stream for _, stream in PAIRS])
def test_a_real_stream_stays_as_it_is(name: str) -> None:
    """Every event of a stream goes out with its type and its data; the last one stands apart, and the usage."""
    events = form_of(name).events(recorded(name), streamed=True)
    sent = EventDecoder().feed(recorded(name))
    usage = [Event(events.usage)] if events.usage else []
    assert sent == [*EventDecoder().feed(b"".join(events.frames)), *usage, *EventDecoder().feed(events.end)]
    assert 1 == len(EventDecoder().feed(events.end))


def test_an_ending_without_output_gets_it_from_its_items() -> None:
    """A last event whose response has no items: those that ended before are its output."""
    items = [{"type": "message", "id": f"m{index}", "content": []} for index in (0, 1)]
    lines = [
        {"type": "response.output_item.done", "output_index": 1, "item": items[1]},
        {"type": "response.output_item.done", "output_index": 0, "item": items[0]},
        {"type": "response.completed", "response": {"id": "r", "output": []}},
    ]
    body = b"".join(b"data: " + encoded(line) + b"\n\n" for line in lines) + b"data: " + DONE + b"\n\n"
    assert {"id": "r", "output": items} == json.loads(RESPONSES.plain(body))


def test_pings_and_unknown_events_are_passed_over() -> None:
    """A message's stream may hold any of them at any place, and they are sent on."""
    start = {"type": "message_start", "message": {"id": "m", "content": []}}
    lines = [{"type": "ping"}, start, {"type": "ping"}, {"type": "new"}, {"type": "message_stop"}]
    body = b"".join(b"data: " + encoded(line) + b"\n\n" for line in lines)
    assert {"id": "m", "content": []} == json.loads(MESSAGES.plain(body))
    kinds = [event.type for event in decoded(MESSAGES.events(body, streamed=True))]
    assert [b"ping", b"message_start", b"ping", b"new", b"message_stop"] == kinds


def test_a_tools_input_that_was_cut() -> None:
    """Its pieces are voted on as they are, and a plain answer has no input: it would be no object."""
    block = {"type": "tool_use", "id": "t", "name": "add", "input": {}}
    lines = [
        {"type": "message_start", "message": {"id": "m", "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "input_json_delta", "partial_json": '{"a'},
        },
        {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"output_tokens": 3}},
        {"type": "message_stop"},
    ]
    body = b"".join(b"data: " + encoded(line) + b"\n\n" for line in lines)
    assert (("add", '"{\\"a"'),) == MESSAGES.reply(body, "text/event-stream").calls
    assert [block] == json.loads(MESSAGES.plain(body))["content"]
