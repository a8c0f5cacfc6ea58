"""Chunks read while they come, and the client's chunks written from them."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.wire.chunks import Json, merge, read_stream
from gateway.wire.live import NotAsShown, Said
from gateway.wire.live_chunks import CHAT_LIVE, COMPLETIONS_LIVE, LiveChunks
from gateway.wire.live_reader import REASONING, ChunkReader
from gateway.wire.sse import DONE, EventDecoder, encode_event
from tests.wire.samples import FACE, Script, cut, places, scripts

unhurried = settings(max_examples=100)
HELLO = Script("hello", ("Hel", "lo ", "ž" + FACE))
THOUGHT = replace(HELLO, name="thought", reasoning=("Hm", "m."))
CALL = replace(HELLO, name="call", calls=(("f", "{}"),))


def form(script: Script) -> LiveChunks:
    return CHAT_LIVE if script.is_chat else COMPLETIONS_LIVE


def read(pieces: Sequence[bytes], reader: ChunkReader | None = None) -> Said:
    """All that pieces of a stream say, in one."""
    reader = reader or ChunkReader()
    said = [reader.feed(piece) for piece in pieces]
    reasoning: dict[str, str] = {}
    for name, text in (each for some in said for each in some.reasoning):
        reasoning[name] = reasoning.get(name, "") + text
    for some in said:
        some.text.encode()  # no half of a pair
    return Said(
        tuple(reasoning.items()), "".join(some.text for some in said), any(some.is_held for some in said)
    )


def expected(script: Script) -> Said:
    reasoning = "".join(script.reasoning)
    is_held = bool(script.calls or script.refusal)
    return Said(((script.reasoned_in, reasoning),) if reasoning else (), script.text, is_held)


# Reading.


@unhurried
@given(
    scripts(most=1) | scripts(most=1, is_chat=False),
    places,
    st.booleans(),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
)
def test_cuts_do_not_matter(drawn: list[Script], at: list[int], noisy: bool, end: bytes) -> None:  # noqa: FBT001
    """Whole, in any pieces and byte by byte, with any line ends and comments, a stream says the same."""
    body = drawn[0].body(noisy=noisy, end=end)
    for pieces in ([body], cut(body, at), [bytes([byte]) for byte in body]):
        assert expected(drawn[0]) == read(pieces)


def test_pieces_say_what_they_complete() -> None:
    """Each piece says what its chunks add, and one that completes no chunk says nothing."""
    reader, events = ChunkReader(), [encode_event(json.dumps(chunk).encode()) for chunk in THOUGHT.chunks()]
    assert Said() == reader.feed(events[0])
    assert json.dumps(THOUGHT.chunks()[0]).encode() == reader.opening
    assert Said((("reasoning", "Hmm."),), "Hel") == reader.feed(events[1] + events[2] + events[3])
    assert Said() == reader.feed(events[4][:-1])
    assert Said((), "lo ž" + FACE) == reader.feed(events[4][-1:] + events[5])


def _delta(**members: Any) -> Json:
    return {"choices": [{"index": 0, "delta": members}]}


HOLDING: list[Json] = [
    _delta(tool_calls=[{"index": 0, "id": "1"}]), _delta(function_call={"name": "f"}), _delta(refusal="no"),
    _delta(audio={"id": "1"}), _delta(content=[{"type": "text", "text": "a"}]), _delta(annotations=[{"url": "u"}]),
    _delta(reasoning={"a": 1}), {"choices": [{"index": 0, "text": ["a"]}]},
]  # fmt: skip
SILENT: list[Json] = [
    _delta(), _delta(role="assistant", content="", refusal=None, tool_calls=None), _delta(tool_calls=[], audio={}),
    {"choices": []}, {"choices": None}, {}, {"choices": [{"index": 0, "delta": None, "finish_reason": "stop"}]},
    {"choices": [{"index": 1, "delta": {"content": "another"}}]}, {"error": None}, _delta(content=None),
    {"choices": [{"index": 0, "delta": {}, "logprobs": {"content": [1]}, "token_ids": [1], "new": 1}], "new": 1},
]  # fmt: skip
ENDING: list[bytes] = [
    DONE, b"<html>", b'{"error":{"message":"oops"}}', b"[]", b"1", b"null", b'{"choices":1}', b'{"choices":[1]}',
    b'{"choices":[{"delta":1}]}', b'{"choices":[{"delta":{"content":"\xff"}}]}', b"[" * 5000,
    b'{"choices":[{"delta":{"content":"\\ude00"}}]}',
]  # fmt: skip


@pytest.mark.parametrize("chunk", HOLDING, ids=json.dumps)
def test_what_is_not_shown_before_the_verdict(chunk: Json) -> None:
    """Deltas of anything but text and reasoning end what is shown of a sample, with the text beside them said."""
    data = json.dumps(chunk).encode()
    body = b"".join(map(encode_event, [b'{"choices":[{"delta":{"content":"a"}}]}', data, data]))
    reader = ChunkReader()
    assert [Said((), "a", is_held=True), Said()] == [reader.feed(body), reader.feed(body)]


@pytest.mark.parametrize("chunk", SILENT, ids=json.dumps)
def test_what_says_nothing(chunk: Json) -> None:
    """Empty members, other choices, log-probabilities and members nobody knows neither say nor end anything."""
    reader = ChunkReader()
    assert Said() == reader.feed(encode_event(json.dumps(chunk).encode()))
    assert Said((), "a") == reader.feed(encode_event(b'{"choices":[{"delta":{"content":"a"}}]}'))


@pytest.mark.parametrize("data", ENDING)
def test_what_ends_a_stream(data: bytes) -> None:
    """After `[DONE]`, an error or what is no chunk, nothing is said; what came before it is."""
    text = encode_event(b'{"choices":[{"delta":{"content":"a"}}]}')
    reader = ChunkReader()
    assert [Said((), "a"), Said()] == [reader.feed(text + encode_event(data) + text), reader.feed(text)]


@pytest.mark.parametrize(
    ("members", "can_show"),
    [
        ({}, True), ({"logprobs": None}, True), ({"logprobs": False}, True), ({"logprobs": True}, False),
        ({"logprobs": 0}, False), ({"logprobs": 5}, False), ({"top_logprobs": 2}, False), ({"tools": [{}]}, True),
        ({"return_token_ids": True}, False), ({"return_token_ids": False}, True), ({"return_logprob": True}, False),
        ({"stream_options": None}, True), ({"stream_options": {"include_usage": True}}, True),
        ({"stream_options": {"continuous_usage_stats": True}}, False),
    ],
)  # fmt: skip
def test_what_can_be_shown(members: Json, can_show: bool) -> None:  # noqa: FBT001 (a table's column)
    """Requests that want something said of each token, or usage in each chunk, are not shown live."""
    assert (can_show, can_show) == (CHAT_LIVE.can_show(members), COMPLETIONS_LIVE.can_show(members))


# Writing.


def payloads(stream: bytes) -> list[Json]:
    """The chunks of a client's stream."""
    return [json.loads(event.data) for event in EventDecoder().feed(stream) if event.data != DONE]


