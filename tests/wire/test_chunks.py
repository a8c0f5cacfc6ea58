"""Streams read, merged into plain answers, and plain answers split into streams."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.wire.chunks import BrokenStream, Stream, merge, read_stream
from gateway.wire.replies import convert_reply
from gateway.wire.sse import encode_event

Json = dict[str, Any]

HEAD: Json = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1764000000, "model": "m"}
TEXT_HEAD: Json = {"id": "cmpl-1", "object": "text_completion", "created": 1764000000, "model": "m"}
USAGE: Json = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
ERROR: Json = {"message": "out of memory", "type": "InternalServerError", "param": None, "code": 500}


def stream(*chunks: Json | bytes, end: bytes = b"data: [DONE]\n\n") -> bytes:
    """Chunks as the body of a stream."""
    payloads = (each if isinstance(each, bytes) else json.dumps(each).encode() for each in chunks)
    return b"".join(encode_event(payload) for payload in payloads) + end


def merged(*chunks: Json | bytes) -> Json:
    """The plain answer of a whole stream of these chunks."""
    return merge(read_stream(stream(*chunks)))


def said(*deltas: Json | None, head: Json = HEAD) -> list[Json]:
    """One chunk per delta of choice 0."""
    return [{**head, "choices": [{"index": 0, "delta": delta}]} for delta in deltas]


def message(*deltas: Json | None) -> Json:
    """The message that deltas spell out."""
    found: Json = merged(*said(*deltas))["choices"][0]["message"]
    return found


# Reading.

A, B = said({"content": "a"}, {"content": "b"})
USED: Json = {**HEAD, "choices": [], "usage": USAGE}
FIRST, SECOND = ({**USAGE, "completion_tokens": number} for number in (1, 2))


def encoded(*chunks: Json) -> tuple[bytes, ...]:
    return tuple(json.dumps(chunk).encode() for chunk in chunks)


def last_used(usage: Json) -> bytes:
    """A usage chunk that was made, as short as JSON can be."""
    return json.dumps({**HEAD, "choices": [], "usage": usage}, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (stream(), Stream(())),
        (stream(A, B), Stream(encoded(A, B))),
        (stream(A, B, USED), Stream(encoded(A, B), encoded(USED)[0])),
        (stream(USED), Stream((), encoded(USED)[0])),
        (stream(A, {**B, "usage": SECOND}),
         Stream(encoded(A, B), last_used(SECOND), encoded(A, {**B, "usage": SECOND}))),
        (stream({**A, "usage": FIRST}, {"usage": SECOND, **B}),
         Stream(encoded(A, B), last_used(SECOND), encoded({**A, "usage": FIRST}, {"usage": SECOND, **B}))),
        (stream({**A, "usage": FIRST}, B, USED),
         Stream(encoded(A, B), encoded(USED)[0], encoded({**A, "usage": FIRST}, B))),
        (stream(A, USED, B), Stream(encoded(A, B), last_used(USAGE), encoded(A, USED, B))),
        (stream({**A, "usage": None}, USED), Stream(encoded({**A, "usage": None}), encoded(USED)[0])),
        (stream(*said({"usage": USAGE, "content": '"usage": {}'})),
         Stream(encoded(*said({"usage": USAGE, "content": '"usage": {}'})))),
        (stream(A, {**HEAD, "choices": [], "usage": None}), Stream(encoded(A, {**HEAD, "choices": [], "usage": None}))),
        (stream({**HEAD, "choices": [], "prompt_filter_results": []}, A),
         Stream(encoded({**HEAD, "choices": [], "prompt_filter_results": []}, A))),
        (stream(A) + stream(B), Stream(encoded(A))),
        (b": ping\n\n" + stream(A).replace(b"\n", b"\r\n"), Stream(encoded(A))),
        (stream(A).replace(b"\n", b"\r"), Stream(encoded(A))),
        (stream(*said({"content": 'an "error": {}'})), Stream(encoded(*said({"content": 'an "error": {}'})))),
        (stream({**A, "error": None}), Stream(encoded({**A, "error": None}))),
    ],
)  # fmt: skip
def test_read(body: bytes, expected: Stream) -> None:
    """A whole stream is its chunks up to [DONE], the usage chunk apart."""
    assert expected == read_stream(body)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", None),
        (stream(A, B, end=b""), None),
        (stream(A, B, USED, end=b""), None),
        (stream(A, end=b"data: [DONE]"), None),
        (stream(A, end=b"data: [DO\n\n"), None),
        (stream({"error": ERROR}), ERROR),
        (stream({"error": ERROR}, end=b""), ERROR),
        (stream(A, {"error": ERROR}), ERROR),
        (stream(A, {"error": ERROR}, end=b""), ERROR),
        (b"event: error\n" + stream({"error": ERROR}, end=b""), ERROR),
        (stream(A, {"error": ERROR}, USED), ERROR),
        (stream(A, {"error": {}}), {}),
        (stream(A, {"error": "out of memory"}), {"message": "out of memory"}),
        (stream(A, {**B, "error": ERROR}), ERROR),
        (stream(b"<html>", end=b""), None),
        (stream(b'{"error"', end=b""), None),
        (stream(A, b'{"error": "\xff"}'), None),
        (b"<html>502 Bad Gateway</html>", None),
        (b'{"choices":[]}', None),
    ],
)
def test_broken_streams(body: bytes, error: Json | None) -> None:
    """A stream without [DONE], or one that tells of an error, is broken; the upstream's own error is kept."""
    with pytest.raises(BrokenStream) as broken:
        read_stream(body)
    assert error == broken.value.error


