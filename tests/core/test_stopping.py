"""When a round may end before all k samples are in."""

from itertools import combinations_with_replacement, product

import pytest

from gateway.core.stopping import Standing, StopRule


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
        (5, 3, "unbeatable", 1.0, 5),
    ],
)
def test_the_first_lot(k: int, quorum: int, stop: str, min_agreement: float, first_lot: int) -> None:
    """A round starts with as many samples as could decide it if they agreed."""
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


@pytest.mark.parametrize("rule", rules(quorums=(1, 2, 4, 9)))
def test_no_rule_goes_below_quorum(rule: StopRule) -> None:
    """While samples can come a round with too few ballots is not decided, whatever its lead."""
    for at, _ in STATES:
        if at.ballots < rule.quorum:
            assert rule.decided(at) == (at.outstanding == 0)


@pytest.mark.parametrize("rule", rules(quorums=(1, 2, 4, 9)))
def test_what_is_needed_decides(rule: StopRule) -> None:
    """The number needed decides the round if all support the leader; no fewer would."""
    for at, _ in STATES:
        needed = rule.needed(at)
        assert 0 <= needed <= at.outstanding
        assert rule.decided(at.with_support(needed))
        assert not any(rule.decided(at.with_support(fewer)) for fewer in range(needed))
