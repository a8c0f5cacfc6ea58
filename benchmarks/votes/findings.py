"""What the answers say of voting: accuracy, cost, and whether agreement tells right from wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean

from benchmarks.votes.asking import Asked, Way
from gateway.core.interval import wilson

_BUCKETS = ((0.0, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 1.0), (1.0, 1.01))


@dataclass(frozen=True, slots=True)
class Line:
    """One way of voting."""

    title: str
    k: int
    stop: str
    accuracy: float
    interval: tuple[float, float]  # 95 %
    samples: float  # per answer
    same_as_all: float | None  # share of problems with the answer that all k samples give


@dataclass(frozen=True, slots=True)
class Bucket:
    """The answers of which this share of the samples agreed."""

    low: float
    high: float
    answers: int
    accuracy: float | None


def line(way: Way, asked: Sequence[Asked], full: Sequence[Asked] | None, problems: int) -> Line:
    """A way of voting, beside the full vote of as many samples. Several answers to a problem are one case."""
    accuracy = fmean(each.is_right for each in asked)
    same = None if full is None else fmean(a.answer == b.answer for a, b in zip(asked, full, strict=True))
    return Line(
        way.title,
        way.k,
        way.stop,
        accuracy,
        wilson(accuracy, problems),
        fmean(each.samples for each in asked),
        same,
    )


def buckets(asked: Sequence[Asked]) -> list[Bucket]:
    """Accuracy by agreement."""
    made = []
    for low, high in _BUCKETS:
        inside = [each.is_right for each in asked if low <= each.agreement < high]
        made.append(Bucket(low, min(high, 1.0), len(inside), fmean(inside) if inside else None))
    return made


def auroc(asked: Sequence[Asked]) -> float | None:
    """How often a right answer has more agreement than a wrong one, ties for half (Mann and Whitney 1947)."""
    right = [each.agreement for each in asked if each.is_right]
    wrong = [each.agreement for each in asked if not each.is_right]
    if not right or not wrong:
        return None
    wins = sum((r > w) + (r == w) / 2 for r in right for w in wrong)
    return wins / (len(right) * len(wrong))


def auroc_interval(value: float, right: int, wrong: int) -> tuple[float, float]:
    """About where it lies in 95 % of draws of so many right and wrong answers (Hanley and McNeil 1982)."""
    one, other = value / (2 - value), 2 * value**2 / (1 + value)
    variance = value * (1 - value) + (right - 1) * (one - value**2) + (wrong - 1) * (other - value**2)
    spread = 1.96 * sqrt(variance / (right * wrong))
    return max(value - spread, 0.0), min(value + spread, 1.0)