@given(st.integers(0))
def test_no_part_of_a_stream_is_taken_for_a_whole(place: int) -> None:
    """Wherever a stream breaks off before the end of [DONE], it is broken."""
    body = stream(*said({"role": "assistant", "content": ""}, {"content": "42"}), USED)
    with pytest.raises(BrokenStream):
        read_stream(body[: place % len(body)].removesuffix(b"\n"))


# Merging: streams as vLLM sends them.


def _chat_choice(delta: Json, token: tuple[str, int] | None = None, **more: Any) -> Json:
    logprobs = {"content": [{"token": token[0], "logprob": -0.5, "top_logprobs": []}]} if token else None
    ids = [token[1]] if token else None
    return {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": None, "token_ids": ids} | more


VLLM_CHAT = [
    {**HEAD, "choices": [_chat_choice({"role": "assistant", "content": ""})], "prompt_token_ids": [1, 2]},
    {**HEAD, "choices": [_chat_choice({"reasoning": "6 x 7 "})]},
    {**HEAD, "choices": [_chat_choice({"reasoning": "is 42"})]},
    {**HEAD, "choices": [_chat_choice({"content": "4"}, ("4", 19))]},
    {**HEAD, "choices": [_chat_choice({"content": "2"}, ("2", 17))]},
    {**HEAD, "choices": [_chat_choice({"content": ""}, finish_reason="stop", stop_reason=151645)]},
    {**HEAD, "choices": [], "usage": USAGE},
]

VLLM_CHAT_PLAIN = {
    **HEAD, "object": "chat.completion", "prompt_token_ids": [1, 2], "usage": USAGE,
    "choices": [{
        "index": 0, "finish_reason": "stop", "stop_reason": 151645, "token_ids": [19, 17],
        "message": {"role": "assistant", "content": "42", "reasoning": "6 x 7 is 42"},
        "logprobs": {"content": [{"token": "4", "logprob": -0.5, "top_logprobs": []},
                                 {"token": "2", "logprob": -0.5, "top_logprobs": []}]},
    }],
}  # fmt: skip


def call(index: int | None, **members: Any) -> Json:
    return {"tool_calls": [{"index": index, **members}]}


VLLM_TOOLS = [
    *said({"role": "assistant", "content": ""}),
    *said(call(0, id="call-1", type="function", function={"name": "add"})),
    *said(call(0, function={"arguments": '{"a": '})),
    *said(call(0, function={"arguments": "1}"})),
    *said(call(1, id="call-2", type="function", function={"name": "sub", "arguments": ""})),
    *said(call(1, function={"arguments": "{}"})),
    {**HEAD, "choices": [_chat_choice({"content": ""}, finish_reason="tool_calls", stop_reason=None)]},
    {**HEAD, "choices": [], "usage": USAGE},
]

VLLM_TOOLS_PLAIN = {
    **HEAD, "object": "chat.completion", "usage": USAGE,
    "choices": [{
        "index": 0, "finish_reason": "tool_calls", "stop_reason": None, "logprobs": None, "token_ids": None,
        "message": {"role": "assistant", "content": "", "tool_calls": [
            {"id": "call-1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}},
            {"id": "call-2", "type": "function", "function": {"name": "sub", "arguments": "{}"}},
        ]},
    }],
}  # fmt: skip


def _text_choice(text: str, offset: int, finish: str | None = None) -> Json:
    logprobs = {
        "text_offset": [offset],
        "token_logprobs": [-0.5],
        "tokens": [text],
        "top_logprobs": [{text: -0.5}],
    }
    return {"index": 0, "text": text, "logprobs": logprobs, "finish_reason": finish, "stop_reason": None,
            "prompt_token_ids": [1] if offset == 0 else None, "token_ids": [offset]}  # fmt: skip


VLLM_TEXT = [
    {**TEXT_HEAD, "choices": [_text_choice(" 4", 0)], "usage": None},
    {**TEXT_HEAD, "choices": [_text_choice("2", 2)], "usage": None},
    {**TEXT_HEAD, "choices": [_text_choice(".", 3, "length")], "usage": None},
    {**TEXT_HEAD, "choices": [], "usage": USAGE},
]

VLLM_TEXT_PLAIN = {
    **TEXT_HEAD, "usage": USAGE,
    "choices": [{
        "index": 0, "text": " 42.", "finish_reason": "length", "stop_reason": None,
        "prompt_token_ids": [1], "token_ids": [0, 2, 3],
        "logprobs": {"text_offset": [0, 2, 3], "token_logprobs": [-0.5, -0.5, -0.5], "tokens": [" 4", "2", "."],
                     "top_logprobs": [{" 4": -0.5}, {"2": -0.5}, {".": -0.5}]},
    }],
}  # fmt: skip


@pytest.mark.parametrize(
    ("chunks", "plain"),
    [(VLLM_CHAT, VLLM_CHAT_PLAIN), (VLLM_TOOLS, VLLM_TOOLS_PLAIN), (VLLM_TEXT, VLLM_TEXT_PLAIN)],
    ids=["chat", "tools", "text"],
)
def test_streams_of_vllm(chunks: Sequence[Json], plain: Json) -> None:
    """vLLM's streams spell out the plain answers that vLLM gives."""
    assert plain == merged(*chunks)


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        ([{"content": "a"}, {"content": "b"}], {"content": "ab"}),
        ([{"content": None}, {"content": "a"}, {"content": None}], {"content": "a"}),
        ([{"role": "assistant"}, {"role": "assistant", "content": "a"}], {"role": "assistant", "content": "a"}),
        ([{"role": "assistant", "content": ""}, {"role": "", "content": "a"}], {"role": "assistant", "content": "a"}),
        ([{"reasoning": "a"}, {"reasoning": "b"}, {"content": "c"}], {"reasoning": "ab", "content": "c"}),
        ([{"reasoning_content": "a"}, {"reasoning_content": "b"}], {"reasoning_content": "ab"}),
        ([{"refusal": "I "}, {"refusal": "won't"}], {"refusal": "I won't"}),
        ([None, {"content": "a"}, {}], {"content": "a"}),
        ([{"new_thing": {"x": "a", "y": 1}}, {"new_thing": {"x": "b", "z": None}}],
         {"new_thing": {"x": "ab", "y": 1, "z": None}}),
        ([{"citations": [1]}, {"citations": [2]}], {"citations": [1, 2]}),
        ([{"content": [{"type": "text", "text": "a"}]}, {"content": [{"type": "text", "text": "b"}]}],
         {"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}),
        ([{"function_call": {"name": "add", "arguments": ""}}, {"function_call": {"arguments": "{}"}}],
         {"function_call": {"name": "add", "arguments": "{}"}}),
    ],
)  # fmt: skip
def test_deltas(deltas: Sequence[Json], expected: Json) -> None:
    """Texts and lists are joined, names are said once, members nobody knows are kept."""
    assert expected == message(*deltas)


@pytest.mark.parametrize(
    ("deltas", "calls"),
    [
        ([call(0, id="a", function={"name": "f", "arguments": "{"}), call(0, function={"arguments": "}"})],
         [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]),
        ([call(0, id="a", function={"name": "f"}), call(0, id="", function={"name": "", "arguments": "{}"})],
         [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]),
        ([call(0, id="a", function={"name": "f"}), call(0, id=None, function={"name": None, "arguments": "{}"})],
         [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]),
        ([call(0, id="a", type="function"), call(0, id="a", type="function")], [{"id": "a", "type": "function"}]),
        ([call(1, id="b"), call(0, id="a")], [{"id": "a"}, {"id": "b"}]),
        ([call(1, id="b"), call(3, id="d")], [{"id": "b"}, {"id": "d"}]),
        ([call(10**9, id="b")], [{"id": "b"}]),
        ([call(None, id="a"), call(None, id="b")], [{"id": "a"}, {"id": "b"}]),
        ([{"tool_calls": [{"id": "a"}, {"id": "b"}]}], [{"id": "a"}, {"id": "b"}]),
        ([{"tool_calls": None}, {"tool_calls": []}, call(0, id="a")], [{"id": "a"}]),
        ([call(0, id="a"), {"tool_calls": None}], [{"id": "a"}]),
        ([call(0, custom={"name": "sh", "input": "l"}), call(0, custom={"input": "s"})],
         [{"custom": {"name": "sh", "input": "ls"}}]),
    ],
)  # fmt: skip
def test_tool_calls(deltas: Sequence[Json], calls: list[Json]) -> None:
    """Calls in pieces are put together by their index, whatever the indices are; calls without one are whole."""
    assert calls == message(*deltas)["tool_calls"]


def test_several_choices() -> None:
    """Chunks of several choices in any order make choices in order, each of its own pieces."""

    def piece(index: int, **delta: str) -> Json:
        return {**HEAD, "choices": [{"index": index, "delta": delta, "finish_reason": None}]}

    both = {
        **HEAD,
        "choices": [{"index": 1, "finish_reason": "stop"}, {"index": 0, "finish_reason": "length"}],
    }
    plain = merged(
        piece(1, content="x"), piece(0, content="a"), piece(1, content="y"), piece(0, content="b"), both
    )
    assert [(0, "ab", "length"), (1, "xy", "stop")] == [
        (each["index"], each["message"]["content"], each["finish_reason"]) for each in plain["choices"]
    ]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([None, None], None),
        ([{"content": [1], "refusal": None}, {"content": [2], "refusal": None}], {"content": [1, 2], "refusal": None}),
        ([None, {"content": [1]}, None, {"content": [2]}], {"content": [1, 2]}),
        ([{"content": None, "refusal": [1]}, {"content": [2], "refusal": [3]}], {"content": [2], "refusal": [1, 3]}),
        ([{"content": [1]}, {"content": None}], {"content": [1]}),
        ([{"tokens": ["a"], "text_offset": [0]}, {"tokens": ["b"], "text_offset": [1]}],
         {"tokens": ["a", "b"], "text_offset": [0, 1]}),
    ],
)  # fmt: skip
def test_logprobs(pieces: Sequence[Json | None], expected: Json | None) -> None:
    """Lists of log-probabilities are joined, whichever of them come."""
    chunks = [{**TEXT_HEAD, "choices": [{"index": 0, "text": "x", "logprobs": piece}]} for piece in pieces]
    assert expected == merged(*chunks)["choices"][0]["logprobs"]


