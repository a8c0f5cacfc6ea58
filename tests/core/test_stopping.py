"""When a round may end before all k samples are in."""

from collections import Counter
from fractions import Fraction
from itertools import combinations_with_replacement, product
from math import comb, factorial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.stopping import Standing, StopRule, is_confident


def standing(lead: int, second: int, outstanding: int, spoiled: int = 0) -> Standing:
    """Where a round of two answers stands."""
    return Standing(lead, second, lead + second, spoiled, outstanding)


# Every state of a round with up to three votes for each of three answers: votes sorted, spoiled, outstanding.
STATES = [
    (Standing(lead, second, lead + second + third, spoiled, outstanding), third)
    for lead, second, third in combinations_with_replacement((3, 2, 1, 0), 3)
    for spoiled, outstanding in product(range(3), range(4))
    if lead + spoiled + outstanding
]
THRESHOLDS = (0.0, 0.34, 0.5, 0.6, 2 / 3, 0.8, 1.0)


def rules(
    *, stops: tuple[str, ...] = ("all", "unbeatable"), quorums: tuple[int, ...] = (1,)
) -> list[StopRule]:
    """Each combination of these stop rules and quorums with each threshold."""
    return [StopRule(*fields) for fields in product(stops, quorums, THRESHOLDS)]


def futures(at: Standing, third: int) -> list[tuple[int, ...]]:
    """Votes of the leader, the second, the third, a newcomer and the spoiled, for all that can still come.

    Where fewer samples come in the end than were outstanding, the rest abstained.
    """
    now = (at.lead, at.second, third, 0, at.spoiled)
    more = [m for m in product(range(at.outstanding + 1), repeat=5) if sum(m) <= at.outstanding]
    return [tuple(have + add for have, add in zip(now, extra, strict=True)) for extra in more]


@pytest.mark.parametrize(
    ("k", "quorum", "stop", "min_agreement", "first_lot"),
    [
        (1, 1, "unbeatable", 0.0, 1),
        (2, 2, "unbeatable", 0.0, 2),
        (3, 2, "unbeatable", 0.0, 2),
        (4, 3, "unbeatable", 0.0, 3),
        (5, 3, "unbeatable", 0.0, 3),
        (7, 4, "unbeatable", 0.0, 4),
        (8, 5, "unbeatable", 0.0, 5),
        (40, 21, "unbeatable", 0.0, 21),
        (3, 1, "unbeatable", 0.0, 2),
        (3, 3, "unbeatable", 0.0, 3),
        (5, 4, "unbeatable", 0.0, 4),
        (3, 2, "all", 0.0, 3),
        (5, 1, "all", 0.0, 5),
        (3, 2, "unbeatable", 1.0, 3),
        (5, 3, "unbeatable", 0.5, 3),
        (5, 3, "unbeatable", 0.8, 4),
        (5, 3, "unbeatable", 1.0, 4),  # where one dissents
        (15, 3, "beta:0.95", 0.0, 4),
        (15, 6, "beta:0.95", 0.0, 6),
        (3, 3, "beta:0.95", 0.0, 3),
        (15, 3, "beta:0.99", 0.0, 6),
    ],
)
def test_the_first_lot(k: int, quorum: int, stop: str, min_agreement: float, first_lot: int) -> None:
    """A round starts with as many samples as could decide it."""
    assert first_lot == StopRule(stop, quorum, min_agreement).needed(standing(0, 0, k))


@pytest.mark.parametrize(
    ("at", "decided"),
    [
        (standing(0, 0, 3), False),
        (standing(1, 0, 2), False),
        (standing(2, 0, 1), True),
        (standing(1, 1, 1), False),
        (standing(1, 1, 0), True),
        (standing(2, 0, 3), False),
        (standing(3, 0, 2), True),
        (standing(2, 1, 2), False),
        (standing(3, 1, 1), True),
        (standing(2, 2, 1), False),
        (standing(2, 0, 2), False),  # the second could still draw level
        (standing(1, 0, 1, spoiled=1), False),
        (standing(1, 0, 0, spoiled=2), True),
    ],
)
def test_unbeatable(at: Standing, decided: bool) -> None:  # noqa: FBT001  a column
    """A lead decides as soon as it is greater than the samples outstanding, and not at equality."""
    assert decided == StopRule("unbeatable", 1, 0.0).decided(at)


