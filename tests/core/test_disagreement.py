"""What a round does when its samples do not agree: escalate, ask the reference lane, or neither."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.core.ballot import Abstention, Ballot, Reply, cast
from gateway.core.failure import NoReference, NoSamples
from gateway.core.gate import is_disagreement, refusal_to_pin
from gateway.core.plan import Plan
from gateway.core.policy import PRESETS, Policy
from gateway.core.round import Cancel, Launch, Round
from gateway.core.vote import Verdict, decide
from tests.core.playing import Game, Note, Play, any_games, outcome, play

STRICT = PRESETS["strict"]
ESCALATE = Policy(k=3, min_agreement=0.5, on_disagreement="escalate:9")


def wide(text: str, margin: float | None) -> Reply:
    """A reply with this margin."""
    return Reply(text, tokens=1, margin=margin)


# Escalation.


def test_disagreement_escalates() -> None:
    """Three different answers go on to as many as could decide a vote of nine, and are judged by that."""
    game = play(ESCALATE, ["a", "b", "c", "a", "a", "a", "a", "-", "-", "-"])
    assert [*range(7)] == [launch.index for launch in game.launched]
    assert (game.answer, game.verdict.outcome, game.verdict.agreement) == ("a", "majority", 5 / 7)
    assert (game.verdict.k, game.verdict.samples, game.verdict.votes) == (9, 7, (5, 1, 1))
    assert game.round.is_escalated


def test_agreement_does_not_escalate() -> None:
    """A vote of k that agrees as the policy wants ends the round."""
    game = play(ESCALATE, ["a", "b", "a", "-"])
    assert (game.answer, game.verdict.k, len(game.launched)) == ("a", 3, 3)
    assert not game.round.is_escalated


def test_an_escalated_round_returns_what_it_has() -> None:
    """If N samples do not agree either, the plurality is returned, as under `return`."""
    game = play(ESCALATE, [*"abcdabcda", "-"])
    assert (game.answer, game.verdict.outcome) == ("a", "plurality")
    assert (game.verdict.agreement, game.verdict.samples) == (3 / 9, 9)


def test_the_ten_seeds_of_an_escalated_round() -> None:
    """Escalation goes on where the vote stopped: each index once, each with its own seed, failures replaced."""
    game = play(replace(ESCALATE, min_agreement=1.0, stop="all"), [*"abc", 503, *"aaaaaa"])
    assert [Launch(index, 100 + index) for index in range(10)] == game.launched
    assert (game.verdict.samples, game.verdict.agreement, game.round.abstained) == (9, 7 / 9, 1)


def test_samples_in_flight_serve_the_escalated_vote() -> None:
    """What is in flight when a vote of k is decided without agreement is not cancelled but counted."""
    policy = Policy(k=4, wave=4, min_agreement=1.0, on_disagreement="escalate:8")
    game = Round(Plan(policy, 0, greedy=True, question=b""))
    assert len(game.start()) == 4
    assert [[], [], []] == [game.receive(outcome(index, note)) for index, note in enumerate("aba")]
    launched = game.receive(outcome(3, "a"))
    assert [Launch(4, 0), Launch(5, 0), Launch(6, 0), Launch(7, 0)] == launched
    assert [] == game.receive(outcome(4, "a"))
    assert [Cancel(6), Cancel(7)] == game.receive(outcome(5, "a"))


def test_an_error_that_no_retry_mends_ends_an_escalated_round() -> None:
    """A final error is passed on from the second vote as from the first."""
    lost = play(ESCALATE, ["a", "b", "c", 400, "a", "a", "a"]).lost
    assert outcome(3, 400) == lost.culprit


# The reference lane.


@pytest.mark.parametrize("order", [*permutations(range(3))])
def test_the_reference_lane_arbitrates(order: Sequence[int]) -> None:
    """Where samples disagree one reference sample is the answer; outcome and agreement stay the vote's."""
    game = play(STRICT, ["42", "41", "42", "-"], order, reference=Reply("43", tokens=5))
    assert [Launch(0, 100), Launch(1, 101), Launch(2, 102), Launch(3, 100, "reference")] == game.launched
    verdict = game.verdict
    assert ("43", 3, "came") == (game.answer, verdict.winner.index, verdict.arbitration)
    assert (verdict.outcome, verdict.agreement, verdict.samples, verdict.votes) == (
        "majority",
        2 / 3,
        3,
        (2, 1),
    )
    assert (8, 8) == (verdict.tokens, game.round.tokens)
    assert (game.round.launched, game.round.abstained, game.round.reference) == (3, 0, "came")