def test_unknown_members_are_kept_where_they_were() -> None:
    """Members of chunks and choices that nobody here knows are in the plain answer; a later null erases nothing."""
    plain = merged(
        {**HEAD, "kv_transfer_params": {"é": 1.5}, "choices": [{"index": 0, "delta": {}, "new": [1]}]},
        {
            **HEAD,
            "kv_transfer_params": None,
            "service_tier": None,
            "choices": [{"index": 0, "delta": {}, "new": None}],
        },
        {**HEAD, "system_fingerprint": "fp", "choices": None},
    )
    found = (
        plain["kv_transfer_params"],
        plain["service_tier"],
        plain["system_fingerprint"],
        plain["choices"][0]["new"],
    )
    assert ({"é": 1.5}, None, "fp", [1]) == found


def test_usage_of_every_chunk_ends_as_the_last() -> None:
    """With usage in every chunk (vLLM's continuous_usage_stats) the last one counts."""
    assert SECOND == merged({**A, "usage": FIRST}, {**B, "usage": SECOND})["usage"]


def test_only_usage_is_cut_out() -> None:
    """Number forms, escapes, half a pair, spaces and order of a chunk stay as they came, whatever is cut out of it."""
    chunk = '{ "id" : "\\u00e9","usage":%s ,"n":1.50e1, "choices": [{"text": "\\ud83d", "usage": {}}]\t}'
    left = chunk.replace(',"usage":%s', "")
    body = stream((chunk % '{"total_tokens": 8, "x": [",", "}"]}').encode(), (chunk % "null").encode())
    assert (left.encode(), (chunk % "null").encode()) == read_stream(body).chunks