def whole(first: bytes, rest: Any) -> bytes:
    """A client's stream with its usage."""
    usage = encode_event(rest.usage) if rest.usage else b""
    return b"".join([first, *rest.frames, usage, rest.end])


def said_by(stream: bytes) -> Json:
    """What an answer says: all of its choice."""
    choice: Json = merge(read_stream(stream))["choices"][0]
    return choice


def shown(leader: Script, winner: Script, length: int, reasoned: int = 0) -> bytes:
    """A stream that shows so much of the winner's text under the leader's identity, then the rest of it."""
    writer, reader = form(leader).writer(), ChunkReader()
    reader.feed(leader.body())
    made = writer.begin(reader.opening)
    if begun := "".join(leader.reasoning)[:reasoned]:
        made += writer.reasoning(((leader.reasoned_in, begun),))
    text = winner.text[:length]
    for piece in cut(text, [3, 4]):
        made += writer.text(piece)
    return whole(made, writer.rest(winner.body(), streamed=True, shown=text))


@unhurried
@given(scripts() | scripts(is_chat=False), st.integers(0, 12))
def test_the_client_gets_the_winner(drawn: list[Script], length: int) -> None:
    """However much was shown, and whoever led, the whole stream spells out the winner."""
    leader, winner = drawn[0], drawn[-1]
    stream = shown(leader, winner, length)
    assert said_by(winner.body()) == said_by(stream)
    heads = {
        json.dumps({name: chunk[name] for name in ("id", "object", "created", "model")})
        for chunk in payloads(stream)
    }
    assert 1 == len(heads)
    assert leader.name == payloads(stream)[0]["id"]


@unhurried
@given(scripts(), st.integers(1, 4), st.integers(0, 12))
def test_reasoning_is_of_one_sample(drawn: list[Script], reasoned: int, length: int) -> None:
    """Where reasoning was shown, it goes on if its sample won, and stays as it is if another one did."""
    leader, winner = drawn[0], drawn[-1]
    begun = "".join(leader.reasoning)[:reasoned]
    told = said_by(shown(leader, winner, length, reasoned))["message"]
    got = "".join(told.get(name, "") for name in REASONING)
    own = "".join(winner.reasoning)
    assert (begun if begun and leader is not winner else own) == got


