"""One vote as a state machine, driven through every order of arrival that scripted samples can have."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.agreement import reaches
from gateway.core.ballot import Abstention
from gateway.core.failure import NoneAgrees, NoSamples
from gateway.core.plan import Plan
from gateway.core.policy import Policy
from gateway.core.round import Cancel, Launch, Round
from gateway.core.vote import Verdict
from tests.core.playing import UNREACHABLE, Script, games, outcome, play, shows

quickly = settings(max_examples=100)
MAJORITY = Policy()

# Scripts with a known end.


@pytest.mark.parametrize("order", [*permutations(range(4))])
def test_41_42_42(order: Sequence[int]) -> None:
    """Of 41, 42, 42 the answer is 42 with agreement 2/3, on three samples, in any order of arrival."""
    game = play(MAJORITY, ["41", "42", "42", "never"], order)
    expected = ("42", "majority", 2 / 3, 3)
    verdict = game.verdict
    assert expected == (game.answer, verdict.outcome, verdict.agreement, verdict.samples)
    assert game.cancelled == []


def test_42_42() -> None:
    """Two equal answers decide a round of three: the third is never launched."""
    game = play(MAJORITY, ["42", "42", "41"])
    assert [Launch(0, 100), Launch(1, 101)] == game.launched
    assert (
        game.verdict.outcome, game.verdict.agreement, game.verdict.k, game.verdict.samples,
    ) == ("unanimous", 1.0, 3, 2)  # fmt: skip


@pytest.mark.parametrize("answers", [*permutations(["41", "42", "43"])])
@pytest.mark.parametrize("order", [*permutations(range(3))])
def test_41_42_43(answers: Sequence[str], order: Sequence[int]) -> None:
    """A three-way tie has one winner, in all six orders of arrival of each of the six numberings."""
    game = play(MAJORITY, answers, order)
    assert (game.verdict.outcome, game.verdict.agreement, game.verdict.samples) == ("tie", 1 / 3, 3)
    assert play(MAJORITY, ["41", "42", "43"]).answer == game.answer


@pytest.mark.parametrize(("k", "launched"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (8, 5), (16, 9)])
def test_unanimous_rounds_launch_no_more_than_could_decide(k: int, launched: int) -> None:
    """Where all agree, the first lot is all that is launched, and nothing is cancelled."""
    game = play(replace(MAJORITY, k=k), ["42"] * (k + 1))
    assert launched == len(game.launched) == game.verdict.samples
    assert game.cancelled == []


@pytest.mark.parametrize(
    ("policy", "script", "lots"),
    [
        (MAJORITY, ["a", "b", "c"], [2, 0, 1, 0]),
        (MAJORITY, ["a", "a", "-"], [2, 0, 0]),
        (Policy(k=5), ["a", "b", "a", "a", "-"], [3, 0, 1, 0, 0]),
        (Policy(k=5), ["a", "b", "c", "a", "a"], [3, 0, 1, 1, 0, 0]),
        (Policy(k=5, wave=4), ["a", "b", "c", "a", "a"], [3, 0, 2, 0, 0, 0]),
        (Policy(k=9, wave=3), ["a", "b", *"aaaaaaa"], [5, 0, 3, 0, 0, 0, 0]),
        (Policy(k=3, stop="all"), ["a", "a", "a"], [3, 0, 0, 0]),
        (Policy(k=3, min_agreement=1.0), ["a", "a", "a"], [3, 0, 0, 0]),
    ],
)
def test_lots(policy: Policy, script: Script, lots: list[int]) -> None:
    """How many samples are launched at the start and on each outcome, until the round has a result."""
    game = Round(Plan(policy, 0, greedy=True, question=b""))
    launched = [len(game.start())]
    for index, note in enumerate(script):
        if game.result is None:
            actions = game.receive(outcome(index, note))
            launched.append(sum(isinstance(action, Launch) for action in actions))
    assert lots == launched


def test_a_late_sample_is_cancelled() -> None:
    """A sample in flight when the round ends is cancelled, and what still comes of it changes nothing."""
    game = Round(Plan(Policy(k=9, wave=3), 0, greedy=True, question=b""))
    assert [action.index for action in game.start()] == [0, 1, 2, 3, 4]
    launched = [game.receive(outcome(index, note)) for index, note in enumerate("abaaa")]
    assert [[], [Launch(5, 0), Launch(6, 0), Launch(7, 0)], [], [], []] == launched
    assert [Cancel(5), Cancel(7)] == game.receive(outcome(6, "a"))
    result, standing = game.result, game.standing
    for index, note in ((5, "b"), (7, 400), (7, 503)):
        assert game.receive(outcome(index, note)) == []
    assert (result, standing) == (game.result, game.standing)


# Failures.


@pytest.mark.parametrize("status", [UNREACHABLE, 408, 425, 429, 500, 502, 503])
def test_the_first_failure_is_replaced_by_index_k(status: int) -> None:
    """One failed sample costs nothing: index k, with the seed after the others', takes its place."""
    game = play(Policy(stop="all"), ["42", status, "42", "42"])
    assert [Launch(0, 100), Launch(1, 101), Launch(2, 102), Launch(3, 103)] == game.launched
    assert (
        game.verdict.outcome, game.verdict.agreement, game.verdict.samples, game.round.abstained,
    ) == ("unanimous", 1.0, 3, 1)  # fmt: skip


