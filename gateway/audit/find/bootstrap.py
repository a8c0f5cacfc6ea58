"""Means over prompts, with their intervals. The prompt is the unit: copies of one are never independent cases."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from statistics import fmean

from gateway.core.interval import wilson

_RESAMPLES = 2000
_TAIL = 0.025  # on each side


@dataclass(frozen=True, slots=True)
class Rate:
    """A share with its 95 % interval, and the prompts that it is the mean of."""

    value: float
    low: float
    high: float
    prompts: int


def rate(shares: Iterable[float | None]) -> Rate | None:
    """The mean of the prompts' shares; None where no prompt has one.

    The interval is the percentile bootstrap over prompts (Efron 1979). Where every prompt has the same share it would
    have no width, however few they are; there it is Wilson's for as many independent cases.
    """
    known = [share for share in shares if share is not None]
    if not known:
        return None
    value = fmean(known)
    low, high = wilson(value, len(known)) if len(set(known)) == 1 else _percentiles(known)
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