def test_agreement_needs_no_reference() -> None:
    """Where all samples agree the reference lane is not asked."""
    game = play(STRICT, ["42", "42", "42", "-"])
    assert ("42", "none", "none") == (game.answer, game.verdict.arbitration, game.round.reference)
    assert {"fast"} == {launch.lane for launch in game.launched}


def test_the_vote_is_over_when_the_reference_lane_is_asked() -> None:
    """What the vote still has in flight is cancelled first, and what comes of it is ignored."""
    policy = Policy(k=5, min_agreement=0.9, on_disagreement="reference")
    game = Round(Plan(policy, 0, greedy=True, question=b""))
    assert 5 == len([*game.start(), *game.ask_for(9)])
    assert [[], [], []] == [game.receive(outcome(index, note)) for index, note in enumerate("aba")]
    assert "none" == game.reference
    assert [Cancel(4), Launch(5, 0, "reference")] == game.receive(outcome(3, "a"))
    assert [] == game.receive(outcome(4, "b"))
    assert [] == game.ask_for(3)
    assert "asked" == game.reference
    assert [] == game.receive(outcome(5, "r"))
    assert isinstance(game.result, Verdict)
    assert ("r", 3 / 4) == (game.result.winner.reply.content, game.result.agreement)


@pytest.mark.parametrize("note", [400, 429, 503, 0])
def test_no_reference_no_answer(note: int) -> None:
    """Without a reference sample, whatever it failed of, there is no answer; there is no second try."""
    game = play(STRICT, ["42", "41", "42", "-"], reference=note)
    lost = game.round.result
    assert isinstance(lost, NoReference)
    assert outcome(3, note) == lost.abstention
    assert ("majority", 2 / 3, "failed") == (
        lost.verdict.outcome,
        lost.verdict.agreement,
        game.round.reference,
    )


def test_without_reference_the_plurality() -> None:
    """Under `reference_fallback: return` the vote's own winner is the answer, and marked as not arbitrated."""
    game = play(replace(STRICT, reference_fallback="return"), ["42", "41", "42", "-"], reference=503)
    verdict = game.verdict
    assert ("42", "majority", "failed") == (game.answer, verdict.outcome, verdict.arbitration)
    assert "failed" == game.round.reference


def test_no_lane_at_all() -> None:
    """That no reference lane is up and trusted comes as an abstention with a reason of its own."""
    game = Round(Plan(STRICT, 0, greedy=True, question=b""))
    missing = Abstention(3, "reference")
    game.start()
    for came in (*(outcome(index, note) for index, note in enumerate("aba")), missing):
        game.receive(came)
    assert isinstance(game.result, NoReference)
    assert missing == game.result.abstention


def test_too_few_samples_are_no_disagreement() -> None:
    """Where too few samples came there is no vote, and nothing to arbitrate or to escalate."""
    for policy in (STRICT, ESCALATE):
        game = play(policy, [503, 503, 503, "42"])
        assert (game.lost.samples, game.round.reference, game.round.is_escalated) == (0, "none", False)


@pytest.mark.parametrize("name", ["reference", "serial"])
def test_a_policy_of_the_reference_lane(name: str) -> None:
    """Such a policy's sample is asked for on the reference lane, and replaced there once."""
    assert [Launch(0, 100, "reference")] == play(PRESETS[name], ["42", "-"]).launched
    game = play(PRESETS[name], [503, "42"])
    assert [Launch(0, 100, "reference"), Launch(1, 101, "reference")] == game.launched
    assert (game.answer, game.verdict.outcome, game.verdict.arbitration) == ("42", "single", "none")


# Samples without an answer.

NUMBER = Policy(answer="number")


def test_all_spoiled() -> None:
    """If no sample has an answer the round is decided on exact text: no quorum, agreement 0, and never pinned."""
    game = play(NUMBER, ["who knows", "not me", "not me", "-"])
    verdict = game.verdict
    assert ("not me", "no_quorum", 0.0, 3) == (
        game.answer,
        verdict.outcome,
        verdict.agreement,
        verdict.samples,
    )
    assert "no_quorum" == refusal_to_pin(verdict, NUMBER, None)


