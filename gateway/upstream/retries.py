"""Calls that are made once more: who may, and when.

A request has an allowance that all its samples share, beside the one sample by which a round replaces its first
abstention; a process has a budget. docs/decisions/0017-who-retries-what.md says why.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import random
from time import monotonic

from gateway.core.retry import REFUSED, UNHEARD, UNSENT, Backoff, RetryBudget
from gateway.settings.model import RetrySettings
from gateway.telemetry.metrics import Metrics
from gateway.upstream.client import Headers, Unheard, Unreachable, UpstreamFailure
from gateway.wire.headers import retry_after


@dataclass(frozen=True, slots=True)
class Failed:
    """A call that may be made once more."""

    why: str  # one of `core.retry`'s UNSENT, UNHEARD, REFUSED
    retry_after: float | None = None  # seconds that the server asked for
    is_certain: bool = True  # that nothing was begun; else only what has no effects may be repeated


def refused(status: int, headers: Headers) -> Failed | None:
    """An answer by which a server refuses to begin. A 503 of a proxy may mean that it lost the server half-way."""
    if status not in {429, 503}:
        return None
    after = retry_after(headers)
    return Failed(REFUSED, after, is_certain=status == 429 or after is not None)


def unanswered(failure: UpstreamFailure) -> Failed | None:
    """What was never sent, or came to a connection that ended without a byte."""
    if isinstance(failure, Unreachable):
        return Failed(UNSENT)
    return Failed(UNHEARD, is_certain=False) if isinstance(failure, Unheard) else None


class Retries:
    """What a process may call once more. `clock` counts seconds, `random` draws from [0, 1)."""

    def __init__(
        self,
        settings: RetrySettings,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = monotonic,
        random: Callable[[], float] = random,
    ) -> None:
        self.budget = RetryBudget(settings.budget)
        self.hedge = settings.hedge  # seconds without a first byte, None for never
        self._limit = settings.limit
        self._backoff = Backoff(first=settings.backoff, max_wait=settings.max_wait)
        self._metrics = metrics
        self._clock = clock
        self._random = random

    def allow(self, hedge: float | None = None) -> "Allowance":
        """The allowance of a new request, a sample of which is hedged after `hedge` seconds if not before."""
        return Allowance(self, self._limit, self.hedge if hedge is None else min(hedge, self.hedge or hedge))

    def pause(self, failed: Failed, attempt: int, *, is_elsewhere: bool, within: float) -> float | None:
        """Seconds to wait before retry number `attempt` of one call; None if it is not to be made."""
        jitter = self._random()
        pause = self._backoff.pause(
            failed.why,
            attempt=attempt,
            jitter=jitter,
            is_elsewhere=is_elsewhere,
            retry_after=failed.retry_after or 0.0,
        )
        if pause is None or pause >= within:
            return None
        return pause if self.is_within_budget() else None

    def is_within_budget(self) -> bool:
        """Take one call out of the budget, if there is one."""
        if self.budget.take(self._clock()):
            return True
        self._metrics.upstreams.retry_refused()
        return False

    def hedged(self, result: str) -> None:
        """Count a sample that was asked of a second upstream: won, lost or failed."""
        self._metrics.upstreams.hedged(result)


class Allowance:
    """What is left to one request."""

    __slots__ = ("_left", "_retries", "hedge")

    def __init__(self, retries: Retries, left: int, hedge: float | None) -> None:
        self.hedge = hedge  # seconds without a first byte until a second upstream is asked; None for never
        self._retries = retries
        self._left = left

    def note_call(self) -> None:
        """A call that is no retry is made."""
        self._retries.budget.note_call()

    def take_hedge(self) -> bool:
        """Take a second call for a sample that keeps us waiting, if one is left."""
        if self._left <= 0 or not self._retries.is_within_budget():
            return False
        self._left -= 1
        return True

    def note_hedge(self, result: str) -> None:
        """Count what came of a second call."""
        if result:
            self._retries.hedged(result)

    def take(self, failed: Failed, attempt: int, *, is_elsewhere: bool, within: float) -> float | None:
        """Take a retry: how long to wait before it, less than `within`; None if it is not to be made. In seconds."""
        if self._left <= 0:
            return None
        pause = self._retries.pause(failed, attempt, is_elsewhere=is_elsewhere, within=within)
        if pause is not None:
            self._left -= 1
        return pause