@pytest.mark.parametrize("lead", range(6))
def test_all_waits_for_all(lead: int) -> None:
    """Under `all` no lead decides while a sample can come."""
    rule = StopRule("all", 1, 0.0)
    assert not rule.decided(standing(lead, 0, 1))
    assert rule.decided(standing(lead, 0, 0))


@pytest.mark.parametrize(
    ("at", "min_agreement", "decided"),
    [
        (standing(2, 0, 1), 1.0, False),  # a third could disagree
        (standing(3, 0, 0), 1.0, True),
        (standing(2, 1, 0), 1.0, True),
        (standing(3, 1, 1), 1.0, True),  # the full vote cannot be unanimous any more
        (standing(3, 0, 2), 0.6, True),  # 3 of 5 already
        (standing(3, 0, 2), 0.8, False),  # could end as 3 or as 4 of 5
        (standing(4, 0, 1), 0.8, True),
        (standing(3, 1, 1), 0.8, False),
        (standing(3, 0, 1, spoiled=1), 0.8, False),
        (standing(3, 0, 1, spoiled=1), 1.0, True),  # a spoiled one counts in the denominator
        (standing(2, 0, 1), 2 / 3, True),
    ],
)
def test_agreement(at: Standing, min_agreement: float, decided: bool) -> None:  # noqa: FBT001  a column
    """With `min_agreement` a lead decides only once the full vote's side of the threshold is certain."""
    assert decided == StopRule("unbeatable", 1, min_agreement).decided(at)


@pytest.mark.parametrize("rule", rules())
def test_a_decided_round_stays_decided(rule: StopRule) -> None:
    """Nothing that can still come changes who wins a decided round, nor its side of the threshold.

    Every future of every state is tried: votes for any of the answers or a new one, spoiled, never cast.
    """
    for at, third in STATES:
        if at.outstanding == 0 or not rule.decided(at):
            continue
        enough = at.lead / (at.ballots + at.spoiled) >= rule.min_agreement
        for lead, *rest in futures(at, third):
            assert lead > max(rest[:3])
            assert enough == (lead / sum((lead, *rest)) >= rule.min_agreement)


@pytest.mark.parametrize("rule", rules(stops=("unbeatable",), quorums=(1, 2, 4)))
def test_an_undecided_round_is_open(rule: StopRule) -> None:
    """`unbeatable` goes on only for a reason: quorum, or a future that changes the winner or the side."""
    for at, third in STATES:
        if rule.decided(at) or at.ballots < rule.quorum:
            continue
        total = at.ballots + at.spoiled + at.outstanding
        whole = [future for future in futures(at, third) if sum(future) == total]
        sides = {lead / total >= rule.min_agreement for lead, *_ in whole}
        assert len(sides) == 2 or any(lead <= max(rest[:3]) for lead, *rest in whole)


@pytest.mark.parametrize("rule", rules(stops=("all", "unbeatable", "beta:0.75"), quorums=(1, 2, 4, 9)))
def test_no_rule_goes_below_quorum(rule: StopRule) -> None:
    """While samples can come a round with too few ballots is not decided, whatever its lead."""
    for at, _ in STATES:
        if at.ballots < rule.quorum:
            assert rule.decided(at) == (at.outstanding == 0)


# The least that could decide, by trying everything.


def standing_of(votes: Counter[str], spoiled: int, outstanding: int) -> Standing:
    """Where a round with these votes stands."""
    lead, second = (*sorted(votes.values(), reverse=True), 0, 0)[:2]
    return Standing(lead, second, votes.total(), spoiled, outstanding)


def could_be_decided(rule: StopRule, votes: Counter[str], spoiled: int, outstanding: int, more: int) -> bool:
    """Whether any `more` samples, voting for old or new answers or spoiled, would decide the round."""
    answers = [*votes, *(f"new {number}" for number in range(more)), "?"]
    for came in combinations_with_replacement(answers, more):
        then = votes + Counter(answer for answer in came if answer != "?")
        if rule.decided(standing_of(then, spoiled + came.count("?"), outstanding - more)):
            return True
    return False


