"""What a gateway in between says of its own answers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from gateway.audit.heard import Heard


@dataclass(frozen=True, slots=True)
class Through:
    """What a gateway in between says of its own answers."""

    sources: tuple[tuple[str, int], ...]
    outcomes: tuple[tuple[str, int], ...]
    agreement: float | None
    samples: float | None


def through(told: Sequence[Heard]) -> Through | None:
    """Its figures over these answers; None where there are none."""
    if not told:
        return None
    said = [dict(each.told) for each in told]

    def counted(name: str) -> tuple[tuple[str, int], ...]:
        return tuple(Counter(each[name] for each in said if name in each).most_common())

    def mean(name: str) -> float | None:
        values = [float(each[name]) for each in said if name in each]
        return fmean(values) if values else None

    return Through(counted("source"), counted("outcome"), mean("agreement"), mean("samples"))
