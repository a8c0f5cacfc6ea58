"""A client's stream merged from the streams of a round: driven as serving drives it, in any interleaving."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.ballot import Abstention, Sample
from gateway.core.failure import NoneAgrees
from gateway.core.path import END, HELD
from gateway.core.plan import Plan
from gateway.core.policy import Policy
from gateway.core.round import Action, Launch, Round
from gateway.core.vote import Verdict
from gateway.wire.answers import read_sample
from gateway.wire.chunks import Json, merge, read_stream
from gateway.wire.live import LiveStream, NotAsShown
from gateway.wire.live_chunks import CHAT_LIVE, COMPLETIONS_LIVE
from gateway.wire.live_reader import REASONING
from gateway.wire.sse import DONE, EventDecoder, encode_event
from tests.wire.recordings import recorded
from tests.wire.samples import FACE, Script, cut, places, scripts

unhurried = settings(max_examples=200)
STREAM = "text/event-stream"
QUESTION = b"question"


@dataclass
class Far:
    """What an upstream will send of one sample: its pieces, and how they end."""

    pieces: list[bytes]
    is_lost: bool = False  # it stalls, dies or breaks after its last piece
    is_plain: bool = False


@dataclass
class Stage:
    """A round and its stream, driven by turns: the sample of each turn goes on by one piece, or ends."""

    far: list[Far]
    live: LiveStream
    vote: Round
    client: bytes = b""
    in_flight: dict[int, int] = field(default_factory=dict)  # pieces that came of each sample
    received: dict[int, bytes] = field(default_factory=dict)

    def start(self) -> "Stage":
        self._do(self.vote.start())
        return self

    def turn(self, index: int) -> None:
        """Sample `index` goes on, if it is in flight."""
        if index not in self.in_flight or self.vote.result is not None:
            return
        far, number = self.far[index], self.in_flight[index]
        if number < len(far.pieces):
            self.in_flight[index] += 1
            self.received[index] = self.received.get(index, b"") + far.pieces[number]
            if not far.is_plain:
                self.client += self.live.piece(index, far.pieces[number])
        else:
            del self.in_flight[index]
            self._end(self._outcome(index))
        self._do(self.vote.ask_for(self.live.path.wants_more))

    def _outcome(self, index: int) -> Sample | Abstention:
        far, body = self.far[index], self.received.get(index, b"")
        if far.is_lost:
            return Abstention(index, "timeout")
        return Sample(index, read_sample(body, "" if far.is_plain else STREAM), body, not far.is_plain)

    def _end(self, outcome: Sample | Abstention) -> None:
        if isinstance(outcome, Sample):
            self.client += self.live.ended(outcome)
        actions = self.vote.receive(outcome)
        if isinstance(outcome, Abstention) and self.vote.result is None:
            self.client += self.live.lost(outcome.index, self.vote.budget)
        self._do(actions)

    def _do(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if isinstance(action, Launch):
                self.live.launch(action.index)
                self.in_flight[action.index] = 0
            else:
                del self.in_flight[action.index]

    def play(self, turns: Sequence[int]) -> "Stage":
        """These turns, then all others until the round is over."""
        for index in turns:
            self.turn(index)
        while self.vote.result is None:
            assert self.in_flight
            self.turn(min(self.in_flight))
        return self

    @property
    def winner(self) -> Sample:
        assert isinstance(self.vote.result, Verdict)
        return self.vote.result.winner

    def finish(self, **more: Any) -> bytes:
        """The client's whole stream, with the round's result at its end."""
        winner = self.winner
        options = {"include_usage": True} | more
        return self.client + self.live.finish(winner.body, streamed=winner.streamed, **options)


def stage(far: Sequence[Far], policy: Policy | None = None, *, is_chat: bool = True) -> Stage:
    """A round of k = 3 over these samples."""
    policy = policy or Policy(k=3)
    live = LiveStream(CHAT_LIVE if is_chat else COMPLETIONS_LIVE, policy.k, QUESTION)
    vote = Round(Plan(policy, 0, greedy=True, question=QUESTION), live.agrees)
    return Stage(list(far), live, vote).start()


def far(script: Script, at: Sequence[int] = ()) -> Far:
    """A sample in pieces, cut at these places; without any, event by event."""
    body = script.body()
    return Far(cut(body, at) if at else [event + b"\n\n" for event in body.split(b"\n\n")[:-1]])


def plain(script: Script) -> Far:
    return Far([json.dumps(merge(read_stream(script.body()))).encode()], is_plain=True)


def dying(script: Script, pieces: int) -> Far:
    return Far(far(script).pieces[:pieces], is_lost=True)


def payloads(stream: bytes) -> list[Json]:
    return [json.loads(event.data) for event in EventDecoder().feed(stream) if event.data != DONE]


def stream_of(chunks: Iterable[Json]) -> bytes:
    return b"".join(map(encode_event, [*(json.dumps(chunk).encode() for chunk in chunks), DONE]))


def texts(stream: bytes) -> list[str]:
    """The text of each chunk that has some."""
    deltas = [choice["delta"] for chunk in payloads(stream) for choice in chunk["choices"]]
    return [delta["content"] for delta in deltas if delta.get("content")]


def message(stream: bytes) -> Json:
    found: Json = merge(read_stream(stream))["choices"][0]["message"]
    return found


# Any round.


@st.composite
def rounds(draw: st.DrawFn, *, is_chat: bool = True) -> tuple[Policy, list[Far], list[int]]:
    """A policy, k + 1 samples of which one may be lost and one may be plain, and an interleaving."""
    policy = Policy(
        k=draw(st.integers(1, 5)), stop=draw(st.sampled_from(["unbeatable", "unbeatable", "all"]))
    )
    answers = draw(scripts(is_chat=is_chat))
    drawn = [replace(draw(st.sampled_from(answers)), name=f"sample-{index}") for index in range(policy.k + 1)]
    made = [Far(cut(script.body(), draw(places))) for script in drawn]
    broken = draw(st.none() | st.integers(0, policy.k))
    if broken is not None:
        made[broken] = Far(made[broken].pieces[: draw(st.integers(0, 4))], is_lost=True)
    unstreamed = draw(st.none() | st.integers(0, policy.k))
    if unstreamed not in (None, broken):
        made[unstreamed] = plain(drawn[unstreamed])
    return policy, made, draw(st.lists(st.integers(0, policy.k), max_size=40))


def _check(played: Stage) -> None:
    """The client has the winner's answer, but for reasoning, under one head."""
    if not isinstance(played.vote.result, Verdict):
        return
    stream = played.finish()
    assert _said(_answer(played.winner)) == _said(merge(read_stream(stream))["choices"][0])
    assert 1 == len({chunk["id"] for chunk in payloads(stream)})