@pytest.mark.parametrize("garbage", [b'{"usage": {"a": 1}', b'{"usage": {"a": 1}} x', b'{"usage": {"\xff": 1}}',
                                     b'{"choices":[{}],"usage":{"a":' + b"[" * 50_000])  # fmt: skip
def test_garbage_with_usage_breaks_the_stream(garbage: bytes) -> None:
    """A chunk that tells of usage and is no JSON makes the stream a broken one, and nothing worse."""
    for before in ([], [A]):
        with pytest.raises(BrokenStream):
            read_stream(stream(*before, garbage, A))


def test_arguments_as_an_object() -> None:
    """A call that comes whole, its arguments an object, is merged as such, and read."""
    function = {"name": "f", "arguments": {"a": {"b": 1}}}
    chunks = said({"role": "assistant"}, {"tool_calls": [{"index": 0, "id": "1", "function": function}]}, {})
    plain = merged(*chunks)
    assert [{"id": "1", "function": function}] == plain["choices"][0]["message"]["tool_calls"]
    assert (("f", '{"a":{"b":1}}'),) == convert_reply(plain).calls


GARBAGE: list[bytes] = [
    b"", b"{", b"null", b"1", b'"a"', b"[]", b"<html>", b"\xff", b'{"a":"\xff"}', b'{"a":NaN}',
    b"[" * 10_000, b'{"a":' * 10_000, b'{"object":5,"choices":[]}', b'{"object":[],"choices":[]}',
    b'{"choices":5}', b'{"choices":{}}', b'{"choices":"a"}', b'{"choices":[5]}', b'{"choices":[null]}',
    *(b'{"choices":[{' + odd + b"}]}" for odd in [
        b'"delta":"a"', b'"delta":[]', b'"delta":5', b'"text":5', b'"token_ids":5',
        b'"index":"0"', b'"index":[0]', b'"index":0.5', b'"delta":{"tool_calls":5}', b'"delta":{"tool_calls":{}}',
        b'"delta":{"tool_calls":[5]}',
        b'"delta":{"tool_calls":[{"index":"0"}]}', b'"delta":{"tool_calls":[{"index":[]}]}',
    ]),
]  # fmt: skip


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_among_chunks_breaks_the_stream(garbage: bytes) -> None:
    """A chunk that is none of a completion makes the stream a broken one, and nothing worse."""
    for chunks in ([garbage], [A, garbage], [garbage, A]):
        with pytest.raises(BrokenStream):
            merged(*chunks)


