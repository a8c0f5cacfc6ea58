"""Shares over the answers to one question: against tables, brute force, and what they estimate."""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.reproducibility import all_same, same_across, within_and_between

ANSWERS = st.lists(st.sampled_from(["a", "b", "c", None]), max_size=7)


def are_same(answers: Sequence[str | None]) -> bool:
    return len(set(answers)) == 1 and answers[0] is not None


@pytest.mark.parametrize(
    ("answers", "number", "share"),
    [
        ("", 2, None),
        ("a", 2, None),
        ("aa", 2, 1.0),
        ("ab", 2, 0.0),
        ("aab", 2, 1 / 3),
        ("aabb", 2, 2 / 6),
        ("aaab", 3, 1 / 4),
        ("aaaa", 4, 1.0),
        ("aaab", 4, 0.0),
        ("aaa", 4, None),
        ("abc", 1, 1.0),
    ],
)
def test_all_same(answers: str, number: int, share: float | None) -> None:
    """The share of draws without putting back that are all the same."""
    assert share == all_same(list(answers), number)


def test_what_cannot_be_read_is_the_same_as_nothing() -> None:
    """Two answers that could not be extracted do not agree, and count in the denominator."""
    assert 0.0 == all_same([None, None])
    assert pytest.approx(1 / 6) == all_same(["a", "a", None, None])
    assert 0.0 == all_same(["a", None, "b"], 1 + 1)
    assert 0.0 == same_across([None], [None])


@given(ANSWERS, st.integers(1, 7))
def test_all_same_is_what_counting_gives(answers: list[str | None], number: int) -> None:
    """The closed form is the count over all subsets."""
    draws = list(combinations(answers, number))
    expected = sum(map(are_same, draws)) / len(draws) if draws else None
    assert expected == pytest.approx(all_same(answers, number))


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=3),
    st.integers(2, 5),
    st.integers(2, 4),
)
def test_all_same_is_unbiased(weights: list[int], seen: int, number: int) -> None:
    """Over all that may be seen, its mean is the chance that `number` further answers are all the same. Exact."""
    if number > seen:
        return
    chances = [Fraction(weight, sum(weights)) for weight in weights]
    mean = Fraction(0)
    for answers in product(range(len(chances)), repeat=seen):
        chance = Fraction(1)
        for answer in answers:
            chance *= chances[answer]
        share = all_same([str(answer) for answer in answers], number)
        assert share is not None
        mean += chance * Fraction(share).limit_denominator(10**6)
    assert sum(chance**number for chance in chances) == mean


@given(st.lists(ANSWERS, max_size=4))
def test_rounds_by_counting_pairs(rounds: list[list[str | None]]) -> None:
    """Pairs of one round and pairs of two are told apart, each counted once."""
    placed = [(at, answer) for at, answers in enumerate(rounds) for answer in answers]
    counted: Counter[tuple[bool, bool]] = Counter(
        (one[0] == other[0], are_same([one[1], other[1]])) for one, other in combinations(placed, 2)
    )
    for is_within, found in zip((True, False), within_and_between(rounds), strict=True):
        pairs = counted[is_within, True] + counted[is_within, False]
        assert (counted[is_within, True] / pairs if pairs else None) == pytest.approx(found)


def test_copies_of_a_round_say_nothing_of_the_next() -> None:
    """Rounds that are unanimous, each for another answer, agree fully within and not at all between."""
    assert (1.0, 0.0) == within_and_between([["a"] * 3, ["b"] * 3])


@given(ANSWERS, ANSWERS)
def test_across_is_every_pair(some: list[str | None], others: list[str | None]) -> None:
    """One of each side, all pairs."""
    pairs = [are_same(pair) for pair in product(some, others)]
    assert (sum(pairs) / len(pairs) if pairs else None) == pytest.approx(same_across(some, others))
