"""Limits a minute, kept by one process: all there are where it has no Redis, and the last word while that is away."""

from collections.abc import Callable, Sequence
from time import monotonic

from gateway.core.rate import Draw, Level, draw


class Rates:
    """Buckets in this process. `clock` counts seconds and never goes back."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._full_at: dict[tuple[str, str], float] = {}

    def draw(self, tenant: str, draws: Sequence[Draw]) -> list[Level]:
        """Draw from a tenant's buckets, one after the other."""
        levels: list[Level] = []
        now, is_refused = self._clock(), False
        for wanted in draws:
            debt = max(0.0, self._full_at.get((tenant, wanted.bucket), now) - now)
            level = draw(debt, wanted)
            if is_refused and not wanted.is_fact:
                level = Level(wanted.limit, debt, level.wait)
            is_refused |= level.is_refused
            levels.append(level)
            self._full_at[tenant, wanted.bucket] = now + level.debt
        return levels

    def keep(self, tenant: str, draws: Sequence[Draw], levels: Sequence[Level]) -> None:
        """Take these for the levels of the buckets."""
        now = self._clock()
        for wanted, level in zip(draws, levels, strict=True):
            self._full_at[tenant, wanted.bucket] = now + level.debt
