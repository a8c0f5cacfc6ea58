"""Whoever waits for news of a key, woken by it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

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
        bell = asyncio.Event()
        self._by_key.setdefault(key, set()).add(bell)
        try:
            while True:
                bell.clear()
                # First what is left, then the pin: a leader pins before it goes.
                seconds, found = await left(), await get(key)
                if found is not None or not seconds:
                    return found
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(seconds, every)):
                        await bell.wait()
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
