"""Leading a key: of all processes that could vote on it one does, and the others wait for its verdict.

    async with lead(store, key) as led:
        if led.found is not None:
            ...  # another process led, and this is its verdict
        elif led.told:
            ...  # another one led, and could pin nothing: what it came to
        else:
            ...  # vote; send while `led.is_held`; `led.pin` before the block ends, or set `led.telling`

Whoever leads tells those who follow by pinning, which is announced and gives the lease back, or by what is left in
`telling`. A leader that dies gives nothing back: its lease ends by itself, and one of the followers leads on. While
Redis is away every process leads for itself: no request fails for it, and the stored answer wins afterwards.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, TypeVar
from uuid import uuid4

from gateway.core.pin import Pin
from gateway.store.protocol import Found, Store

Given = TypeVar("Given")

_RENEWALS = 5  # within the time of a lease
_PAUSE = 0.01  # more each time that there is neither a lease to be had nor anybody to follow
_LONGEST_PAUSE = 0.25


class Led:
    """A key's lease as its holder sees it; with `found` or `told`, what made leading needless."""

    def __init__(self, store: Store, key: str, owner: str) -> None:
        self.found: Found | None = None
        self.told = b""
        self.telling = b""  # what those who wait are told when the lease is given back
        self.lost = asyncio.Event()  # for good: another process has it, or had it
        self.is_over = False  # it was given back with the pin
        self._store = store
        self._key = key
        self._owner = owner
        self._ends = 0.0

    @property
    def is_held(self) -> bool:
        """Whether nobody else can have it, by this process's own clock."""
        return not self.lost.is_set() and monotonic() < self._ends

    async def pin(self, pin: Pin, ttl: float) -> Pin:
        """Pin, and give the lease back in the same step; the pin that holds."""
        held = await self._store.pin(self._key, pin, ttl, self._owner)
        self.is_over = True
        return held

    def renewed(self, at: float) -> None:
        """It was given, or given once more, after it was asked for at this time."""
        self._ends = at + self._store.lease

    def end(self) -> None:
        """It is not to be held any more."""
        self._ends = 0.0


@asynccontextmanager
async def lead(
    store: Store, key: str, *, every: float | None = None, follows: Callable[[], None] | None = None
) -> AsyncIterator[Led]:
    """Lead this key, or follow whoever does and have his verdict: as many times as leaders fail without one.

    The lease is renewed in the background (`every` so many seconds, five times a lease unless told) and given
    back in the end. Waits as long as a leader lives; the caller bounds that. `follows` is called if it comes to that.
    """
    owner = uuid4().hex
    led = Led(store, key, owner)
    try:
        await _take(store, key, owner, led, follows)
        if led.found is not None or led.told:
            yield led
            return
        renewing = asyncio.create_task(_renew(store, key, owner, led, every or store.lease / _RENEWALS))
        try:
            yield led
        finally:
            led.end()
            renewing.cancel()
            await asyncio.wait([renewing])
    finally:
        if not (led.is_over or led.found or led.told):
            await _whole(store.release(key, owner, led.telling))


async def _take(store: Store, key: str, owner: str, led: Led, follows: Callable[[], None] | None) -> None:
    """Have the lease, or what makes it needless. Who gives up on the way is noted as waiting no more."""
    asked, fruitless = monotonic(), 0
    try:
        while not await _whole(store.claim(key, owner)):
            if follows is not None:
                follows()
            followed = await store.follow(key, owner)
            if isinstance(followed, Found):
                led.found = followed
                return
            if followed:
                led.told = followed
                return
            await asyncio.sleep(min(fruitless * _PAUSE, _LONGEST_PAUSE))
            asked, fruitless = monotonic(), fruitless + 1
    except asyncio.CancelledError:
        await store.leave(key, owner)
        raise
    led.renewed(asked)


async def _renew(store: Store, key: str, owner: str, led: Led, every: float) -> None:
    """Until it is lost: to another holder, or to one who came, pinned and went while we could not renew it."""
    while not led.lost.is_set():
        await asyncio.sleep(every)
        asked = monotonic()
        if await _whole(store.claim(key, owner)):
            led.renewed(asked)
        else:
            led.lost.set()


async def _whole(call: Coroutine[Any, Any, Given]) -> Given:
    """A call that is never cut off half way: given after its release, or not given back, a lease would be nobody's."""
    calling = asyncio.ensure_future(call)
    try:
        return await asyncio.shield(calling)
    finally:
        await asyncio.wait([calling])