def _said(choice: Json) -> Json:
    said = {name: value for name, value in choice.get("message", {}).items() if name not in REASONING}
    return {**choice, "message": said, "logprobs": None}


def _answer(sample: Sample) -> Json:
    found: Json = merge(read_stream(sample.body)) if sample.streamed else json.loads(sample.body)
    choice: Json = found["choices"][0]
    return choice


@unhurried
@given(rounds())
def test_the_client_gets_the_winner(drawn: tuple[Policy, list[Far], list[int]]) -> None:
    """Whatever comes, in whatever order and pieces, the client's stream spells out the winner of the round."""
    policy, samples, turns = drawn
    _check(stage(samples, policy).play(turns))


@unhurried
@given(rounds(is_chat=False))
def test_the_client_gets_the_completion(drawn: tuple[Policy, list[Far], list[int]]) -> None:
    """The same of completions."""
    policy, samples, turns = drawn
    _check(stage(samples, policy, is_chat=False).play(turns))


@unhurried
@given(rounds())
def test_what_was_shown_is_the_winners(drawn: tuple[Policy, list[Far], list[int]]) -> None:
    """At each moment the client has a beginning of the winner's text, and all of what the path has shown."""
    policy, samples, turns = drawn
    played = stage(samples, policy)
    seen = []
    for index in turns:
        played.turn(index)
        seen.append("".join(texts(played.client)))
        assert seen[-1] == played.live.path.shown
    played.play(())
    if isinstance(played.vote.result, Verdict):
        for shown in seen:
            assert played.winner.reply.content.startswith(shown)


PARTING = [
    Script("a", ("Let me see", ": 4", "1", "."), reasoning=("Hmm", "?")),
    Script("b", ("Let ", "me see: ", "42" + FACE), calls=(("f", '{"ž":1}'),), finish="tool_calls"),
    Script("c", ("Let me ", "see: 42" + FACE), reasoning=("No.",), calls=(("f", '{"ž":1}'),), finish="tool_calls"),
]  # fmt: skip


