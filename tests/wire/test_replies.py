"""Plain answers read for the vote."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.ballot import Reply
from gateway.wire.replies import UnreadableAnswer, convert_reply, read_reply

Json = dict[str, Any]


def chat(*, finish: str | None = "stop", usage: Json | None = None, **message: Any) -> Json:
    """A chat completion with this message."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return {"id": "x", "choices": [choice], "usage": usage}


def tool(name: str | None, arguments: str | Json | None) -> Json:
    return {"id": "call-1", "type": "function", "function": {"name": name, "arguments": arguments}}


READABLE: list[tuple[Json, Reply]] = [
    (chat(content="42"), Reply("42")),
    (chat(content=""), Reply("")),
    (chat(content=None), Reply("")),
    (chat(), Reply("")),
    (chat(content="42", finish="length"), Reply("42", finish="length")),
    (chat(content="42", finish=None), Reply("42", finish="")),
    (chat(content="42", usage={"completion_tokens": 3, "prompt_tokens": 5}), Reply("42", tokens=3, prompt=5)),
    (chat(content="42", usage={}), Reply("42")),
    (chat(content="42", usage={"completion_tokens": None}), Reply("42")),
    (chat(content=None, refusal="no"), Reply("", refusal="no")),
    (chat(content="a", refusal="no"), Reply("a", refusal="no")),
    (chat(content="42", reasoning="6 x 7", reasoning_content="6 x 7"), Reply("42")),
    (chat(tool_calls=[tool("add", '{"a":1}')]), Reply("", calls=(("add", '{"a":1}'),))),
    (chat(tool_calls=[tool("b", "{}"), tool("a", "{}")]), Reply("", calls=(("b", "{}"), ("a", "{}")))),
    (chat(tool_calls=[tool(None, None)]), Reply("", calls=(("", ""),))),
    (chat(tool_calls=[tool("add", {})]), Reply("", calls=(("add", "{}"),))),
    (chat(tool_calls=[tool("add", {"é": 2**70, "a": [1.5]})]),
     Reply("", calls=(("add", '{"é":1180591620717411303424,"a":[1.5]}'),))),
    (chat(function_call={"name": "add", "arguments": {"a": 1}}), Reply("", calls=(("add", '{"a":1}'),))),
    (chat(content="42", tool_calls=[]), Reply("42")),
    (chat(content="42", tool_calls=None), Reply("42")),
    (chat(tool_calls=[{"type": "custom", "custom": {"name": "sh", "input": "ls"}}]), Reply("", calls=(("sh", "ls"),))),
    (chat(tool_calls=[{"type": "new"}]), Reply("")),
    (chat(function_call={"name": "add", "arguments": "{}"}), Reply("", calls=(("add", "{}"),))),
    (chat(function_call=None), Reply("")),
    (chat(content=[{"type": "text", "text": "é"}]), Reply('[{"type":"text","text":"é"}]')),
    (chat(content=[]), Reply("")),
    ({"choices": [{"text": "42", "finish_reason": "stop"}]}, Reply("42")),
    ({"choices": [{"text": "", "finish_reason": "stop"}]}, Reply("")),
    ({"choices": [{"message": None, "text": "42", "finish_reason": "stop"}]}, Reply("42")),
    ({"choices": [{"text": "1", "finish_reason": "stop"}, {"text": "2"}]}, Reply("1")),
    ({"choices": [{"text": "42", "finish_reason": "stop", "new": {"é": [1e2]}}], "new": None}, Reply("42")),
]  # fmt: skip


@pytest.mark.parametrize(("plain", "reply"), READABLE)
def test_readable(plain: Json, reply: Reply) -> None:
    """What these answers say, from their bytes and from their parsed form alike."""
    assert (reply, reply) == (read_reply(json.dumps(plain).encode()), convert_reply(plain))


UNREADABLE: dict[str, bytes] = {
    "nothing": b"",
    "HTML": b"<html>502 Bad Gateway</html>",
    "half": b'{"choices":[{"message":{"content":"4',
    "half a character": b'{"choices":[{"message":{"content":"\xc3',
    "two answers": b'{"choices":[{"text":"1"}]}{"choices":[{"text":"2"}]}',
    "an array": b'[{"text":"1"}]',
    "a string": b'"42"',
    "null": b"null",
    "no choices": b'{"id":"x"}',
    "choices null": b'{"choices":null}',
    "choices empty": b'{"choices":[]}',
    "choices an object": b'{"choices":{"0":{"text":"1"}}}',
    "choices of strings": b'{"choices":["42"]}',
    "neither message nor text": b'{"choices":[{"index":0}]}',
    "both null": b'{"choices":[{"message":null,"text":null}]}',
    "a delta": b'{"choices":[{"delta":{"content":"42"}}]}',
    "message a string": b'{"choices":[{"message":"42"}]}',
    "content a number": b'{"choices":[{"message":{"content":42}}]}',
    "content an object": b'{"choices":[{"message":{"content":{"text":"42"}}}]}',
    "text a number": b'{"choices":[{"text":42}]}',
    "calls an object": b'{"choices":[{"message":{"tool_calls":{}}}]}',
    "calls of strings": b'{"choices":[{"message":{"tool_calls":["add"]}}]}',
    "arguments a list": b'{"choices":[{"message":{"tool_calls":[{"function":{"arguments":[]}}]}}]}',
    "finish reason a number": b'{"choices":[{"text":"1","finish_reason":1}]}',
    "usage a number": b'{"choices":[{"text":"1"}],"usage":3}',
    "tokens a string": b'{"choices":[{"text":"1"}],"usage":{"completion_tokens":"3"}}',
    "NaN": b'{"choices":[{"text":"1","logprobs":NaN}]}',
    "Latin-1": '{"choices":[{"text":"é"}]}'.encode("latin-1"),
    "Latin-1 where nobody looks": '{"choices":[{"text":"1"}],"new":"é"}'.encode("latin-1"),
    "UTF-16": '{"choices":[{"text":"1"}]}'.encode("utf-16"),
    "nested too deeply": b'{"choices":[{"text":"1"}],"new":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "an error": b'{"error":{"message":"no","code":500}}',
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_unreadable(body: bytes) -> None:
    """What is no completion is an UnreadableAnswer, which has no status of its own."""
    with pytest.raises(UnreadableAnswer) as unreadable:
        read_reply(body)
    assert (None, b"") == (unreadable.value.status, unreadable.value.body)


@given(
    st.sampled_from([json.dumps(plain).encode() for plain, _ in READABLE]),
    st.integers(0),
    st.binary(max_size=2),
)
def test_damaged_answers_are_read_or_unreadable(body: bytes, place: int, damage: bytes) -> None:
    """An answer damaged anywhere is read or unreadable, and nothing worse; what is read is JSON."""
    at = place % len(body)
    damaged = body[:at] + damage + body[at + 1 :]
    try:
        read_reply(damaged)
    except UnreadableAnswer:
        return
    assert msgspec.json.decode(damaged)["choices"]


@given(st.integers(1))
def test_no_part_of_an_answer_is_taken_for_a_whole(place: int) -> None:
    """Wherever a plain answer breaks off, it is unreadable."""
    body = json.dumps(chat(content="42", usage={"completion_tokens": 3})).encode()
    with pytest.raises(UnreadableAnswer):
        read_reply(body[: place % len(body)])