@settings(max_examples=150)
@given(
    votes=st.lists(st.integers(1, 5), max_size=3),
    spoiled=st.integers(0, 2),
    outstanding=st.integers(0, 6),
    rule=st.builds(
        StopRule,
        st.sampled_from(["all", "unbeatable", "beta:0.95", "beta:0.75"]),
        st.sampled_from([1, 2, 4, 9]),
        st.sampled_from(THRESHOLDS),
    ),
)
def test_what_is_needed_could_decide(
    votes: list[int], spoiled: int, outstanding: int, rule: StopRule
) -> None:
    """The number needed is the least after which the round could be decided, by any outcome at all."""
    have = Counter({str(number): cast for number, cast in enumerate(votes)})
    least = next(
        more for more in range(outstanding + 1) if could_be_decided(rule, have, spoiled, outstanding, more)
    )
    assert least == rule.needed(standing_of(have, spoiled, outstanding))


def test_a_round_that_could_fail_sooner_than_agree() -> None:
    """Four of five samples can show that they are not unanimous; that all five agree takes five."""
    rule = StopRule("unbeatable", 3, 1.0)
    assert rule.needed(standing(0, 0, 5)) == 4
    assert rule.decided(standing(3, 1, 1))
    assert not rule.decided(standing(4, 0, 1))


# beta:C.

TABLE = {
    "0.95": [(4, 0), (6, 1), (8, 2), (9, 3), (11, 4), (12, 5)],
    "0.99": [(6, 0), (9, 1), (11, 2)],
}


@pytest.mark.parametrize("confidence", TABLE)
def test_beta_stops_where_the_table_says(confidence: str) -> None:
    """With many samples outstanding a lead ends the round from the table's score on, and not one vote before."""
    rule = StopRule(f"beta:{confidence}", 3, 0.0)
    for lead, second in TABLE[confidence]:
        assert rule.decided(standing(lead, second, 30))
        assert not rule.decided(standing(lead - 1, second, 30))
        assert rule.needed(standing(second, second, 30)) == lead - second


@given(
    lead=st.integers(0, 40), second=st.integers(0, 40), confidence=st.sampled_from(["0.6", "0.95", "0.999"])
)
def test_confidence_is_the_posterior(lead: int, second: int, confidence: str) -> None:
    """The closed form is the integral of x^v1 (1-x)^v2 over the upper half, as a share of that over all."""
    # By the binomial theorem, term by term: the integral of x^(v1+j) from a half to one.
    upper = sum(
        Fraction((-1) ** j * comb(second, j), lead + j + 1) * (1 - Fraction(1, 2 ** (lead + j + 1)))
        for j in range(second + 1)
    )
    whole = Fraction(factorial(lead) * factorial(second), factorial(lead + second + 1))
    assert (upper / whole >= Fraction(confidence)) == is_confident(confidence, lead, second)


def test_beta_is_exact() -> None:
    """3-0 has a posterior of exactly 15/16: enough for 0.9375, and not for the least bit more."""
    assert is_confident("0.9375", 3, 0)
    assert not is_confident("0.93750000000000001", 3, 0)


@pytest.mark.parametrize(
    ("at", "decided"),
    [
        (standing(4, 0, 11), True),
        (standing(3, 0, 12), False),
        (standing(8, 3, 4), True),  # not confident, but no longer to be beaten
        (standing(7, 4, 4), False),
        (standing(2, 0, 1), False),  # below min_ballots
        (standing(3, 0, 0), True),
    ],
)
def test_beta_takes_an_unbeatable_lead(at: Standing, decided: bool) -> None:  # noqa: FBT001  a column
    """A lead that nothing can overtake ends a round under `beta:C` as well, from `min_ballots` on."""
    assert decided == StopRule("beta:0.95", 3, 0.0).decided(at)


@pytest.mark.parametrize("min_agreement", [0.5, 0.8, 1.0])
def test_beta_waits_for_the_threshold(min_agreement: float) -> None:
    """However confident, `beta:C` goes on until the full vote's side of the threshold is certain."""
    rule = StopRule("beta:0.95", 3, min_agreement)
    for lead, second, outstanding in product(range(9), range(4), range(1, 6)):
        total = lead + second + outstanding
        sides = {votes / total >= min_agreement for votes in range(max(lead, second), lead + outstanding + 1)}
        if lead >= second and rule.decided(standing(lead, second, outstanding)):
            assert len(sides) == 1