@pytest.mark.parametrize("script", [["?", "?", "?", "-"], ["?", "?", "42", "-"]])
@pytest.mark.parametrize(
    ("reference", "arbitration", "refusal"), [("42", "came", None), ("no idea", "spoiled", "reference")]
)
def test_spoiled_samples_go_to_the_reference_lane(
    script: list[str], reference: str, arbitration: str, refusal: str | None
) -> None:
    """Too few answers are a disagreement for any threshold; what comes of it is pinned if it is an answer."""
    policy = replace(NUMBER, on_disagreement="reference")
    game = play(policy, script, reference=reference)
    verdict = game.verdict
    assert (reference, "no_quorum", arbitration) == (game.answer, verdict.outcome, verdict.arbitration)
    assert refusal == refusal_to_pin(verdict, policy, None)


def test_spoiled_samples_escalate() -> None:
    """Under `escalate:N` a vote with too few answers goes on to find more."""
    game = play(replace(NUMBER, on_disagreement="escalate:7"), [*"??42121", "-"])
    assert game.round.is_escalated
    assert game.verdict.samples == 7


def test_a_spoiled_sample_is_not_accepted() -> None:
    """However wide its margin, a sample without an answer does not end a round."""
    policy = replace(NUMBER, accept_margin=0.25)
    game = play(policy, [wide("who knows", 9.0), wide("42", 9.0), "42", "-"], greedy=True)
    assert ("42", "majority", 3) == (game.answer, game.verdict.outcome, game.verdict.samples)


# Strictness under failures.


@pytest.mark.parametrize("order", [*permutations(range(4))])
def test_strict_accepts_what_failures_leave_of_the_vote(order: Sequence[int]) -> None:
    """After two failures of k=3 two equal samples are all that was cast: unanimous, and accepted.

    No early stop does that: while the third can come it is waited for, and replaced once.
    """
    game = play(STRICT, ["42", 503, 503, "42"], order)
    assert [*range(4)] == sorted(game.arrived)
    assert (game.verdict.outcome, game.verdict.agreement, game.verdict.samples) == ("unanimous", 1.0, 2)
    assert "none" == game.round.reference


def test_min_ballots_makes_strict_stricter() -> None:
    """Whoever wants all k, or no answer, says so by `min_ballots`."""
    game = play(replace(STRICT, min_ballots=3), ["42", 503, 503, "42"])
    assert (game.lost.samples, game.lost.quorum) == (1, 3)


# One sample accepted by its margin.

MARGIN = Policy(k=3, accept_margin=0.25)


@pytest.mark.parametrize("margin", [0.25, 0.5, 7.0])
def test_a_wide_margin_is_enough(margin: float) -> None:
    """At temperature 0 one sample is launched alone, and ends the round if its margin is wide enough."""
    game = play(MARGIN, [wide("42", margin), "-", "-", "-"], greedy=True)
    assert [Launch(0, 100)] == game.launched
    verdict = game.verdict
    assert (verdict.outcome, verdict.agreement, verdict.samples, verdict.k) == ("single", 1.0, 1, 3)
    assert margin == verdict.margin


@pytest.mark.parametrize("note", [wide("42", 0.2), wide("42", None), "42"])
def test_a_narrow_margin_goes_on(note: Note) -> None:
    """A margin that is narrow or not known goes on to the usual vote, of which that sample is the first."""
    game = play(MARGIN, [note, wide("42", 9.0), "-", "-"], greedy=True)
    assert [Launch(0, 100), Launch(1, 100)] == game.launched
    assert (game.verdict.outcome, game.verdict.samples) == ("unanimous", 2)


def test_a_failure_goes_on() -> None:
    """If the sample alone never comes the usual vote follows; a later sample's margin ends nothing."""
    game = play(MARGIN, [503, wide("42", 9.0), wide("42", 9.0), "-"], greedy=True)
    assert [0, 1, 2] == game.arrived
    assert (game.verdict.outcome, game.verdict.samples) == ("unanimous", 2)


