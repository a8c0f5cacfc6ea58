"""Whoever waits for news of a key, woken by it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

from gateway.store.protocol import Found


class Bells:
    """One bell for each who waits."""

    def __init__(self) -> None:
        self._by_key: dict[str, set[asyncio.Event]] = {}

    async def follow(
        self,
        key: str,
        left: Callable[[], Awaitable[float]],
        get: Callable[[str], Awaitable[Found | None]],
        every: float,
    ) -> Found | None:
        """What `get` finds, as soon as it does; None once nothing is `left`. Looks at news, and every so often."""
        with self._bell(key) as bell:
            while True:
                bell.clear()
                # First what is left, then the pin: a leader pins before it goes.
                seconds, found = await left(), await get(key)
                if found is not None or not seconds:
                    return found
                await _rings(bell, min(seconds, every))

    async def outlast(self, key: str, waiting: Callable[[], Awaitable[int]], every: float) -> None:
        """Return once nobody is `waiting`. Looks at news, and every so often."""
        with self._bell(key) as bell:
            while True:
                bell.clear()
                if not await waiting():
                    return
                await _rings(bell, every)

    @contextmanager
    def _bell(self, key: str) -> Iterator[asyncio.Event]:
        bell = asyncio.Event()
        self._by_key.setdefault(key, set()).add(bell)
        try:
            yield bell
        finally:
            self._by_key[key].discard(bell)
            if not self._by_key[key]:
                del self._by_key[key]

    def ring(self, key: str) -> None:
        """There is news of this key."""
        for bell in self._by_key.get(key, ()):
            bell.set()

    def ring_all(self) -> None:
        """There may be news of any key."""
        for key in self._by_key:
            self.ring(key)


async def _rings(bell: asyncio.Event, seconds: float) -> None:
    """Wait for the bell, and no longer than so many seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await bell.wait()
