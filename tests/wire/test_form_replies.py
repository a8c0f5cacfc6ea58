"""What each form reads of an answer."""

import json
from typing import Any

import pytest

from gateway.core.ballot import Reply
from gateway.wire.forms.completions import CHAT
from gateway.wire.forms.form import Form
from gateway.wire.forms.messages import MESSAGES
from gateway.wire.forms.responses import RESPONSES
from gateway.wire.forms.table import FORMS
from gateway.wire.replies import UnreadableAnswer
from gateway.wire.sse import encode_event
from tests.wire.recordings import form_of, kind_of, recorded

Json = dict[str, Any]

CUT = Reply("3 + 2 = 5\n##", finish="length", tokens=12, prompt=16)
ENDED = Reply("3 + 2 = 5\n#### 5", finish="stop", tokens=17, prompt=16)
CALLED = Reply("", calls=(("add", '{"sum":"5"}'),), finish="tool_calls", tokens=12, prompt=16)

# vLLM calls a forced tool's end "stop" in OpenAI's first form.
RECORDED = {
    "chat": CUT, "chat_stream_usage": CUT, "chat_stream": CUT._replace(tokens=0, prompt=0), "chat_end": ENDED,
    "chat_tool": CALLED._replace(finish="stop"), "chat_tool_stream": CALLED._replace(finish="stop"),
    "completions": CUT, "completions_stream": CUT,
    "responses": CUT, "responses_stream": CUT, "responses_end": ENDED, "responses_tool": CALLED,
    "responses_tool_stream": CALLED,
    "messages": CUT, "messages_stream": CUT, "messages_end": ENDED, "messages_tool": CALLED,
    "messages_tool_stream": CALLED, "messages_stop": Reply("3 + 2 ", finish="stop", tokens=7, prompt=16),
}  # fmt: skip


def response(*output: Json, **members: Any) -> Json:
    return {"id": "resp_1", "object": "response", "status": "completed", "output": list(output), **members}


def message(*content: Json, **members: Any) -> Json:
    return {"id": "msg_1", "type": "message", "content": list(content), "stop_reason": "end_turn", **members}


def said(*parts: Json) -> Json:
    return {"type": "message", "id": "msg_1", "role": "assistant", "content": list(parts)}


def text(content: str) -> Json:
    return {"type": "output_text", "text": content, "annotations": []}


def call(**members: Any) -> Json:
    return {
        "type": "function_call",
        "id": "fc",
        "call_id": "c",
        "name": "add",
        "arguments": '{ "a": 1}',
        **members,
    }


MADE: list[tuple[Form, Json, Reply]] = [
    (RESPONSES, response(), Reply("")),
    (RESPONSES, response(said(text("4"), text("2")), said(text("!"))), Reply("42!")),
    (RESPONSES, response(said({"type": "refusal", "refusal": "no"})), Reply("", refusal="no")),
    (RESPONSES, response({"type": "reasoning", "summary": [text("a")], "content": [text("b")]}, said(text("42"))),
     Reply("42")),
    (RESPONSES, response(call(), said(text("42"))), Reply("42", calls=(("add", '{ "a": 1}'),), finish="tool_calls")),
    *((RESPONSES, response(call(arguments=given)), Reply("", calls=(("add", text),), finish="tool_calls"))
      for given, text in (({"b": 2, "a": [1.0]}, '{"b":2,"a":[1.0]}'), ({}, "{}"), (None, ""))),
    (RESPONSES, response(call(namespace="math")), Reply("", calls=(("math.add", '{ "a": 1}'),), finish="tool_calls")),
    (RESPONSES, response({"type": "custom_tool_call", "name": "sh", "input": "ls"}),
     Reply("", calls=(("sh", "ls"),), finish="tool_calls")),
    (RESPONSES, response({"type": "new", "id": "x", "call_id": "y", "status": "completed", "é": 1}),
     Reply("", calls=(("new", '{"type":"new","é":1}'),), finish="tool_calls")),
    (RESPONSES, response(said(text("4")), status="incomplete", incomplete_details={"reason": "content_filter"}),
     Reply("4", finish="content_filter")),
    (RESPONSES, response(said(text("4")), status="incomplete", incomplete_details=None), Reply("4", finish="length")),
    (RESPONSES, response(said(text("4")), status="cancelled"), Reply("4", finish="abort")),
    (RESPONSES, response(said(text("4")), usage={"output_tokens": 9, "input_tokens": 7}, error=None),
     Reply("4", tokens=9, prompt=7)),
    (RESPONSES, {"output": [{"content": [text("4")]}]}, Reply("4")),
    (MESSAGES, message(), Reply("")),
    (MESSAGES, message({"type": "text", "text": "4"}, {"type": "text", "text": "2"}), Reply("42")),
    (MESSAGES, message({"type": "thinking", "thinking": "hm"}, {"type": "redacted_thinking", "data": "x"}), Reply("")),
    (MESSAGES, message({"type": "tool_use", "name": "add", "input": {"b": 2, "a": [1.0]}}, stop_reason="tool_use"),
     Reply("", calls=(("add", '{"b":2,"a":[1.0]}'),), finish="tool_calls")),
    (MESSAGES, message({"type": "new", "id": "x", "tool_use_id": "y", "é": 2**70}),
     Reply("", calls=(("new", '{"type":"new","é":1180591620717411303424}'),))),
    *((MESSAGES, message({"type": "text", "text": "4"}, stop_reason=reason), Reply("4", finish=finish))
      for reason, finish in (("stop_sequence", "stop"), ("max_tokens", "length"),
                             ("model_context_window_exceeded", "length"),
                             ("refusal", "content_filter"), ("pause_turn", "abort"), (None, "abort"), ("new", "new"))),
    (MESSAGES, message({"type": "text", "text": "4"}, usage={"output_tokens": 9}), Reply("4", tokens=9)),
    (MESSAGES, message({"type": "text", "text": "4"}, usage={"input_tokens": 1, "cache_read_input_tokens": 2,
                                                             "cache_creation_input_tokens": 4}), Reply("4", prompt=7)),
]  # fmt: skip

