"""What each form reads of a request, and what it adds to one."""

import json
from typing import Any

import pytest

from gateway.errors import BadRequest
from gateway.wire.body import parse_body
from gateway.wire.forms.completions import CHAT, COMPLETIONS
from gateway.wire.forms.form import Asking, Form
from gateway.wire.forms.messages import MESSAGES
from gateway.wire.forms.responses import RESPONSES
from gateway.wire.forms.table import FORMS

Json = dict[str, Any]

NOTHING = Asking(
    model="", seed=None, greedy=False, streamed=False, include_usage=False, usage_in_chunks=False,
    max_tokens=None, has_tools=False, wants_json=False, unvoted=None,
)  # fmt: skip
LOGPROBS = "message.output_text.logprobs"
FUNCTION = {"type": "function", "name": "add"}

READ: list[tuple[Form, Json, Json]] = [
    *((form, {}, {}) for form in FORMS),
    *((form, {"model": "m", "seed": 7.0, "stream": True, "temperature": 0.0},
       {"model": "m", "seed": 7, "streamed": True, "greedy": True}) for form in FORMS),
    *((form, {"model": None, "seed": None, "stream": None, "temperature": None, "tools": None}, {}) for form in FORMS),
    *((form, {"temperature": 0.5, "stream": False}, {}) for form in FORMS),
    *((form, {"max_tokens": 5}, {"max_tokens": 5}) for form in (CHAT, COMPLETIONS, MESSAGES)),
    (CHAT, {"max_tokens": 5, "max_completion_tokens": 6}, {"max_tokens": 6}),
    (RESPONSES, {"max_output_tokens": 5, "max_tokens": 6}, {"max_tokens": 5}),
    *((form, {"stream_options": {"include_usage": True}}, {"include_usage": True}) for form in (CHAT, COMPLETIONS)),
    *((form, {"stream_options": {"continuous_usage_stats": True}}, {"usage_in_chunks": True})
      for form in (CHAT, COMPLETIONS)),
    *((form, {"stream_options": {"include_usage": True, "continuous_usage_stats": True}}, {})
      for form in (RESPONSES, MESSAGES)),
    (CHAT, {"tools": [{"type": "function"}]}, {"has_tools": True}),
    (CHAT, {"functions": [{}]}, {"has_tools": True}),
    (CHAT, {"tools": [{}], "tool_choice": "none"}, {}),
    (RESPONSES, {"tools": [FUNCTION, {"type": "custom"}, {"type": "namespace"}]}, {"has_tools": True}),
    (RESPONSES, {"tools": [FUNCTION], "tool_choice": "none"}, {}),
    (MESSAGES, {"tools": [{"name": "add"}, {"type": None}, {"type": "custom"}]}, {"has_tools": True}),
    (MESSAGES, {"tools": [{"type": "bash_20250124"}, {"type": "text_editor_20250728"}]}, {"has_tools": True}),
    (MESSAGES, {"tools": [{"name": "add"}], "tool_choice": {"type": "none"}}, {}),
    *((form, {"response_format": {"type": kind}}, {"wants_json": kind != "text"})
      for form in (CHAT, COMPLETIONS) for kind in ("json_schema", "json_object", "text")),
    *((form, {"structured_outputs": {"json": {}, "json_object": True}}, {"wants_json": True})
      for form in (CHAT, COMPLETIONS, RESPONSES)),
    (CHAT, {"structured_outputs": {"regex": "a+"}}, {}),
    (COMPLETIONS, {"guided_json": {"type": "object"}}, {"wants_json": True}),
    (RESPONSES, {"text": {"format": {"type": "json_schema"}}}, {"wants_json": True}),
    (RESPONSES, {"text": {"format": {"type": "text"}, "verbosity": "low"}}, {}),
    (MESSAGES, {"output_config": {"format": {"type": "json_schema"}}}, {"wants_json": True}),
]  # fmt: skip

UNVOTED: list[tuple[Form, Json, str]] = [
    *((form, {"n": 2}, "n") for form in (CHAT, COMPLETIONS)),
    *((form, {"best_of": 2}, "best_of") for form in (CHAT, COMPLETIONS)),
    *((form, {"use_beam_search": True}, "use_beam_search") for form in (CHAT, COMPLETIONS)),
    (CHAT, {"audio": {"voice": "alloy"}}, "audio"),
    (CHAT, {"modalities": ["text", "audio"]}, "audio"),
    (CHAT, {"web_search_options": {}}, "web_search_options"),
    (COMPLETIONS, {"prompt": ["a", "b"]}, "prompt"),
    (COMPLETIONS, {"prompt": [[1], [2]]}, "prompt"),
    (RESPONSES, {"background": True}, "background"),
    (RESPONSES, {"conversation": "conv_1"}, "conversation"),
    (RESPONSES, {"previous_response_id": "resp_1"}, "previous_response_id"),
    (RESPONSES, {"store": True}, "store"),
    *((RESPONSES, {"tools": [FUNCTION, {"type": kind}]}, "tools")
      for kind in ("web_search", "web_search_preview", "file_search", "code_interpreter", "mcp", "image_generation",
                   "computer_use_preview", "local_shell", "something_new")),
    (MESSAGES, {"container": "c_1"}, "container"),
    (MESSAGES, {"mcp_servers": [{"type": "url"}]}, "mcp_servers"),
    *((MESSAGES, {"tools": [{"name": "add"}, {"type": kind}]}, "tools")
      for kind in ("web_search_20250305", "web_fetch_20250910", "code_execution_20250825", "mcp_toolset", "new_2030")),
]  # fmt: skip

