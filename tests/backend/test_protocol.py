import json
from typing import Any

import pytest

from backend.errors import RequestError
from backend.torch.model import Model
from backend.torch.protocol import Call, read_chat, read_completion

pytestmark = pytest.mark.backend

MESSAGES = [{"role": "user", "content": "1+2"}]


def chat(model: Model, /, **members: Any) -> Call:
    return read_chat(json.dumps({"messages": MESSAGES} | members).encode(), model.tokenizer, 64)


def completion(model: Model, /, **members: Any) -> Call:
    return read_completion(json.dumps({"prompt": "1+2"} | members).encode(), model.tokenizer, 64)


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"messages": "hello"}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"content": "x"}]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages"),
        ({"model": 1}, "model"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"n": 2, "temperature": 0}, "n"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": -1}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_p": 1.1}, "top_p"),
        ({"top_k": 1.5}, "top_k"),
        ({"top_k": -2}, "top_k"),
        ({"seed": 2**63}, "seed"),
        ({"seed": "7"}, "seed"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"max_completion_tokens": True}, "max_completion_tokens"),
        ({"stop": 5}, "stop"),
        ({"stop": ["a", ""]}, "stop"),
        ({"stop_token_ids": ["a"]}, "stop_token_ids[0]"),
        ({"logprobs": 3}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"presence_penalty": 1}, "presence_penalty"),
        ({"min_p": 1.5}, "min_p"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": 5}}}, "response_format"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "wat"}}}},
            "response_format",
        ),
        ({"structured_outputs": {}}, "structured_outputs"),
        ({"structured_outputs": {"regex": "("}}, "structured_outputs"),
        ({"structured_outputs": {"regex": "a", "choice": ["b"]}}, "structured_outputs"),
        ({"structured_outputs": {"json": "{"}}, "structured_outputs"),
        ({"structured_outputs": {"structural_tag": "x"}}, "structured_outputs"),
        (
            {"structured_outputs": {"regex": "a"}, "response_format": {"type": "json_object"}},
            "response_format",
        ),
        ({"tool_choice": "required"}, "tool_choice"),
    ],
)
def test_bad_chat_members_are_named(demo: Model, members: dict[str, Any], param: str) -> None:
    """A member of the wrong type or value, or one that cannot be honoured, is a 400 that names it."""
    with pytest.raises(RequestError) as caught:
        chat(demo, **members)

    assert (400, param) == (caught.value.status, caught.value.param)
    assert str(caught.value).startswith(param)


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"prompt": 5}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": [1, "a"]}, "prompt"),
        ({"prompt": [[]]}, "prompt"),
        ({"prompt": [5, 9999]}, "prompt"),
        ({"prompt": [[-1]]}, "prompt"),
        ({"logprobs": True}, "logprobs"),
        ({"logprobs": 21}, "logprobs"),
        ({"echo": True}, "echo"),
        ({"prompt": ["a", "b"], "n": 65}, "n"),
    ],
)
def test_bad_completion_members_are_named(demo: Model, members: dict[str, Any], param: str) -> None:
    """The same on the other endpoint."""
    with pytest.raises(RequestError) as caught:
        completion(demo, **members)

    assert (400, param) == (caught.value.status, caught.value.param)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"3", b'"x"', b'{"messages": \xff}', b'{"a": NaN}', b"{}"])
def test_bodies_that_are_no_requests(demo: Model, raw: bytes) -> None:
    """What is not JSON, not an object, or has no messages is a 400, never a crash."""
    with pytest.raises(RequestError) as caught:
        read_chat(raw, demo.tokenizer, 64)

    assert 400 == caught.value.status


@pytest.mark.parametrize("members", [{"prompt": "1" * 64}, {"prompt": "1" * 63, "max_tokens": 2}])
def test_what_does_not_fit_is_refused(demo: Model, members: dict[str, Any]) -> None:
    """A prompt as long as the context, or one that leaves less than `max_tokens`, is context_length_exceeded."""
    with pytest.raises(RequestError) as caught:
        completion(demo, **members)

    assert "context_length_exceeded" == caught.value.code
    assert "64 tokens" in str(caught.value)


def test_nulls_and_unknown_members_ask_for_nothing(demo: Model) -> None:
    """null is absent, and what this backend never heard of is ignored."""
    plain = chat(demo)
    names = ["n", "stream", "temperature", "top_p", "top_k", "seed", "max_tokens", "stop", "logprobs"]
    quiet = {"frequency_penalty": 0.0, "response_format": {"type": "text"}, "tool_choice": "auto"}

    assert plain == chat(demo, **dict.fromkeys(names), **quiet, user="u", metadata={"a": 1}, cache_salt="x")


def test_children_get_seeds_in_a_row(demo: Model) -> None:
    """`n` answers to each prompt: child i has seed + i, wrapped at 64 bits, as in vLLM."""
    call = completion(demo, prompt=["1+2", "3+4"], n=3, seed=7)
    last = completion(demo, n=2, seed=2**63 - 1)

    assert [7, 8, 9] * 2 == [request.params.seed for request in call.requests]
    assert 2 == len({request.prompt for request in call.requests[::3]})
    assert [2**63 - 1, -(2**63)] == [request.params.seed for request in last.requests]


def test_prompts_may_be_tokens(demo: Model) -> None:
    """A text, its tokens, and lists of both name the same prompt."""
    tokens = list(demo.tokenizer.encode("1+2"))

    for prompt in (tokens, ["1+2"], [tokens]):
        assert completion(demo).requests == completion(demo, prompt=prompt).requests
    assert 2 == len(completion(demo, prompt=["1+2", tokens]).requests)


def test_text_parts_are_one_text(demo: Model) -> None:
    """Content given in parts is joined by newlines."""
    parts = [{"type": "text", "text": "1+"}, {"type": "text", "text": "2"}]

    whole = chat(demo, messages=[{"role": "user", "content": "1+\n2"}])

    assert whole.requests == chat(demo, messages=[{"role": "user", "content": parts}]).requests


def test_without_max_tokens(demo: Model) -> None:
    """A chat answer may fill the context; a completion has 16 tokens, as in OpenAI's API."""
    assert 64 == chat(demo).requests[0].params.max_tokens
    assert 16 == completion(demo).requests[0].params.max_tokens
    assert 5 == chat(demo, max_tokens=9, max_completion_tokens=5).requests[0].params.max_tokens
