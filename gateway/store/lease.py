"""Leading a key: what is sent before it is pinned is sent by one process only.

A vote whose verdict is pinned before anybody sees it needs no lease: SET NX decides. A live stream does.

    async with lead(store, key) as led:
        if led.found is not None:
            ...  # another process led, and this is its verdict
        else:
            ...  # vote; send while `led.is_held`; pin before the block ends

Whoever leads tells those who follow by pinning, which is announced, and by giving the lease back. A leader that
dies gives nothing back: its lease ends by itself, and one of the followers leads on. While Redis is away every
process leads for itself: no request fails for it, and the stored answer wins afterwards.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from uuid import uuid4

from gateway.store.protocol import Found, Store

_RENEWALS = 5  # within the time of a lease


class Led:
    """A key's lease as its holder sees it; with `found`, the verdict that made leading needless."""

    def __init__(self, found: Found | None, lease: float) -> None:
        self.found = found
        self.lost = asyncio.Event()  # for good: another process has it, or had it
        self._lease = lease
        self._ends = 0.0

    @property
    def is_held(self) -> bool:
        """Whether nobody else can have it, by this process's own clock."""
        return not self.lost.is_set() and monotonic() < self._ends

    def renewed(self, at: float) -> None:
        """It was given, or given once more, after it was asked for at this time."""
        self._ends = at + self._lease

    def end(self) -> None:
        """It is not to be held any more."""
        self._ends = 0.0


@asynccontextmanager
async def lead(store: Store, key: str, *, every: float | None = None) -> AsyncIterator[Led]:
    """Lead this key, or follow whoever does and have his verdict: as many times as leaders fail without one.

    The lease is renewed in the background (`every` so many seconds, five times a lease unless told) and given
    back in the end. Waits as long as a leader lives; the caller bounds that.
    """
    owner = uuid4().hex
    try:
        led = await _take(store, key, owner)
        if led.found is not None:
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
        await store.release(key, owner)


async def _take(store: Store, key: str, owner: str) -> Led:
    asked = monotonic()
    while not await _claim(store, key, owner):
        if found := await store.follow(key):
            return Led(found, store.lease)
        asked = monotonic()
    # Another one may have led between the caller's own look and the claim.
    led = Led(await store.get(key), store.lease)
    led.renewed(asked)
    return led


async def _renew(store: Store, key: str, owner: str, led: Led, every: float) -> None:
    """Until it is lost: to another holder, or to one who came and went while we could not renew it."""
    while not led.lost.is_set():
        await asyncio.sleep(every)
        asked, was_held = monotonic(), led.is_held
        if await _claim(store, key, owner) and (was_held or await store.get(key) is None):
            led.renewed(asked)
        else:
            led.lost.set()


async def _claim(store: Store, key: str, owner: str) -> bool:
    """A claim that is never cut off half way: given after its release, a lease would be nobody's."""
    claiming = asyncio.ensure_future(store.claim(key, owner))
    try:
        return await asyncio.shield(claiming)
    finally:
        await asyncio.wait([claiming])