@pytest.mark.parametrize(
    ("policy", "greedy", "launched"),
    [(MARGIN, False, 2), (replace(MARGIN, k=1), True, 1), (replace(MARGIN, accept_margin=None), True, 2)],
)
def test_margins_count_where_they_say_something(policy: Policy, launched: int, *, greedy: bool) -> None:
    """At a temperature, for a single sample, or if it is off, a margin changes nothing."""
    game = play(policy, [wide("42", 9.0)] * 4, greedy=greedy)
    assert launched == len(game.launched)
    assert game.verdict.outcome == ("single" if policy.k == 1 else "unanimous")


# Every game.


@settings(max_examples=100)
@given(game=any_games())
def test_conduct(game: Game) -> None:
    """Whatever the policy and whatever comes, a round ends, within its budget, and cancels what is in flight.

    It asks the reference lane only for what disagrees, once, and after the vote.
    """
    played, policy = game.play(), game.policy
    vote = played.launched[: played.round.launched]
    rest = played.launched[played.round.launched :]
    assert [*range(len(vote))] == [launch.index for launch in vote]
    assert {policy.lane} == {launch.lane for launch in vote}
    assert len(vote) <= played.round.budget <= policy.most + 1
    assert rest in ([], [Launch(len(vote), 100, "reference")])
    assert {launch.index for launch in played.launched} == {*played.arrived, *played.cancelled}
    assert len(played.launched) == len(played.arrived) + len(played.cancelled)
    assert bool(rest) == (played.round.reference != "none")
    if rest:
        assert policy.on_disagreement == "reference"


def vote_of(played: Round) -> Verdict | None:
    """The vote's own verdict, from the samples cast alone, in no order."""
    if isinstance(played.result, NoSamples):
        return None
    size = played.plan.policy.most if played.is_escalated else played.plan.policy.k
    return decide(played.votes[::-1], size, played.plan.policy.quorum, played.plan.question)


@settings(max_examples=100)
@given(game=any_games(), data=st.data())
def test_a_verdict_is_a_function_of_the_votes_cast(game: Game, data: st.DataObject) -> None:
    """Two orders of arrival that led to the same samples cast led to the same result, under every rule."""
    one, other = game.play(), game.play(data.draw(st.permutations(game.order)))
    assume(one.round.votes == other.round.votes and one.round.abstained == other.round.abstained)
    assert one.round.result == other.round.result or isinstance(one.round.result, NoSamples)
    verdict, vote = one.round.result, vote_of(one.round)
    if isinstance(verdict, Verdict) and vote is not None and verdict.outcome != "single":
        assert (
            vote._replace(winner=verdict.winner, arbitration=verdict.arbitration, tokens=verdict.tokens)
            == verdict
        )
        assert verdict.arbitration in {"came", "spoiled"} or verdict.winner == vote.winner


def answer_of(played: Play) -> str | None:
    """The winner's answer as it was voted on; None if it has none."""
    vote = cast(played.verdict.winner, played.round.plan.answer)
    return vote.answer if isinstance(vote, Ballot) else None


@settings(max_examples=100)
@given(game=any_games(), stop=st.sampled_from(["all", "unbeatable"]), data=st.data())
def test_arrival_changes_no_answer(game: Game, stop: str, data: st.DataObject) -> None:
    """Under `all` and `unbeatable` every order of arrival ends in the same answer, by the same way.

    A round that stops early has the answer of the one that waits for all.
    """
    game = replace(game, policy=replace(game.policy, stop=stop, accept_margin=None))
    full = replace(game, policy=replace(game.policy, stop="all"))
    one, other = game.play(), full.play(data.draw(st.permutations(game.order)))
    assert type(one.round.result) is type(other.round.result)
    assert (one.round.is_escalated, one.round.reference) == (other.round.is_escalated, other.round.reference)
    if isinstance(one.round.result, Verdict):
        assert answer_of(one) == answer_of(other)


@settings(max_examples=100)
@given(game=any_games())
def test_disagreement_is_never_returned_unasked(game: Game) -> None:
    """A verdict without agreement is returned only where the policy says so, or after what it says was done."""
    played, policy = game.play(), game.policy
    result = played.round.result
    if isinstance(result, Verdict) and is_disagreement(result, policy):
        assert {
            "return": True,
            "reject": True,  # told apart by whoever serves it, with the same test
            "reference": result.arbitration != "none",
        }.get(policy.on_disagreement, played.round.is_escalated)
    if isinstance(result, Verdict) and result.arbitration == "failed":
        assert policy.reference_fallback == "return"