@pytest.mark.parametrize("length", [1, 2, 7, 100, 10_000])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_whole_and_byte_by_byte(length: int, end: bytes) -> None:
    """Three samples that part, in pieces of any length with comments between, in turn: one and the same answer."""
    bodies = [script.body(noisy=True, end=end) for script in PARTING]
    made = [Far([body[at : at + length] for at in range(0, len(body), length)]) for body in bodies]
    played = stage(made).play([0, 1, 2] * 5000)
    assert "Let me see: 42" + FACE == "".join(texts(played.client)) == played.winner.reply.content
    told = message(played.finish())
    assert (["f"], "Hmm?") == ([call["function"]["name"] for call in told["tool_calls"]], told["reasoning"])


@pytest.mark.parametrize(
    "name", ["chat_stream", "chat_stream_usage", "chat_tool_stream", "completions_stream"]
)
def test_streams_of_vllm(name: str) -> None:
    """What a real vLLM streamed, three times: its text is shown as it comes, and the whole says what it said."""
    body = recorded(name)
    played = stage([Far(cut(body, range(0, len(body), 300)))] * 3, is_chat=name.startswith("chat"))
    played.play([0, 1] * 1000)
    assert (played.winner.reply.content, bool(played.winner.reply.content)) == (
        played.live.path.shown,
        bool(played.client),
    )
    assert _said(merge(read_stream(body))["choices"][0]) == _said(
        merge(read_stream(played.finish()))["choices"][0]
    )


# Scenes.

HELLO = Script("a", ("Hel", "lo ", "ž" + FACE))
B, C = replace(HELLO, name="b"), replace(HELLO, name="c")


def test_agreement() -> None:
    """Two of three that agree are shown as they come, before either is whole; the third is never asked."""
    played = stage([far(HELLO), far(B), far(C)])
    for index in (0, 0, 0, 1, 1):
        played.turn(index)
    assert (["Hel"], {0, 1}) == (texts(played.client), set(played.in_flight))
    played.turn(1)
    assert ["Hel", "lo "] == texts(played.client)
    played.play(())
    assert (["Hel", "lo ", "ž" + FACE], "unanimous") == (texts(played.finish()), played.vote.result.outcome)  # type: ignore[union-attr]
    assert {"a"} == {chunk["id"] for chunk in payloads(played.finish())}


def test_divergence_in_mid_stream() -> None:
    """Where two part, the third is asked at once, and its side is followed once it has caught up."""
    one, two = replace(HELLO, content=("4", "1")), replace(B, content=("4", "2"))
    played = stage([far(one), far(two), far(replace(two, name="c"))])
    for index in (0, 0, 1, 1, 0):
        played.turn(index)
    assert {0, 1} == set(played.in_flight)
    played.turn(1)
    assert (["4"], {0, 1, 2}) == (texts(played.client), set(played.in_flight))
    for _ in range(3):
        played.turn(2)
    assert ["4", "2"] == texts(played.client)
    assert ("b", "42", "a") == (
        json.loads(played.play((0, 0, 0, 0)).winner.body.partition(b"\n")[0][6:])["id"],
        message(played.finish())["content"],
        payloads(played.finish())[0]["id"],
    )


def test_one_that_dies() -> None:
    """Of a sample that breaks off, what was shown stays; another takes its place, and the answer is whole."""
    played = stage([far(HELLO), dying(B, 2), far(C)])
    for index in (0, 0, 0, 1, 1):
        played.turn(index)
    assert (["Hel"], {0, 1}) == (texts(played.client), set(played.in_flight))
    played.turn(1)
    assert {0, 2} == set(played.in_flight)
    for _ in range(3):
        played.turn(2)
    assert ["Hel", "lo "] == texts(played.client)
    assert (HELLO.text, 1) == (message(played.play(()).finish())["content"], played.vote.abstained)


def test_nothing_is_shown_before_the_replacement_had_its_say() -> None:
    """Of two, one is lost: the other is shown only as far as the replacement agrees with it."""
    played = stage([far(HELLO), dying(B, 2), far(C)], Policy(k=2))
    for index in (1, 1, 0, 0, 1):
        played.turn(index)
    assert (["Hel"], {0, 2}) == (texts(played.client), set(played.in_flight))
    for index in (0, 0, 2, 2):
        played.turn(index)
    assert ["Hel"] == texts(played.client)
    played.turn(2)
    assert ["Hel", "lo "] == texts(played.client)


def test_one_that_stalls() -> None:
    """While a sample stalls the others go on without it as soon as they are enough, and wait for it if not."""
    played = stage([far(HELLO), dying(B, 2), far(C)], Policy(k=3, stop="all"))
    for index in (1, 1, 0, 0, 0, 0):
        played.turn(index)
    assert ["Hel"] == texts(played.client)
    for _ in range(4):
        played.turn(2)
    assert HELLO.text == "".join(texts(played.client))