def test_only_the_first_failure_is_replaced() -> None:
    """After a second failure the round goes on with what it has, while that is a quorum."""
    game = play(Policy(stop="all"), ["42", 503, 503, "42"])
    assert len(game.launched) == 4
    assert (game.verdict.outcome, game.verdict.samples, game.round.abstained) == ("unanimous", 2, 2)


def test_lazily_a_failure_is_made_up_by_the_next_index() -> None:
    """Where not all of k were launched, the next index comes first; index k stays in reserve for a tie."""
    agreed = play(MAJORITY, [503, "42", "42", "-"])
    assert [launch.index for launch in agreed.launched] == [0, 1, 2]
    assert agreed.verdict.outcome == "unanimous"
    split = play(MAJORITY, [503, "41", "42", "42"])
    assert [launch.index for launch in split.launched] == [0, 1, 2, 3]
    assert (split.answer, split.verdict.agreement) == ("42", 2 / 3)


def test_one_sample_has_one_second_chance() -> None:
    """With k=1 a failure is replaced once, by index 1; the outcome is still `single`."""
    game = play(Policy(k=1), [503, "42"])
    assert [Launch(0, 100), Launch(1, 101)] == game.launched
    assert (game.verdict.outcome, game.verdict.winner.index) == ("single", 1)
    assert [abstention.index for abstention in play(Policy(k=1), [503, 503]).lost.abstentions] == [0, 1]


@pytest.mark.parametrize("status", [400, 404, 422])
@pytest.mark.parametrize("order", [*permutations(range(4))])
def test_an_error_that_no_retry_mends_ends_the_round(status: int, order: Sequence[int]) -> None:
    """A final 4xx ends the round when it arrives: the rest is cancelled, none launched, the error passed on."""
    game = play(Policy(stop="all"), ["42", status, 503, "42"], order)
    assert game.arrived[-1] == 1
    assert {launch.index for launch in game.launched} == {*game.arrived, *game.cancelled}
    assert outcome(1, status) == game.lost.culprit


@pytest.mark.parametrize(
    ("script", "culprit"),
    [
        ([429, 429, 429, 429], 429),
        ([503, 503, 503, 503], 503),
        ([UNREACHABLE] * 4, UNREACHABLE),
        ([429, 503, 503, 503], None),
        ([503, UNREACHABLE, 503, 503], None),
        (["42", 503, 503, 503], 503),
        ([503, 503, "42", 503], 503),
        (["42", 503, 429, 503], None),
    ],
)
def test_whose_error_it_was(script: Script, culprit: int | None) -> None:
    """Without a quorum the upstream's own error is passed on, whole, if all failed alike; else there is none."""
    lost = play(Policy(stop="all"), script).lost
    assert lost.quorum == 2
    assert lost.abstentions == tuple(sorted(lost.abstentions, key=lambda abstention: abstention.index))
    if culprit is None:
        assert lost.culprit is None
    else:
        last = lost.abstentions[-1]
        assert (outcome(last.index, culprit), last) == (lost.culprit, lost.culprit)


@pytest.mark.parametrize("order", [*permutations(range(4))])
def test_failures_are_listed_in_sample_order(order: Sequence[int]) -> None:
    """What came instead of samples is listed by index, in whatever order it came."""
    lost = play(Policy(stop="all", min_ballots=3), [503, 429, 503, 429], order).lost
    listed = [abstention.index for abstention in lost.abstentions]
    assert sorted(listed) == listed
    assert 2 == len(listed)