OTHER_SHAPES: list[Any] = [
    [], 1, {}, {"choices": []}, {"output": {}, "content": 1}, {"output": [1], "content": ["a"]},
]  # fmt: skip
UNREADABLE: list[tuple[Form, Any, int | None]] = [
    *((form, value, None) for form in (RESPONSES, MESSAGES) for value in OTHER_SHAPES),
    (RESPONSES, {"output": [{"content": "42"}]}, None),
    (RESPONSES, response(status="queued"), None),
    (RESPONSES, response(status="in_progress"), None),
    (RESPONSES, response(status="failed", error={"code": "server_error", "message": "x"}), 500),
    (RESPONSES, response(status="failed", error={"code": "rate_limit_exceeded", "message": "x"}), 429),
    (RESPONSES, response(status="failed", error=None), 500),
    *((form, {"error": error}, status) for form in FORMS for error, status in (
        ({"message": "x", "code": 404}, 404), ({"message": "x", "code": 200}, 500), ({"message": "x"}, 500),
        ({"type": "overloaded_error"}, 529), ("x", 500))),
    *((form, {"error": None}, None) for form in FORMS),
    (CHAT, {"choices": [], "error": {"message": "x", "code": 429}}, 429),
    (MESSAGES, {"type": "error", "error": {"type": "overloaded_error", "message": "x"}}, 529),
]  # fmt: skip

FAILED_STREAMS: list[tuple[Form, Json, int, Json]] = [
    (RESPONSES, {"type": "error", "code": "server_error", "message": "x", "param": None, "sequence_number": 1}, 500,
     {"error": {"message": "x", "code": "server_error", "param": None}}),
    (RESPONSES, {"type": "error", "error": {"code": "rate_limit_exceeded", "message": "x"}}, 429,
     {"error": {"code": "rate_limit_exceeded", "message": "x"}}),
    (RESPONSES, {"type": "response.failed", "response": {"error": {"code": "server_error", "message": "x"}}}, 500,
     {"error": {"code": "server_error", "message": "x"}}),
    (MESSAGES, {"type": "error", "error": {"type": "overloaded_error", "message": "x"}}, 529,
     {"type": "error", "error": {"type": "overloaded_error", "message": "x"}}),
    (MESSAGES, {"type": "error", "error": {"type": "internal_error", "message": "x"}}, 500,
     {"type": "error", "error": {"type": "internal_error", "message": "x"}}),
]  # fmt: skip


@pytest.mark.parametrize("name", RECORDED)
def test_a_real_answer(name: str) -> None:
    """What vLLM answers says the same in every form, plain and streamed."""
    assert RECORDED[name] == form_of(name).reply(recorded(name), kind_of(name))


@pytest.mark.parametrize(("form", "answer", "expected"), MADE)
def test_an_answer(form: Form, answer: Json, expected: Reply) -> None:
    """Text, refusals and calls are voted on, reasoning is not; how it ended is in one set of words."""
    assert expected == form.reply(json.dumps(answer).encode(), "application/json")


@pytest.mark.parametrize(("form", "answer", "status"), UNREADABLE)
def test_what_is_no_answer(form: Form, answer: Any, status: int | None) -> None:
    """Another shape, an answer that is not there yet, or one that failed."""
    with pytest.raises(UnreadableAnswer) as raised:
        form.reply(json.dumps(answer).encode(), "application/json")
    assert status == raised.value.status


@pytest.mark.parametrize(("form", "event", "status", "body"), FAILED_STREAMS)
@pytest.mark.parametrize("typed", [1, 0])
def test_an_error_inside_a_stream(form: Form, event: Json, status: int, body: Json, typed: int) -> None:
    """The upstream's own words, with the status that they would have had."""
    kind = event["type"].encode() * typed
    with pytest.raises(UnreadableAnswer) as raised:
        form.reply(encode_event(json.dumps(event).encode(), kind), "text/event-stream")
    assert (status, body) == (raised.value.status, json.loads(raised.value.body))


@pytest.mark.parametrize("name", [name for name in RECORDED if name.endswith("_stream")])
def test_a_stream_that_breaks_off_says_nothing(name: str) -> None:
    """Without its last event no stream is an answer."""
    events = recorded(name).split(b"\n\n")
    with pytest.raises(UnreadableAnswer):
        form_of(name).reply(b"\n\n".join(events[:-2]) + b"\n\n", kind_of(name))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{", b'{"output":[],"content":[],"x":"\xff"}', b"[" * 100_000]
)
def test_what_is_not_json(form: Form, body: bytes) -> None:
    """Half a body, HTML, no UTF-8 and too deep nesting are no answers, plain or streamed."""
    for kind, sent in (("application/json", body), ("text/event-stream", encode_event(body))):
        with pytest.raises(UnreadableAnswer):
            form.reply(sent, kind)
