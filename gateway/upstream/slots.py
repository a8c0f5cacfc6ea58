"""A bound on what runs at once: first come first served, and what can wait after all others."""

import asyncio
from collections import deque


class Slots:
    """So many holders at once; the others wait in line. A waiter that is cancelled leaves the line.

    There are two lines: what runs in the background is served when nobody else waits.
    """

    def __init__(self, limit: int | None) -> None:
        self._free = limit
        self._line: deque[asyncio.Future[None]] = deque()
        self._background: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return len(self._line) + len(self._background)

    async def take(self, patience: float, *, background: bool = False) -> bool:
        """Wait for a slot for at most `patience` seconds; whether there is one."""
        if self._free is None:
            return True
        if self._free > 0:
            self._free -= 1
            return True
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line = self._background if background else self._line
        line.append(place)
        try:
            async with asyncio.timeout(patience):
                await place
        except TimeoutError:
            return _has(place, line)
        except asyncio.CancelledError:
            if _has(place, line):
                self.give()
            raise
        return True

    def give(self) -> None:
        """Hand the slot to the first in line."""
        if self._free is None:
            return
        for line in (self._line, self._background):
            while line:
                place = line.popleft()
                if not place.done():
                    place.set_result(None)
                    return
        self._free += 1


def _has(place: "asyncio.Future[None]", line: "deque[asyncio.Future[None]]") -> bool:
    """Whether the slot was handed over in the same moment as the wait ended."""
    if place.done() and not place.cancelled():
        return True
    if place in line:
        line.remove(place)
    return False
