"""What telemetry is told of a round."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.ballot import Abstention, Reply, Sample
from gateway.core.plan import Plan
from gateway.core.policy import PRESETS, Policy
from gateway.core.record import RoundRecord, record_round
from gateway.core.round import Launch, Round
from gateway.core.vote import Verdict
from tests.core.playing import Note, play

STRICT = PRESETS["strict"]


def ended(policy: Policy, *script: str | int) -> Round:
    """A round that got these samples, or failures by status, in sample order, until it had a result."""
    vote = Round(Plan(policy, 0, greedy=True, question=b"question"))
    launched = [action.index for action in vote.start()]
    while vote.result is None:
        index = launched.pop(0)
        note = script[index]
        came = Sample(index, Reply(note)) if isinstance(note, str) else Abstention(index, "status", note)
        launched += [action.index for action in vote.receive(came) if isinstance(action, Launch)]
    return vote


def record(vote: Round) -> RoundRecord:
    """The record of a round, with the same particulars for each."""
    return record_round(vote, key="key", endpoint="/v1/completions", model="demo", pin="won", seconds=0.5)


@pytest.mark.parametrize(
    ("policy", "script", "told"),
    [
        (Policy(), ("a", "a"), ("unanimous", 2, 0, 0, 1)),
        (Policy(), ("a", "b", "b"), ("majority", 3, 0, 0, 0)),
        (Policy(), ("a", "b", "c"), ("tie", 3, 0, 0, 0)),
        (Policy(k=1), ("a",), ("single", 1, 0, 0, 0)),
        (Policy(k=5), ("a", "a", "a"), ("unanimous", 3, 0, 0, 2)),
        (Policy(k=9, wave=3), ("a", "b", *"aaaaa"), ("majority", 6, 0, 2, 1)),
        (Policy(stop="all"), ("a", 503, "a", "a"), ("unanimous", 3, 1, 0, 0)),
        (Policy(), (503, 503, 503), ("no_quorum", 0, 3, 1, 0)),
        (Policy(k=1), (503, 503), ("no_quorum", 0, 2, 0, 0)),
        (Policy(stop="all"), (400,), ("no_quorum", 0, 1, 2, 0)),
    ],
)
def test_the_fate_of_every_sample(
    policy: Policy, script: tuple[str | int, ...], told: tuple[str, int, int, int, int]
) -> None:
    """Outcome, ballots, failed, cancelled and saved samples are those of the round, with none spoiled."""
    made = record(ended(policy, *script))
    assert told == (made.outcome, made.ballots, made.abstained, made.cancelled, made.saved)
    assert made.spoiled == 0


def test_particulars() -> None:
    """The record passes on what it was told, the policy's name and the kind of spread without its delay."""
    vote = ended(Policy("mine", spread="staggered:50ms"), "a", "a")
    told = record(vote)
    expected = ("key", "/v1/completions", "demo", "mine", "staggered", b"question", vote.result, "won", 0.5)
    assert expected == (
        told.key, told.endpoint, told.model, told.policy, told.spread, told.question, told.verdict,
        told.pin, told.seconds,
    )  # fmt: skip


def test_tokens_and_margins() -> None:
    """Tokens are those of all samples and what was read of cancelled ones; margins those known, in sample order."""
    policy = replace(STRICT, k=4, min_agreement=0.9)
    replies: list[Note] = [
        Reply("a", tokens=2, margin=0.5),
        Reply("b", tokens=3),
        Reply("a", tokens=4, margin=0.25),
        503,
    ]
    played = play(
        policy, [*replies, Reply("a", tokens=5, margin=2.0)], [4, 3, 2, 1, 0], reference=Reply("r", tokens=7)
    )
    played.round.tokens += 100
    told = record(played.round)
    assert (121, (0.5, 0.25, 2.0), (1, 0)) == (told.tokens, told.margins, (told.abstained, told.cancelled))


@pytest.mark.parametrize(
    ("policy", "script", "reference", "told"),
    [
        (STRICT, "aaa", "r", ("none", "unanimous", 1.0, False)),
        (STRICT, "aba", "r", ("came", "majority", 2 / 3, False)),
        (STRICT, "aba", 503, ("failed", "majority", 2 / 3, False)),
        (replace(STRICT, reference_fallback="return"), "aba", 503, ("failed", "majority", 2 / 3, False)),
        (replace(STRICT, on_disagreement="escalate:5"), "abaaa", "r", ("none", "majority", 3 / 4, True)),
    ],
)
def test_what_disagreement_led_to(
    policy: Policy, script: str, reference: str | int, told: tuple[str, str, float, bool]
) -> None:
    """The record says what came of a reference sample and of escalation, with the vote's own verdict."""
    made = record(play(policy, [*script, "-", "-"], reference=reference).round)
    assert made.verdict is not None
    assert told == (made.reference, made.outcome, made.verdict.agreement, made.is_escalated)
    assert made.saved == 0


@pytest.mark.parametrize(
    ("answer", "fields"), [("json", (("/a", 1.0), ("/b", 2 / 3))), ("text", ()), ("number", ())]
)
def test_agreement_by_field(answer: str, fields: tuple[tuple[str, float], ...]) -> None:
    """Where answers are JSON the record says how far the samples agree on each field of the winner."""
    script = ['{"a":1,"b":2}', '{"b":3,"a":1}', '{"b":2,"a":1}', "-"]
    assert fields == record(play(Policy(answer=answer, stop="all"), script).round).fields


def test_a_round_given_up() -> None:
    """A round without a result has a record too: what was launched, and nothing saved."""
    vote = Round(Plan(Policy(k=5), 0, greedy=True, question=b"question"))
    vote.start()
    vote.receive(Sample(0, Reply("a", tokens=2)))
    told = record(vote)
    assert (told.verdict, told.ballots, told.cancelled, told.saved, told.tokens) == (None, 1, 2, 0, 2)


def test_one_sample_accepted_by_its_margin_saves_the_rest() -> None:
    """Where one sample was enough, k - 1 were saved."""
    told = record(play(Policy(k=5, accept_margin=0.5), [Reply("a", margin=0.5)] * 6, greedy=True).round)
    assert (told.outcome, told.ballots, told.saved, told.margins) == ("single", 1, 4, (0.5,))


def test_no_verdict_without_quorum() -> None:
    """Where there was no quorum of samples the record has no verdict, and its outcome is `no_quorum`."""
    told = record(ended(Policy(), 503, 503, 503, 503))
    assert told.verdict is None
    assert told.outcome == "no_quorum"


@settings(max_examples=100)
@given(
    k=st.integers(1, 6),
    wave=st.integers(1, 3),
    script=st.lists(st.sampled_from(["a", "b", 503]), min_size=7, max_size=7),
)
def test_the_counts_add_up(k: int, wave: int, script: list[str | int]) -> None:
    """Ballots, failures and cancelled ones are all that was launched; with those saved they are at least k."""
    vote = ended(Policy(k=k, wave=wave), *script)
    told = record(vote)
    accounted = told.ballots + told.spoiled + told.abstained + told.cancelled
    assert vote.launched == accounted
    assert max(k, vote.launched) == accounted + told.saved
    assert isinstance(vote.result, Verdict) == (told.verdict is not None)
    assert min(told.ballots, told.spoiled, told.abstained, told.cancelled, told.saved) >= 0
