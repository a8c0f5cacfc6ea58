"""How fast a command may ask: so many a second, not while the server wants to be left alone, and not for ever."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

Sleep = Callable[[float], Awaitable[None]]


class Spent(Exception):
    """`most` requests were made: no further one is sent."""


class Pace:
    """A token bucket that holds as many as are sent at once, so that copies sent together are."""

    def __init__(
        self,
        rate: float | None,
        burst: int,
        most: int | None,
        *,
        clock: Callable[[], float] = monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """`rate` in requests a second, None for no bound; `most` in all."""
        self.sent = 0
        self.waited = 0.0  # seconds for which the server asked to be left alone
        self._rate = rate
        self._burst = burst
        self._most = most
        self._clock = clock
        self._sleep = sleep
        self._tokens = float(burst)
        self._filled = clock()
        self._quiet_until = 0.0

    async def take(self, number: int = 1) -> None:
        """Wait until so many may be sent at once; Spent if that would be more than may be sent at all."""
        if self._most is not None and self.sent + number > self._most:
            raise Spent
        self.sent += number
        while (left := self._quiet_until - self._clock()) > 0:
            await self._sleep(left)
        if self._rate is None:
            return
        self._fill(self._rate)
        self._tokens -= number  # below 0: whoever comes next waits for longer
        if self._tokens < 0:
            await self._sleep(-self._tokens / self._rate)
        while (left := self._quiet_until - self._clock()) > 0:
            await self._sleep(left)

    def pause(self, seconds: float) -> None:
        """Send nothing for so long from now."""
        until = self._clock() + seconds
        self.waited += max(0.0, until - max(self._quiet_until, self._clock()))
        self._quiet_until = max(self._quiet_until, until)

    def _fill(self, rate: float) -> None:
        now = self._clock()
        self._tokens = min(float(self._burst), self._tokens + (now - self._filled) * rate)
        self._filled = now