# JSON made of the words that chunks are made of, in the wrong places.
WORDS = [
    "choices", "delta", "message", "text", "index", "tool_calls", "function", "name", "arguments", "logprobs",
    "content", "token_ids", "usage", "object", "error", "id",
]  # fmt: skip
nonsense = st.recursive(
    st.sampled_from([None, True, 0, 1, -1, 1.5, "", "a", "chat.completion.chunk"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(WORDS), inner, max_size=3)
    ),
    max_leaves=8,
)
odd_choices = st.fixed_dictionaries({}, optional={
    "index": st.sampled_from([0, 1, 0, None, "a"]),
    "delta": st.dictionaries(st.sampled_from(WORDS), nonsense, max_size=3),
    "text": st.sampled_from(["a", None, 5]), "logprobs": nonsense, "token_ids": nonsense, "message": nonsense,
})  # fmt: skip
odd_chunks = st.one_of(
    st.builds(lambda choices: {**HEAD, "choices": choices}, st.lists(odd_choices, max_size=2)),
    st.dictionaries(st.sampled_from(WORDS), nonsense, max_size=3),
    nonsense,
)


@given(st.lists(odd_chunks, max_size=4))
@example([{"choices": [{"message": None}]}, {"choices": [{"delta": {"content": "a"}}]}])
@example([{"choices": [{"logprobs": []}]}, {"choices": [{"logprobs": {"content": []}}]}])
def test_nonsense_is_merged_or_broken(chunks: list[Any]) -> None:
    """Whatever JSON the chunks are, merging them gives an answer or a broken stream."""
    try:
        plain = merged(*(json.dumps(chunk).encode() for chunk in chunks))
    except BrokenStream:
        return
    assert isinstance(plain["choices"], list)
    assert msgspec.json.encode(plain)


