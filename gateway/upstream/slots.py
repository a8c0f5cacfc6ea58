"""A bound on what runs at once: tenants in turn, each one's first come first served, and last what can wait."""

import asyncio
from collections import OrderedDict, deque

Place = asyncio.Future[None]


class Slots:
    """So many holders at once; the others wait in line. A waiter that is cancelled leaves the line.

    Each tenant has a line of its own, and the lines are served in turn: whoever has a thousand waiting delays
    another one by as much as one of them takes. What runs in the background is served when nobody else waits.
    """

    def __init__(self, limit: int | None) -> None:
        self._free = limit
        self._lines = _Lines()
        self._background = _Lines()

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return len(self._lines) + len(self._background)

    @property
    def is_crowded(self) -> bool:
        """Whether anybody waits who is not in the background."""
        return bool(self._lines)

    def take_at_once(self) -> bool:
        """Take a slot if one is free; whether there was."""
        if self._free is None:
            return True
        if self._free > 0:
            self._free -= 1
            return True
        return False

    async def take(self, patience: float, *, tenant: str = "", background: bool = False) -> bool:
        """Wait for a slot for at most `patience` seconds; whether there is one."""
        if self.take_at_once():
            return True
        lines = self._background if background else self._lines
        place = lines.join(tenant)
        try:
            async with asyncio.timeout(patience):
                await place
        except TimeoutError:
            return _has(place, lines, tenant)
        except asyncio.CancelledError:
            if _has(place, lines, tenant):
                self.give()
            raise
        return True

    def give(self) -> None:
        """Hand the slot to the next in line."""
        if self._free is None:
            return
        place = self._lines.next() or self._background.next()
        if place is None:
            self._free += 1
        else:
            place.set_result(None)


class _Lines:
    """Who waits, a line for each tenant; the first tenant is the next to be served."""

    def __init__(self) -> None:
        self._by_tenant: OrderedDict[str, deque[Place]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._by_tenant.values()))

    def __bool__(self) -> bool:
        return bool(self._by_tenant)

    def join(self, tenant: str) -> Place:
        """A place at the end of a tenant's line. One that had none is served after all that have."""
        place: Place = asyncio.get_running_loop().create_future()
        self._by_tenant.setdefault(tenant, deque()).append(place)
        return place

    def next(self) -> Place | None:
        """Take out whose turn it is; None if nobody waits."""
        while self._by_tenant:
            tenant, line = next(iter(self._by_tenant.items()))
            place = line.popleft()
            if not line:
                del self._by_tenant[tenant]
            if not place.done():  # else it was cancelled in this moment, and it is still this tenant's turn
                if line:
                    self._by_tenant.move_to_end(tenant)
                return place
        return None

    def leave(self, tenant: str, place: Place) -> None:
        """Give up a place, if it is still there."""
        line = self._by_tenant.get(tenant)
        if line and place in line:
            line.remove(place)
            if not line:
                del self._by_tenant[tenant]


def _has(place: Place, lines: _Lines, tenant: str) -> bool:
    """Whether the slot was handed over in the same moment as the wait ended."""
    if place.done() and not place.cancelled():
        return True
    lines.leave(tenant, place)
    return False