def test_the_first_chunk_has_the_role() -> None:
    """A chat opens with the role, said once; text and reasoning follow under one identity."""
    stream = payloads(shown(THOUGHT, THOUGHT, 5, reasoned=3))
    deltas = [chunk["choices"][0]["delta"] for chunk in stream if chunk["choices"]]
    assert [{"role": "assistant", "content": ""}, {"reasoning": "Hmm"}] == deltas[:2]
    assert 1 == sum("role" in delta for delta in deltas)
    assert [{"reasoning": "."}, {"content": " "}, {"content": "ž" + FACE}, {}] == deltas[-4:]


def test_completions_have_no_role() -> None:
    """A completion's first chunk is text."""
    script = replace(HELLO, is_chat=False)
    choices = [chunk["choices"][0] for chunk in payloads(shown(script, script, 4)) if chunk["choices"]]
    assert {"index": 0, "text": "Hel", "logprobs": None, "finish_reason": None} == choices[0]
    assert ["Hel", "l", "o ", "ž" + FACE, ""] == [choice["text"] for choice in choices]


def test_nothing_shown_is_the_winners_own_stream() -> None:
    """Before anything was shown, the rest is the winner's own stream, byte for byte."""
    rest = CHAT_LIVE.writer().rest(CALL.body(), streamed=True, shown="")
    assert CALL.body() == whole(b"", rest)


def test_what_has_been_said_is_not_said_again() -> None:
    """Chunks of which nothing is left are not sent; the ones left are the winner's own."""
    stream = payloads(shown(HELLO, CALL, len(CALL.text)))
    rest = [chunk["choices"][0]["delta"] for chunk in stream if chunk["choices"]][-3:]
    assert [chunk["choices"][0]["delta"] for chunk in CALL.chunks()[-4:-1]] == rest


@pytest.mark.parametrize("is_chat", [True, False])
def test_a_plain_answer(is_chat: bool) -> None:  # noqa: FBT001
    """Leader and winner may be plain answers, from upstreams that do not stream."""
    script = replace(CALL if is_chat else HELLO, is_chat=is_chat)
    plain = merge(read_stream(script.body()))
    body = json.dumps(plain).encode()
    writer = form(script).writer()
    made = writer.begin(body) + writer.text("Hello")
    stream = whole(made, writer.rest(body, streamed=False, shown="Hello"))
    assert {**said_by(stream), "logprobs": None} == {**plain["choices"][0], "logprobs": None}
    assert {script.name} == {chunk["id"] for chunk in payloads(stream)}


@pytest.mark.parametrize("text", ["Help", "Hello ž" + FACE + "!", "hello"])
def test_not_as_shown(text: str) -> None:
    """An answer that does not begin with what was shown cannot follow it."""
    writer = CHAT_LIVE.writer()
    writer.begin(json.dumps(HELLO.chunks()[0]).encode())
    with pytest.raises(NotAsShown):
        writer.rest(HELLO.body(), streamed=True, shown=text)


def test_what_each_token_has_is_not_lost() -> None:
    """Log-probabilities and ids of tokens that were not shown with their text follow in the rest."""
    chunks = [
        {**HELLO.head(), "choices": [{"index": 0, "delta": {"content": piece}, "logprobs": {"content": [piece]},
                                      "token_ids": [number]}]}
        for number, piece in enumerate(HELLO.content)
    ]  # fmt: skip
    body = b"".join(encode_event(json.dumps(chunk).encode()) for chunk in chunks) + encode_event(DONE)
    writer = CHAT_LIVE.writer()
    made = writer.begin(json.dumps(chunks[0]).encode()) + writer.text("Hello")
    choice = said_by(whole(made, writer.rest(body, streamed=True, shown="Hello")))
    assert ([*HELLO.content], [0, 1, 2], HELLO.text) == (
        choice["logprobs"]["content"], choice["token_ids"], choice["message"]["content"],
    )  # fmt: skip


def test_integers_of_any_size() -> None:
    """Numbers that no machine word holds come through as they were."""
    chunks = HELLO.chunks()
    chunks[-2]["choices"][0]["stop_reason"] = 1 << 80
    body = b"".join(encode_event(json.dumps(chunk).encode()) for chunk in chunks) + encode_event(DONE)
    writer = CHAT_LIVE.writer()
    writer.begin(json.dumps(chunks[0]).encode())
    last = payloads(b"".join(writer.rest(body, streamed=True, shown="Hel").frames))[-1]
    assert 1 << 80 == last["choices"][0]["stop_reason"]