@pytest.mark.parametrize("depth", [100, 1000, 100_000])
def test_deep_chunks_are_merged_or_broken(depth: int) -> None:
    """Members nested however deeply, in two chunks to be merged, are no worse than a broken stream."""
    chunk = b'{"choices":[{"delta":{"a":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}}]}"
    try:
        assert [0] == [choice["index"] for choice in merged(chunk, chunk)["choices"]]
    except BrokenStream:
        assert depth > 100


# Pieces.


@given(
    st.lists(st.text(max_size=4), max_size=6),
    st.lists(st.text(max_size=4), max_size=3),
    st.lists(st.lists(st.text(max_size=3), max_size=4), max_size=3),
    st.randoms(use_true_random=False),
)
def test_pieces_are_joined(
    content: list[str], reasoning: list[str], arguments: list[list[str]], random: Any
) -> None:
    """However content, reasoning and the arguments of calls are cut and interleaved, each comes out whole."""
    strands = [[{"content": piece} for piece in content], [{"reasoning": piece} for piece in reasoning]]
    for index, pieces in enumerate(arguments):
        strands.append(
            [call(index, id=f"c{index}", type="function", function={"name": "f", "arguments": ""})]
        )
        strands[-1] += [call(index, function={"arguments": piece}) for piece in pieces]
    deltas: list[Json] = [{"role": "assistant"}]
    while strands := [strand for strand in strands if strand]:
        deltas.append(random.choice(strands).pop(0))
    found = message(*deltas)
    assert ("".join(content), "".join(reasoning)) == (found.get("content", ""), found.get("reasoning", ""))
    assert ["".join(pieces) for pieces in arguments] == [
        each["function"]["arguments"] for each in found.get("tool_calls", [])
    ]
