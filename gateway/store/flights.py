"""One vote per key: whoever asks while it runs waits for the same one."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

from gateway.store.news import News

Landed = TypeVar("Landed")


class Flight(Generic[Landed]):
    """One vote under way, and how many wait for it."""

    def __init__(self, run: "Callable[[Flight[Landed]], Coroutine[Any, Any, Landed]]") -> None:
        self.expected = 0  # have a seat, and do not wait yet
        self.waiting = 0
        self.news = News()
        self._asking: asyncio.Future[None] | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._loop = asyncio.get_running_loop()
        self.task: asyncio.Task[Landed] = self._loop.create_task(run(self))
        self.task.add_done_callback(self._wake)

    async def landed(self) -> Landed:
        """Wait for the end. A waiter that is cancelled leaves; the last one to leave cancels the vote.

        Unless others wait in other processes: then it is cancelled once they have left as well.
        """
        self.expected = max(0, self.expected - 1)
        self.waiting += 1
        try:
            if not self.task.done():
                waiter = self._loop.create_future()
                self._waiters.append(waiter)
                await waiter
            return self.task.result()
        finally:
            self.waiting -= 1
            if self._is_left:
                self._leave()

    @property
    def _is_left(self) -> bool:
        return not (self.waiting or self.expected or self.task.done())

    def _leave(self) -> None:
        """Nobody here waits any more."""
        if self.news.outlast is None:
            self.task.cancel()
        elif self._asking is None or self._asking.done():
            asking = self._asking = asyncio.ensure_future(self._cancel_unless_awaited(self.news.outlast))
            self.task.add_done_callback(lambda _: asking.cancel())

    async def _cancel_unless_awaited(self, outlast: Callable[[], Awaitable[None]]) -> None:
        await outlast()
        if self._is_left:
            self.task.cancel()

    def _wake(self, _: "asyncio.Task[Landed]") -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)


class Flights(Generic[Landed]):
    """The flights of this process by key.

    `find` and `start` give a seat: until its holder waits by `landed`, nobody who leaves ends the vote.
    """

    def __init__(self) -> None:
        self._by_key: dict[str, Flight[Landed]] = {}
        self._under_way: set[asyncio.Future[Landed]] = set()  # the loop holds tasks weakly

    def __len__(self) -> int:
        return len(self._by_key)

    def find(self, key: str) -> Flight[Landed] | None:
        """A seat on the flight that runs under this key, unless everybody has left it."""
        flight = self._by_key.get(key)
        if flight is None or flight.task.cancelled() or flight.task.cancelling():
            return None
        flight.expected += 1
        return flight

    def start(self, key: str, run: Callable[[Flight[Landed]], Coroutine[Any, Any, Landed]]) -> Flight[Landed]:
        """A seat on a new flight under this key."""
        flight = Flight(run)
        flight.expected += 1
        self._by_key[key] = flight
        self._under_way.add(flight.task)
        flight.task.add_done_callback(lambda _: self._remove(key, flight))
        return flight

    async def aclose(self) -> None:
        """Cancel all votes, and wait until they have given back what they hold, as leases of their keys."""
        for vote in self._under_way:
            vote.cancel()
        if self._under_way:
            await asyncio.wait(self._under_way)

    def _remove(self, key: str, flight: Flight[Landed]) -> None:
        self._under_way.discard(flight.task)
        if self._by_key.get(key) is flight:
            del self._by_key[key]
        if not flight.task.cancelled():
            flight.task.exception()  # read, so that a failure nobody waited for is not reported as lost
