"""One vote per key: whoever asks while it runs waits for the same one."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Landed = TypeVar("Landed")


class Flight(Generic[Landed]):
    """One vote under way, and how many wait for it."""

    def __init__(self, run: "Callable[[Flight[Landed]], Awaitable[Landed]]") -> None:
        self.waiting = 0
        self.first_sample = asyncio.Event()
        self.task: asyncio.Future[Landed] = asyncio.ensure_future(run(self))

    async def landed(self) -> Landed:
        """Wait for the end. A waiter that is cancelled leaves; the last one to leave cancels the vote."""
        self.waiting += 1
        try:
            return await asyncio.shield(self.task)
        finally:
            self.waiting -= 1
            if self.waiting == 0 and not self.task.done():
                self.task.cancel()


class Flights(Generic[Landed]):
    """The flights of this process by key."""

    def __init__(self) -> None:
        self._by_key: dict[str, Flight[Landed]] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def find(self, key: str) -> Flight[Landed] | None:
        """The flight that runs under this key, unless everybody has left it."""
        flight = self._by_key.get(key)
        return None if flight is None or flight.task.cancelled() or _is_being_cancelled(flight) else flight

    def start(self, key: str, run: Callable[[Flight[Landed]], Awaitable[Landed]]) -> Flight[Landed]:
        """Start a flight under this key."""
        flight = Flight(run)
        self._by_key[key] = flight
        flight.task.add_done_callback(lambda _: self._remove(key, flight))
        return flight

    async def all_landed(self) -> None:
        """Wait until no flight is under way."""
        while self._by_key:
            await asyncio.wait([flight.task for flight in self._by_key.values()])

    def _remove(self, key: str, flight: Flight[Landed]) -> None:
        if self._by_key.get(key) is flight:
            del self._by_key[key]
        if not flight.task.cancelled():
            flight.task.exception()  # read, so that a failure nobody waited for is not reported as lost


def _is_being_cancelled(flight: Flight[Landed]) -> bool:
    return isinstance(flight.task, asyncio.Task) and flight.task.cancelling() > 0
