"""Responses and messages merged from the streams of a round while they come, in any interleaving."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.ballot import Sample
from gateway.wire.forms.form import Form
from gateway.wire.forms.messages import MESSAGES
from gateway.wire.live import LiveForm, LiveStream, NotAsShown
from tests.wire.recordings import form_of, recorded
from tests.wire.samples import FACE, cut, places
from tests.wire.spelt import REASONING, got
from tests.wire.units import LIVE, Answer, answers

unhurried = settings(max_examples=150)
STREAM = "text/event-stream"

both = pytest.mark.parametrize(("form", "live_form"), LIVE, ids=["responses", "messages"])


def sample(form: Form, index: int, body: bytes, *, streamed: bool = True) -> Sample:
    return Sample(index, form.reply(body, STREAM if streamed else ""), body, streamed)


def play(
    form: Form, live: LiveStream, bodies: Sequence[Sequence[bytes]], turns: Sequence[int]
) -> tuple[list[Sample], bytes]:
    """Let samples come in by turns, each by one piece or its end, then all others; a body in one piece is plain.

    Returns the samples, and what a client was sent.
    """
    samples: dict[int, Sample] = {}
    sent = b""
    came = [0] * len(bodies)
    for index in [*turns, *(index for index, pieces in enumerate(bodies) for _ in range(len(pieces) + 1))]:
        pieces = bodies[index]
        if came[index] < len(pieces):
            if len(pieces) > 1:
                sent += live.piece(index, pieces[came[index]])
        elif index not in samples:
            samples[index] = sample(form, index, b"".join(pieces), streamed=len(pieces) > 1)
            sent += live.ended(samples[index])
        came[index] += 1
    return [samples[index] for index in sorted(samples)], sent


@both
@given(data=st.data())
@unhurried
def test_the_client_gets_the_winner(form: Form, live_form: LiveForm, data: st.DataObject) -> None:
    """Whatever comes, in whatever order and pieces: text, calls, reason and usage of any that may win, in order."""
    drawn = data.draw(answers())
    bodies = [cut(answer.stream(form, data.draw(places)), [5, *data.draw(places)]) for answer in drawn]
    plain = data.draw(st.none() | st.integers(0, len(drawn) - 1))
    if plain is not None:
        bodies[plain] = [drawn[plain].plain(form)]
    live = LiveStream(live_form, len(drawn), b"question")
    samples, sent = play(form, live, bodies, data.draw(st.lists(st.integers(0, len(drawn) - 1), max_size=40)))
    scripts = [got(form, answer.stream(form)) for answer in drawn]
    for each in filter(live.agrees, samples):
        stream = sent + live.finish(each.body, streamed=each.streamed, include_usage=False)
        assert each.reply == form.reply(stream, STREAM)
        told, own = got(form, stream), scripts[each.index]
        leader = next(script for script in scripts if script.name == told.name)
        assert leader.thought.startswith(told.thought) or own.thought.startswith(told.thought)
        assert own.ending == told.ending
        assert own.of("function_call", "tool_use") == told.of("function_call", "tool_use")


@both
@given(data=st.data())
@unhurried
def test_reasoning_is_of_one_sample(form: Form, live_form: LiveForm, data: st.DataObject) -> None:
    """What a stream of one sample has shown goes on as it was; nothing that was sent is said again."""
    answer = data.draw(answers(most=1))[0]
    body = answer.stream(form, data.draw(places))
    live = LiveStream(live_form, 1, b"question")
    sent = live.piece(0, body[: data.draw(st.integers(0, len(body)))])
    stream = sent + live.finish(body, streamed=True, include_usage=False)
    own, told = got(form, body), got(form, stream)
    assert own.name == told.name
    assert own.of(*REASONING) == told.of(*REASONING)
    assert answer.text == form.reply(stream, STREAM).content


PARTING = [
    Answer(1, ("Hmm?",), ("Let me see: 41.",)),
    Answer(2, (), ("Let me see: 42" + FACE,), ("f",)),
    Answer(3, ("No.", "Yes."), ("Let me see: 42" + FACE,), ("f",)),
]


@both
@pytest.mark.parametrize("length", [1, 2, 7, 100, 10_000])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_whole_and_byte_by_byte(form: Form, live_form: LiveForm, length: int, end: bytes) -> None:
    """Three samples that part, in pieces of any length with comments and pings between: one and the same answer."""
    bodies = [answer.stream(form, noisy=True, end=end) for answer in PARTING]
    pieces = [[body[at : at + length] for at in range(0, len(body), length)] + [b""] for body in bodies]
    live = LiveStream(live_form, 3, b"question")
    samples, sent = play(form, live, pieces, [0, 1, 2] * 9000)
    assert "Let me see: 42" + FACE == live.path.shown
    stream = sent + live.finish(samples[2].body, streamed=True, include_usage=False)
    told = got(form, stream)
    assert samples[2].reply == form.reply(stream, STREAM)
    leader = next(own for own in (got(form, body) for body in bodies) if own.name == told.name)
    assert told.thought
    assert leader.thought.startswith(told.thought)
    kinds = ["message", "function_call"] if form is not MESSAGES else ["text", "tool_use"]
    assert kinds == [unit["type"] for unit in told.units if unit["type"] not in REASONING]


@pytest.mark.parametrize(
    "name", ["responses_stream", "responses_tool_stream", "messages_stream", "messages_tool_stream"]
)
@pytest.mark.parametrize("length", [1, 300, 10_000])
def test_streams_of_vllm(name: str, length: int) -> None:
    """What a real vLLM streamed, three times: its text is shown as it comes, and the whole says what it said."""
    body, form = recorded(name), form_of(name)
    pieces = cut(body, range(0, len(body), length))
    live = LiveStream(dict(LIVE)[form], 3, b"question")
    sent = b"".join(live.piece(index, piece) for piece in pieces for index in (0, 1))
    reply = form.reply(body, STREAM)
    assert (reply.content, bool(reply.content)) == (live.path.shown, bool(sent))
    stream = sent + live.finish(body, streamed=True, include_usage=False)
    assert reply == form.reply(stream, STREAM)


@both
def test_nothing_shown(form: Form, live_form: LiveForm) -> None:
    """If a round ends before anything could be shown, its stream is the winner's own, byte for byte."""
    body = Answer(1, (), (), ("f",)).stream(form)
    live = LiveStream(live_form, 2, b"question")
    assert (b"", b"") == (live.piece(0, body), live.piece(1, body))
    assert body == live.finish(body, streamed=True, include_usage=False)


@both
@pytest.mark.parametrize("text", ["Help", "hello!", "Hel", ""])
def test_not_as_shown(form: Form, live_form: LiveForm, text: str) -> None:
    """An answer that does not begin with what was shown cannot follow it."""
    live = LiveStream(live_form, 1, b"question")
    live.piece(0, Answer(1, (), ("Hello",)).stream(form))
    with pytest.raises(NotAsShown):
        live.finish(
            Answer(2, (), tuple(filter(None, [text])), ("f",)).stream(form),
            streamed=True,
            include_usage=False,
        )


@both
def test_what_is_told_comes_before_the_last_event(form: Form, live_form: LiveForm) -> None:
    """The verdict is a comment in front of the last event."""
    body = Answer(1, (), ("Hello",)).stream(form)
    live = LiveStream(live_form, 1, b"question")
    live.piece(0, body)
    rest = live.finish(body, streamed=True, include_usage=True, told={"x-consistency-outcome": "unanimous"})
    *_, comment, last = rest.rstrip(b"\n").split(b"\n\n")
    assert b": x-consistency-outcome=unanimous" == comment
    assert last.startswith((b"event: response.completed\n", b"event: message_stop\n"))
