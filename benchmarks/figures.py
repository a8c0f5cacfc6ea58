"""Medians and their spread over turns."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Figure:
    """What several turns gave: the one in the middle, and both ends."""

    middle: float
    low: float
    high: float

    @property
    def spread(self) -> float:
        """The distance between the ends as a share of the middle."""
        return (self.high - self.low) / self.middle if self.middle else 0.0


def figure(values: Iterable[float]) -> Figure | None:
    """The figure of these turns; None if there were none."""
    listed = sorted(values)
    return Figure(median(listed), listed[0], listed[-1]) if listed else None


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Figure | None:
    """The figure of the ratios turn by turn, so that what slows a whole turn down cancels out."""
    return figure(our / their for our, their in zip(ours, theirs, strict=False) if their)