def test_a_lost_round_ends_early() -> None:
    """Once a quorum cannot come any more the round ends, and cancels what is still in flight."""
    game = play(Policy(k=5, stop="all"), [503, 503, 503, 503, "42", "42"])
    assert (game.arrived, game.cancelled) == ([0, 1, 2, 3], [4, 5])
    assert (len(game.lost.abstentions), game.lost.samples, game.lost.quorum) == (4, 0, 3)


def test_asking_for_more() -> None:
    """Samples may be asked for before the vote needs them, as far as it may have them, until it has ended."""
    game = Round(Plan(Policy(k=5), 0, greedy=True, question=b""))
    assert 3 == len(game.start())
    assert [Launch(3, 0)] == game.ask_for(1)
    assert [Launch(4, 0)] == game.ask_for(7)
    assert [] == game.ask_for(1)
    assert [Launch(5, 0)] == game.receive(outcome(0, 503)) + game.ask_for(1)
    assert [[], [], [Cancel(4), Cancel(5)]] == [game.receive(outcome(index, "a")) for index in (1, 2, 3)]
    assert [] == game.ask_for(1)


# What a live stream has shown.


def test_a_round_ends_with_what_was_shown() -> None:
    """A sample that agrees with what was shown wins, with its own agreement, though others have more votes."""
    game = play(Policy(k=5, answer="text"), ["ab", "c", "ac", "c", "d", "-"], agrees=shows("a"))
    verdict = game.verdict
    assert verdict.winner.reply.content in {"ab", "ac"}
    assert (verdict.agreement, verdict.outcome, verdict.votes) == (1 / 5, "tie", (2, 1, 1, 1))


def test_a_round_waits_for_a_sample_that_agrees() -> None:
    """A lead that would end the round does not while what was shown is agreed to by nobody yet."""
    game = play(MAJORITY, ["b", "b", "a", "-"], agrees=shows("a"))
    assert ("a", 1 / 3) == (game.answer, game.verdict.agreement)
    assert [0, 1, 2] == game.arrived


def test_the_stream_goes_on_as_it_was_shown_last() -> None:
    """What counts is what was shown when an outcome comes, not when the round began."""
    shown = [""]
    game = Round(
        Plan(MAJORITY, 0, greedy=True, question=b""), lambda sample: sample.reply.content.startswith(shown[0])
    )
    assert len(game.start()) == 2
    game.receive(outcome(0, "b"))
    shown[0] = "a"
    assert [Launch(2, 0)] == game.receive(outcome(1, "b"))
    game.receive(outcome(2, "a"))
    assert isinstance(game.result, Verdict)
    assert "a" == game.result.winner.reply.content


def test_nobody_agrees() -> None:
    """If every sample that would agree has died, the round says so, with what became of them."""
    game = play(MAJORITY, ["b", 503, "b", "b"], agrees=shows("a"))
    assert (
        NoneAgrees((Abstention(1, "status", 503, b"detail", (("retry-after", "7"),)),), 3)
        == game.round.result
    )


@settings(max_examples=200)
@given(game=games(), shown=st.sampled_from(["a", "b", "c", "a "]))
def test_what_was_shown_is_kept(game: tuple[Policy, Script, Sequence[int]], shown: str) -> None:
    """Whatever comes, the winner agrees with what was shown, and is the one of the full vote.

    A round in which nobody agrees has waited for all that could come.
    """
    policy, script, order = replace(game[0], answer="text"), game[1], game[2]
    agrees = shows(shown)
    early, full = play(policy, script, order, agrees), play(replace(policy, stop="all"), script, None, agrees)
    assert type(full.round.result) is type(early.round.result)
    if isinstance(early.round.result, Verdict):
        assert agrees(early.verdict.winner)
        assert full.verdict.winner.reply == early.verdict.winner.reply
    elif isinstance(early.round.result, NoneAgrees):
        assert len(early.launched) == len(early.arrived) == policy.k + min(early.round.abstained, 1)


# Seeds.


@pytest.mark.parametrize(
    ("seed", "index", "sent"),
    [
        (7, 0, 7),
        (7, 3, 10),
        (-2, 3, 1),
        (2**31 - 1, 1, 2**31),
        (2**63 - 1, 0, 2**63 - 1),
        (2**63 - 1, 1, -(2**63)),
        (2**63 - 2, 3, -(2**63) + 1),
    ],
)
def test_sample_i_has_seed_plus_i(seed: int, index: int, sent: int) -> None:
    """At a temperature sample i gets seed + i, wrapped within 64 signed bits; greedy samples share the seed."""
    assert sent == Plan(MAJORITY, seed, greedy=False, question=b"").seed_of(index)
    assert seed == Plan(MAJORITY, seed, greedy=True, question=b"").seed_of(index)


