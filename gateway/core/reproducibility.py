"""Asked again, how often the same: shares over the answers to one question, without bias.

An answer that could not be extracted is None, and is the same as nothing, not even as another None: "an
unparsable run always fails TARa" (Atil et al., 2408.04667). A rate over several questions is the mean of their
shares, the question being the unit; copies of one question are never counted as independent cases.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from math import comb

Answers = Sequence[str | None]


def all_same(answers: Answers, number: int = 2) -> float | None:
    """How often `number` of these answers, drawn without putting back, are all the same; None if there are too few.

    With n_i copies of answer i among n that is sum of C(n_i, number) / C(n, number): from independent answers the
    unbiased estimate that as many further ones are all the same. With 2 it is the consistency rate of one question,
    sum of n_i (n_i - 1) / (n (n - 1)); with `len(answers)` it is 1 or 0, which TARr@N and TARa@N count.
    """
    ways = comb(len(answers), number)
    if number < 1 or not ways:
        return None
    return sum(comb(copies, number) for copies in _copies(answers).values()) / ways


def within_and_between(rounds: Sequence[Answers]) -> tuple[float | None, float | None]:
    """The share of same pairs among answers of one round, and among answers of two; None where there is no pair.

    The first is what copies sent together say of each other, the second what they say of the next round's.
    """
    pairs_within = sum(comb(len(answers), 2) for answers in rounds)
    pairs_between = comb(sum(map(len, rounds)), 2) - pairs_within
    copies = [_copies(answers) for answers in rounds]
    same_within = sum(comb(number, 2) for counted in copies for number in counted.values())
    same_between = sum(
        number * two[answer] for one, two in combinations(copies, 2) for answer, number in one.items()
    )
    return (
        same_within / pairs_within if pairs_within else None,
        same_between / pairs_between if pairs_between else None,
    )


def same_across(some: Answers, others: Answers) -> float | None:
    """The share of pairs, one of each, that are the same; None where one side is empty."""
    if not some or not others:
        return None
    counted = _copies(others)
    return sum(number * counted[answer] for answer, number in _copies(some).items()) / (
        len(some) * len(others)
    )


def _copies(answers: Answers) -> Counter[str]:
    return Counter(answer for answer in answers if answer is not None)