VOTED: list[tuple[Form, Json]] = [
    (CHAT, {"n": 1, "best_of": 1, "use_beam_search": False, "modalities": ["text"], "audio": None}),
    (COMPLETIONS, {"prompt": [1, 2]}),
    (COMPLETIONS, {"prompt": "a"}),
    (RESPONSES, {"background": False, "store": False, "conversation": None, "previous_response_id": None}),
    (MESSAGES, {"container": None, "mcp_servers": []}),
]

WRONG: list[tuple[Form, Json, str]] = [
    *((form, {"model": 1}, "model") for form in FORMS),
    *((form, {"stream": "yes"}, "stream") for form in FORMS),
    *((form, {"seed": 1.5}, "seed") for form in FORMS),
    *((form, {"temperature": True}, "temperature") for form in FORMS),
    *((form, {"tools": {}}, "tools") for form in FORMS),
    *((form, {"max_tokens": "many"}, "max_tokens") for form in (CHAT, COMPLETIONS, MESSAGES)),
    (RESPONSES, {"max_output_tokens": "many"}, "max_output_tokens"),
    (RESPONSES, {"text": "json"}, "text"),
    (MESSAGES, {"tools": [{}], "tool_choice": "auto"}, "tool_choice"),
]

MARGINS: list[tuple[Form, Json, Json]] = [
    (CHAT, {}, {"logprobs": True, "top_logprobs": 2}),
    (CHAT, {"logprobs": None}, {"logprobs": True, "top_logprobs": 2}),
    (CHAT, {"logprobs": True}, {}),
    (CHAT, {"logprobs": False}, {}),
    (CHAT, {"top_logprobs": 0}, {}),
    (COMPLETIONS, {}, {"logprobs": 2}),
    (COMPLETIONS, {"logprobs": 0}, {}),
    (RESPONSES, {}, {"include": [LOGPROBS], "top_logprobs": 2}),
    (RESPONSES, {"include": ["é"]}, {"include": ["é", LOGPROBS], "top_logprobs": 2}),
    (RESPONSES, {"include": [LOGPROBS]}, {}),
    (RESPONSES, {"include": "all"}, {}),
    (RESPONSES, {"top_logprobs": 5}, {}),
    (MESSAGES, {}, {}),
]


@pytest.mark.parametrize(("form", "members", "expected"), READ)
def test_what_a_request_asks_for(form: Form, members: Json, expected: Json) -> None:
    """Each form finds under its own names what the rest of the gateway knows under one."""
    default = {"max_tokens": 16} if form is COMPLETIONS else {}
    read = {name: getattr(NOTHING, name) for name in NOTHING.__slots__} | default | expected
    assert Asking(**read) == form.asks(members)


@pytest.mark.parametrize(("form", "members", "reason"), UNVOTED)
def test_what_passes_through(form: Form, members: Json, reason: str) -> None:
    """What more than one run would change, or make no sense of, is named by its member."""
    assert reason == form.asks(members).unvoted


@pytest.mark.parametrize(("form", "members"), VOTED)
def test_what_does_not_pass_through(form: Form, members: Json) -> None:
    """The same members with values that ask for nothing."""
    assert None is form.asks(members).unvoted


@pytest.mark.parametrize(("form", "members", "param"), WRONG)
def test_a_member_of_the_wrong_type_is_named(form: Form, members: Json, param: str) -> None:
    """A value that cannot be taken is a bad request that names its member."""
    with pytest.raises(BadRequest) as raised:
        form.asks(members)
    assert param == raised.value.param


@pytest.mark.parametrize(("form", "members", "added"), MARGINS)
def test_how_margins_are_asked_for(form: Form, members: Json, added: Json) -> None:
    """Two log-probabilities a token, unless the client has a say in it."""
    body = parse_body(json.dumps(members).encode())
    assert added == {name: json.loads(text) for name, text in form.margin_members(body).items()}


def test_usage_is_asked_for_where_it_is_not_told_anyway() -> None:
    """A stream of the first two forms gets `include_usage`, beside the client's own options."""
    body = parse_body(b'{"stream_options": {"new": 1.50, "include_usage": false}}')
    asked = {"stream_options": '{"new": 1.50,"include_usage":true}'}
    assert [asked, asked, {}, {}] == [form.stream_members(body) for form in FORMS]