@quickly
@given(seed=st.integers(-(2**63), 2**63 - 1))
def test_seeds_are_distinct_and_fit(seed: int) -> None:
    """No two samples of a round share a seed at a temperature, and each is an int64."""
    seeds = [Plan(MAJORITY, seed, greedy=False, question=b"").seed_of(index) for index in range(17)]
    assert len(set(seeds)) == 17
    assert all(-(2**63) <= sent < 2**63 for sent in seeds)


# Every game.


@quickly
@given(game=games())
def test_conduct(game: tuple[Policy, Script, Sequence[int]]) -> None:
    """Whatever comes, a round ends with a result, launches each index once and cancels what is in flight.

    Indices are launched in order from 0, at most k of them, and one more once something has failed.
    """
    policy, script, order = game
    played = play(policy, script, order)
    launched = [launch.index for launch in played.launched]
    assert [*range(len(launched))] == launched
    assert len(launched) <= policy.k + (1 if played.round.abstained else 0)
    assert [100 + index for index in launched] == [launch.seed for launch in played.launched]
    assert sorted(set(launched) - set(played.arrived)) == played.cancelled
    assert played.round.launched == len(launched)


@quickly
@given(game=games())
def test_never_below_quorum_while_samples_can_come(game: tuple[Policy, Script, Sequence[int]]) -> None:
    """A verdict has a quorum; a round is lost only if all that could still come would not make one."""
    policy, script, order = game
    played = play(policy, script, order)
    failed = played.round.abstained
    possible = policy.k + (1 if failed else 0) - failed
    if isinstance(played.round.result, Verdict):
        assert played.verdict.samples >= policy.quorum
        assert played.verdict.outcome != "no_quorum"
    else:
        assert possible < policy.quorum
        assert failed == len(played.lost.abstentions)


@quickly
@given(game=games(), data=st.data())
def test_the_full_vote_does_not_depend_on_arrival(
    game: tuple[Policy, Script, Sequence[int]], data: st.DataObject
) -> None:
    """Under `all` the same outcomes, failures among them, give the same verdict in every order of arrival."""
    policy, script, order = game
    policy = replace(policy, stop="all")
    one, other = play(policy, script, order), play(policy, script, data.draw(st.permutations(order)))
    if isinstance(one.round.result, Verdict):
        assert one.verdict == other.verdict
    else:
        assert one.lost.quorum == other.lost.quorum


def agrees_with_full_vote(policy: Policy, script: Script, order: Sequence[int]) -> bool:
    """Whether a round names the answer of the vote of all k, and is on its side of `min_agreement`."""
    early, full = play(policy, script, order), play(replace(policy, stop="all"), script)
    if isinstance(full.round.result, NoSamples):
        return isinstance(early.round.result, NoSamples)
    sides = {reaches(game.verdict.agreement, policy.min_agreement) for game in (early, full)}
    return early.answer == full.answer and len(sides) == 1


@settings(max_examples=200)
@given(game=games())
def test_early_stop_names_the_winner_of_the_full_vote(game: tuple[Policy, Script, Sequence[int]]) -> None:
    """Stopping early changes neither the winning answer nor the side of the threshold, in any order."""
    assert agrees_with_full_vote(*game)


@pytest.mark.parametrize("min_agreement", [0.0, 1.0])
def test_every_round_of_three(min_agreement: float) -> None:
    """The same for k=3 without exception: each script of two answers and a failure, in each order."""
    policy = Policy(answer="normalized", min_agreement=min_agreement)
    notes: list[str | int] = ["a", "b", 503]
    for script in product(notes, repeat=4):
        for order in permutations(range(4)):
            assert agrees_with_full_vote(policy, script, order)


@quickly
@given(game=games())
def test_full_agreement_means_all_k(game: tuple[Policy, Script, Sequence[int]]) -> None:
    """With min_agreement 1.0 a round accepts nothing short of every sample that it could get.

    That is k of them, unless more than one failed: the first failure is replaced, a later one is not.
    """
    policy, script, order = game
    played = play(replace(policy, min_agreement=1.0), script, order)
    if isinstance(played.round.result, Verdict) and played.verdict.agreement == 1.0:
        failed = played.round.abstained
        assert policy.k - max(failed - 1, 0) == played.verdict.samples
