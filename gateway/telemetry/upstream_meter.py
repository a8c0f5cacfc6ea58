"""Counts the calls to one upstream."""

from collections.abc import Mapping
from typing import Protocol

from gateway.telemetry.meters import Count, Level, Spread

RESULTS = ("ok", "status", "unreachable", "timeout", "broken", "garbage", "cancelled")

RETRIED = ("unreachable", "broken", "refused")


class Line(Protocol):
    """Something that people stand in line for."""

    @property
    def waiting(self) -> int:
        """How many wait."""


class UpstreamMeter:
    """Counts the calls to one upstream."""

    def __init__(
        self,
        seconds: Spread,
        in_flight: Level,
        is_up: Level,
        results: Mapping[str, Count],
        retries: Mapping[str, Count],
        ejections: Count,
    ) -> None:
        self._seconds = seconds
        self._in_flight = in_flight
        self._up = is_up
        self._results = results
        self._retries = retries
        self._ejections = ejections
        is_up.set(1)

    def started(self) -> None:
        """A call begins."""
        self._in_flight.inc()

    def ended(self, result: str, seconds: float) -> None:
        """A call has ended: ok, status, unreachable, timeout, broken, garbage or cancelled."""
        self._in_flight.dec()
        self._results[result].inc()
        self._seconds.observe(seconds)

    def retried(self, reason: str) -> None:
        """A call that failed here is made once more: unreachable, broken before it was heard, or refused."""
        self._retries[reason].inc()

    def ejected(self) -> None:
        """Its breaker has opened."""
        self._ejections.inc()

    def up(self, *, up: bool) -> None:
        """Note whether it can be reached."""
        self._up.set(up)
