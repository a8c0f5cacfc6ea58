"""Means over prompts, with their intervals. The prompt is the unit: copies of one are never independent cases."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from statistics import fmean

from gateway.core.interval import wilson

_RESAMPLES = 2000
_TAIL = 0.025  # on each side
_FEW = 5  # prompts unlike the others, below which they cannot be drawn from


@dataclass(frozen=True, slots=True)
class Rate:
    """A share with its 95 % interval, and the prompts that it is the mean of."""

    value: float
    low: float
    high: float
    prompts: int


def rate(shares: Iterable[float | None]) -> Rate | None:
    """The mean of the prompts' shares; None where no prompt has one.

    The interval is the percentile bootstrap over prompts (Efron 1979). Where all prompts but a few have the same share
    it knows next to nothing of the others, and where all have, it has no width; there the interval is Wilson's for as
    many independent cases, which is wider than need be for shares that are no plain yes or no.
    """
    known = [share for share in shares if share is not None]
    if not known:
        return None
    value = fmean(known)
    usual = Counter(known).most_common(1)[0][1]
    low, high = wilson(value, len(known)) if len(known) - usual < _FEW else _percentiles(known)
    return Rate(value, min(low, value), max(high, value), len(known))


def _percentiles(shares: Sequence[float]) -> tuple[float, float]:
    number = len(shares)
    means = sorted(sum(map(shares.__getitem__, draw)) / number for draw in _draws(number))
    last = len(means) - 1
    return means[round(last * _TAIL)], means[round(last * (1 - _TAIL))]


@lru_cache(maxsize=4)
def _draws(number: int) -> tuple[tuple[int, ...], ...]:
    """The same draws for all figures of a report, and in every report: what is shown can be computed again."""
    dice = Random(number)  # noqa: S311  no secret
    return tuple(tuple(dice.choices(range(number), k=number)) for _ in range(_RESAMPLES))
