"""A bound on what runs at once, first come first served."""

import asyncio
from collections import deque


class Slots:
    """So many holders at once; the others wait in line. A waiter that is cancelled leaves the line."""

    def __init__(self, limit: int | None) -> None:
        self._free = limit
        self._line: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return len(self._line)

    async def take(self, patience: float) -> bool:
        """Wait for a slot for at most `patience` seconds; whether there is one."""
        if self._free is None:
            return True
        if self._free > 0:
            self._free -= 1
            return True
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(place)
        try:
            async with asyncio.timeout(patience):
                await place
        except TimeoutError:
            return self._has(place)
        except asyncio.CancelledError:
            if self._has(place):
                self.give()
            raise
        return True

    def give(self) -> None:
        """Hand the slot to the first in line."""
        if self._free is None:
            return
        while self._line:
            place = self._line.popleft()
            if not place.done():
                place.set_result(None)
                return
        self._free += 1

    def _has(self, place: "asyncio.Future[None]") -> bool:
        """Whether the slot was handed over in the same moment as the wait ended."""
        if place.done() and not place.cancelled():
            return True
        if place in self._line:
            self._line.remove(place)
        return False
