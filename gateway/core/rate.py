"""Requests and tokens a minute: the arithmetic of a bucket that fills evenly.

A bucket holds `limit` units, a minute's worth, and fills at `limit` units a minute. It is one number, its debt: the
seconds until it is full again (GCRA's theoretical arrival time, less now). Time passes, and the debt gets less; who
draws from it makes it more. So a bucket needs no clock but whoever keeps it, and no care while nobody draws.

    units there  =  limit * (1 - debt / 60)

What is drawn as a matter of fact, since it was spent already, is drawn whether it is there or not: the bucket then
owes units, and whoever comes next waits for longer.
"""

from dataclasses import dataclass
from math import ceil, floor

MINUTE = 60.0  # seconds
MOST = 600.0  # seconds of debt that are kept: neither a mistake nor a clock that was set locks anybody out for longer
ROUNDING = 1e-6  # seconds


@dataclass(frozen=True, slots=True)
class Draw:
    """What is wanted of a bucket. A negative amount is given back."""

    bucket: str  # requests | tokens
    limit: int  # units a minute
    amount: float
    is_fact: bool = False  # drawn whether it is there or not


@dataclass(frozen=True, slots=True)
class Level:
    """How a bucket stands after a draw."""

    limit: int
    debt: float  # seconds until it is full
    wait: float = 0.0  # seconds until what was refused will be there; 0 where nothing was refused

    @property
    def is_refused(self) -> bool:
        """Whether the draw was more than there is."""
        return self.wait > 0

    @property
    def remaining(self) -> int:
        """Whole units that are there."""
        return max(0, floor(self.limit * (1 - self.debt / MINUTE) + ROUNDING))


def draw(debt: float, wanted: Draw) -> Level:
    """The level after a draw from a bucket with this debt; its debt is the same if the draw is refused.

    More than a bucket ever holds is refused until it is full, and then drawn as what it holds.
    """
    cost = wanted.amount * MINUTE / wanted.limit
    if not wanted.is_fact:
        cost = min(cost, MINUTE)
        if debt + cost > MINUTE + ROUNDING:
            return Level(wanted.limit, debt, debt + cost - MINUTE)
    return Level(wanted.limit, min(max(debt + cost, 0.0), MOST))


def charged(wanted: Draw) -> float:
    """Units that a draw takes, if it is not refused."""
    return wanted.amount if wanted.is_fact else min(wanted.amount, wanted.limit)


def spell_wait(seconds: float) -> str:
    """As OpenAI's headers tell it: `12ms`, `7.66s`, `1m30s`."""
    if seconds < 1:
        return f"{ceil(seconds * 1000)}ms"
    minutes, rest = divmod(seconds, MINUTE)
    return f"{int(minutes)}m{rest:.0f}s" if minutes else f"{rest:.4g}s"