def test_one_that_ends_early() -> None:
    """'yes' and 'yes, but' part at the end of the first: the third decides whether there is more."""
    yes, but = replace(HELLO, content=("yes",)), replace(B, content=("yes", ", but"))
    for third, expected, ending in (
        (replace(yes, name="c"), "yes", END),
        (replace(but, name="c"), "yes, but", END),
    ):
        played = stage([far(yes), far(but), far(third)])
        for index in (0,) * 9 + (1, 1, 1):
            played.turn(index)
        assert (["yes"], {1, 2}) == (texts(played.client), set(played.in_flight))
        for _ in range(5 + len(third.content)):
            played.turn(2)
        played.play(())
        assert (expected, ending) == ("".join(texts(played.finish())), played.live.path.ending)


def test_tool_calls_wait_for_the_verdict() -> None:
    """Text before a tool call is shown; the call follows with the verdict, whole and once."""
    calls = replace(HELLO, content=("Let me ", "see."), calls=(("f", '{"a":1}'),), finish="tool_calls")
    played = stage([far(calls), far(replace(calls, name="b"))])
    for index in (0,) * 4 + (1,) * 4:
        played.turn(index)
    assert (["Let me ", "see."], HELD) == (texts(played.client), played.live.path.ending)
    assert b"tool_calls" not in played.client
    stream = played.play(()).finish()
    made = merge(read_stream(stream))["choices"][0]
    assert ("tool_calls", [("f", '{"a":1}')]) == (
        made["finish_reason"],
        [(call["function"]["name"], call["function"]["arguments"]) for call in made["message"]["tool_calls"]],
    )


@pytest.mark.parametrize("name", sorted(REASONING))
def test_reasoning_is_shown_as_it_comes(name: str) -> None:
    """The reasoning of the sample that speaks first is shown at once, that of the others never."""
    one = replace(HELLO, reasoning=("Hm", "m."), reasoned_in=name)
    played = stage([far(one), far(replace(B, reasoning=("Well", "?"), reasoned_in=name))])
    shown = []
    for index in (1, 1, 0, 0, 0, 1, 1, 0):
        before = len(played.client)
        played.turn(index)
        shown.append([chunk["choices"][0]["delta"] for chunk in payloads(played.client[before:])])
    role = {"role": "assistant", "content": ""}
    assert [
        [],
        [role, {name: "Well"}],
        [],
        [],
        [],
        [{name: "?"}],
        [],
        [{"content": "Hel"}],
    ] == shown
    stream = played.play(()).finish()
    assert {"role": "assistant", "content": HELLO.text, name: "Well?"} == message(stream)
    assert {"b"} == {chunk["id"] for chunk in payloads(stream)}


def test_reasoning_after_the_text_began_waits() -> None:
    """Reasoning that comes after text was shown follows with the verdict, if its sample wins."""
    one = replace(HELLO, reasoning=("Hm", "m."))
    played = stage([far(one), far(B), far(C)], Policy(k=3, stop="all"))
    for index in (0, 0) + (1,) * 3 + (2,) * 3 + (0, 0):
        played.turn(index)
    deltas = [chunk["choices"][0]["delta"] for chunk in payloads(played.client)]
    assert [{"reasoning": "Hm"}, {"content": "Hel"}, {"content": "lo "}] == deltas[1:]
    assert {"role": "assistant", "content": HELLO.text, "reasoning": "Hmm."} == message(
        played.play(()).finish()
    )


def test_usage_and_consistency() -> None:
    """The usage is the winner's; it goes, with what is told, only to clients who asked; a comment tells the rest."""
    played = stage([far(HELLO), far(B)]).play((0, 1) * 4)
    told = {"x-consistency-outcome": "unanimous", "x-consistency-agreement": "1.00"}
    asked, not_asked = (
        played.finish(include_usage=include_usage, told=told) for include_usage in (True, False)
    )
    usage = payloads(asked)[-1]
    assert ("a", [], {"outcome": "unanimous", "agreement": 1.0}) == (
        usage["id"], usage["choices"], usage["consistency"],
    )  # fmt: skip
    assert json.loads(HELLO.body().split(b"\n\n")[-3][6:])["usage"] == usage["usage"]
    assert all(chunk["choices"] for chunk in payloads(not_asked))
    comment = b": x-consistency-outcome=unanimous x-consistency-agreement=1.00\n\ndata: [DONE]\n\n"
    assert asked.endswith(comment)
    assert not_asked.endswith(comment)


