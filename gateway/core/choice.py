"""Two of many, each as likely as its weight says: between them the less loaded one is chosen.

The power of two choices (Mitzenmacher, IEEE TPDS 12(10), 2001): almost as even as to compare all, without everybody
running to the same one between two looks at the load.
"""

from bisect import bisect_right
from collections.abc import Sequence


def draw_two(cumulative: Sequence[float], one: float, other: float) -> tuple[int, int]:
    """Two different positions among at least two. `cumulative` are sums of weights; the draws are from [0, 1)."""
    first = _at(cumulative, one * cumulative[-1])
    before = cumulative[first - 1] if first else 0.0
    weight = cumulative[first] - before
    place = other * (cumulative[-1] - weight)
    second = _at(cumulative, place if place < before else place + weight)
    if second == first:  # by rounding
        second = first + 1 if first + 1 < len(cumulative) else first - 1
    return first, second


def _at(cumulative: Sequence[float], place: float) -> int:
    return min(bisect_right(cumulative, place), len(cumulative) - 1)
