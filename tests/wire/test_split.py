"""Plain answers split into streams: merged again they are themselves."""

import json
from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.wire.chunks import merge, read_stream, split
from gateway.wire.replies import UnreadableAnswer, read_reply
from gateway.wire.sse import DONE, encode_event

Json = dict[str, Any]

USAGE: Json = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}

numbers = st.one_of(st.integers(-(2**63), 2**63), st.floats(allow_nan=False, allow_infinity=False))
unknown = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=3,
)
extras = st.dictionaries(
    st.sampled_from(["kv_transfer_params", "service_tier", "new", "é"]), unknown, max_size=2
)
maybe_text = st.one_of(st.none(), st.text(max_size=8))
functions = st.fixed_dictionaries({"name": st.text(max_size=5), "arguments": st.text(max_size=8)})
calls = st.builds(
    lambda function, number, more: {"id": f"call-{number}", "type": "function", "function": function} | more,
    functions, st.integers(0, 9), extras,
)  # fmt: skip
chat_logprobs = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {
            "content": st.lists(unknown, max_size=2),
            "refusal": st.one_of(st.none(), st.lists(unknown, max_size=2)),
        }
    ),
)
text_logprobs = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {"tokens": st.lists(st.text(max_size=2), max_size=2), "text_offset": st.lists(numbers, max_size=2)}
    ),
)
messages = st.builds(
    lambda known, optional, more: known | optional | more,
    st.fixed_dictionaries({"role": st.just("assistant"), "content": maybe_text}),
    st.fixed_dictionaries({}, optional={
        "reasoning": maybe_text, "reasoning_content": maybe_text, "refusal": maybe_text, "audio": st.none(),
        "annotations": st.lists(unknown, max_size=2), "tool_calls": st.lists(calls, max_size=2),
        "function_call": st.one_of(st.none(), functions),
    }),
    extras,
)  # fmt: skip
endings = st.builds(
    lambda known, more: known | more,
    st.fixed_dictionaries(
        {"finish_reason": st.sampled_from(["stop", "length", "tool_calls", "content_filter", None])},
        optional={
            "stop_reason": st.one_of(st.none(), st.integers(0, 200_000), st.text(max_size=3)),
            "token_ids": st.lists(st.integers(0, 9)),
        },
    ),
    extras,
)
chat_choices = st.builds(
    lambda said, logprobs, ending: {"message": said, "logprobs": logprobs, **ending},
    messages,
    chat_logprobs,
    endings,
)
text_choices = st.builds(
    lambda text, logprobs, ending: {"text": text, "logprobs": logprobs, **ending},
    st.text(max_size=8),
    text_logprobs,
    endings,
)
usages = st.one_of(st.none(), st.just(USAGE), extras.map(lambda more: USAGE | more))


def completion(name: str, choices: list[Json], usage: Json | None, more: Json) -> Json:
    numbered = [{"index": index, **choice} for index, choice in enumerate(choices)]
    return {
        **more,
        "id": "x-1",
        "object": name,
        "created": 1764000000,
        "model": "m",
        "choices": numbered,
        "usage": usage,
    }


completions = st.one_of(
    st.builds(
        completion, st.just("chat.completion"), st.lists(chat_choices, min_size=1, max_size=2), usages, extras
    ),
    st.builds(
        completion, st.just("text_completion"), st.lists(text_choices, min_size=1, max_size=2), usages, extras
    ),
)


def normalised(plain: Json) -> Json:
    """What a stream cannot tell apart: a message's members that are null or [] from absent ones, content that
    is null from "", and usage that is null from none.
    """
    choices = [dict(choice) for choice in plain["choices"]]
    for choice in choices:
        if "message" in choice:
            told = {name: value for name, value in choice["message"].items() if value not in (None, [])}
            choice["message"] = {"content": ""} | told
    return {name: value for name, value in plain.items() if name != "usage" or value} | {"choices": choices}


@given(completions)
@example(
    completion(
        "chat.completion",
        [
            {
                "message": {"role": "assistant", "content": None, "tool_calls": []},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        None,
        {},
    )
)
def test_split_and_merged_is_the_plain_answer(plain: Json) -> None:
    """Any plausible answer, split into a stream and merged again, is itself but for what is normalised."""
    assert normalised(plain) == merge(split(plain))


@given(completions)
def test_split_says_the_same(plain: Json) -> None:
    """A split answer is read by the vote as the plain one is."""
    assert read_reply(msgspec.json.encode(plain)) == read_reply(msgspec.json.encode(merge(split(plain))))


@given(completions)
def test_split_is_a_stream_that_can_be_read(plain: Json) -> None:
    """The chunks of a split answer, sent as a stream, are read as the same chunks."""
    made = split(plain)
    payloads = [*made.chunks, *([made.usage] if made.usage else []), DONE]
    assert made == read_stream(b"".join(map(encode_event, payloads)))


odd = st.fixed_dictionaries({}, optional={
    "message": st.one_of(unknown, messages, st.dictionaries(st.sampled_from(["content", "role"]), unknown)),
    "text": maybe_text, "index": unknown, "logprobs": unknown, "finish_reason": maybe_text,
})  # fmt: skip


@given(
    st.dictionaries(st.sampled_from(["usage", "object", "id", "model"]), unknown, max_size=3),
    st.lists(odd, max_size=2),
)
@example({}, [{"message": None, "text": "a"}])
def test_what_is_read_can_be_split(around: Json, choices: list[Json]) -> None:
    """Whatever odd plain answer can be voted on can also be sent as a stream."""
    body = json.dumps(around | {"choices": choices}).encode()
    try:
        read_reply(body)
    except UnreadableAnswer:
        return
    made = split(json.loads(body))
    assert made.chunks


def test_split_is_what_the_protocol_expects() -> None:
    """A chat answer becomes a chunk for the role, one for what was said and one for how it ended; usage apart."""
    plain: Json = {
        "id": "x", "object": "chat.completion", "created": 1, "model": "m", "usage": USAGE,
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "42"}, "logprobs": None, "finish_reason": "stop"}
        ],
    }  # fmt: skip
    head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    made = split(plain)
    assert [
        {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None},
        {"index": 0, "delta": {"content": "42"}, "logprobs": None, "finish_reason": None},
        {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"},
    ] == [json.loads(chunk)["choices"][0] for chunk in made.chunks]
    assert all({**json.loads(chunk), "choices": []} == {**head, "choices": []} for chunk in made.chunks)
    assert {**head, "choices": [], "usage": USAGE} == json.loads(made.usage)