@pytest.mark.parametrize("in_each", [True, False])
@pytest.mark.parametrize("is_chat", [True, False])
@pytest.mark.parametrize("size", [1, 10_000])
def test_usage_in_the_chunks_of_choices(in_each: bool, is_chat: bool, size: int) -> None:  # noqa: FBT001
    """LMDeploy's usage, in each chunk or in the last, whole or byte by byte: one chunk apart, for those who asked."""
    script = replace(HELLO, is_chat=is_chat)
    *chunks, used = script.chunks()
    body = stream_of(
        {**chunk, "usage": used["usage"] if in_each or chunk is chunks[-1] else None} for chunk in chunks
    )
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    played = stage([Far(pieces), Far(pieces)], is_chat=is_chat).play((0, 1) * len(pieces))
    assert played.client
    asked = played.finish(told={"x-consistency-k": "3"})
    *said, usage = payloads(asked)
    assert (used["usage"], [], {"k": 3}) == (usage["usage"], usage["choices"], usage["consistency"])
    assert not any(chunk.get("usage") for chunk in said)
    assert said == payloads(played.finish(include_usage=False))
    assert merge(read_stream(script.body()))["choices"] == merge(read_stream(asked))["choices"]


def test_nothing_shown() -> None:
    """If a round ends before anything could be shown, its stream is the winner's own, byte for byte."""
    calls = replace(HELLO, content=(), calls=(("f", "{}"),))
    played = stage([far(calls), far(calls)]).play((0, 1) * 4)
    assert (b"", calls.body()) == (played.client, played.finish())


def test_a_plain_sample_leads() -> None:
    """A sample that came whole, from an upstream that does not stream, is shown as soon as another shares it."""
    played = stage([plain(HELLO), far(B)])
    for index in (0, 0, 1, 1):
        played.turn(index)
    assert (["Hel"], "a") == (texts(played.client), payloads(played.client)[0]["id"])


def test_a_plain_sample_with_calls() -> None:
    """The text of a plain answer is shown, its calls wait for the verdict as those of a stream do."""
    calls = replace(HELLO, calls=(("f", "{}"),))
    body = plain(calls).pieces[0]
    live = LiveStream(CHAT_LIVE, 1, QUESTION)
    made = live.ended(Sample(0, read_sample(body, ""), body))
    assert ([HELLO.text], HELD) == (texts(made), live.path.ending)
    assert message(calls.body()) == message(made + live.finish(body, streamed=False, include_usage=False))


def test_nobody_is_left() -> None:
    """If all that agree with what was shown are lost, no other sample can end the stream, nor win the round."""
    other = replace(C, content=("Bye",))
    played = stage([dying(HELLO, 3), dying(B, 3), far(other), far(replace(other, name="d"))])
    for index in (0, 0, 0, 1, 1, 1, 0, 1):
        played.turn(index)
    assert ["Hel", "lo "] == texts(played.client)
    for index in (2,) * 3 + (3,) * 3:
        played.turn(index)
    assert set() == played.live.path.agreeing
    with pytest.raises(NotAsShown):
        played.live.finish(other.body(), streamed=True, include_usage=True)
    assert isinstance(played.play(()).vote.result, NoneAgrees)


def test_clients_that_want_different_ends() -> None:
    """An end changes nothing: each client of one vote has an end of its own, after one answer."""
    played = stage([far(HELLO), far(B)]).play(())
    plain_end, with_usage = played.finish(include_usage=False), played.finish()
    assert message(plain_end) == message(with_usage)
    assert [False, True] == [
        payloads(stream)[-1].get("usage") is not None for stream in (plain_end, with_usage)
    ]


def test_what_a_sample_says_and_what_it_is_may_differ() -> None:
    """A sample whose text did not come in its chunks is not taken for one that ends where they do."""
    odd = b'data: {"id":"o","choices":[{"index":0,"delta":{"content":"Hel"}}]}\n\n'
    odd += b'data: {"choices":[{"index":0,"delta":{"content":["x"]}}]}\n\n'
    live = LiveStream(CHAT_LIVE, 1, QUESTION)
    assert ["Hel"] == texts(live.piece(0, odd))
    assert HELD == live.path.ending
    live = LiveStream(CHAT_LIVE, 1, QUESTION)
    live.piece(0, odd[: odd.index(b"\n\n") + 2])
    live.ended(Sample(0, read_sample(HELLO.body(), STREAM), HELLO.body(), streamed=True))
    assert HELD == live.path.ending
