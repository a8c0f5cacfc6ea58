"""Pins shared by all processes through Redis, with this process's memory in front.

A process answers from memory only while it hears announcements, so that a pin that was deleted, replaced or
lost elsewhere is forgotten here. Three states:

    listening   memory, then Redis
    deaf        the subscription is lost: Redis decides, memory only helps out
    alone       Redis does not answer: memory only, and nobody waits for a time-out

A call that fails makes the process alone. Once a subscription stands again it is deaf until Redis has been
told what it missed: what was pinned alone is offered by SET NX, and the stored answer wins; what was replaced
or deleted alone is replaced or deleted there. A key is told on before it is asked for.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from math import inf

from gateway.core.pin import Pin
from gateway.core.rate import Draw, Level
from gateway.settings.model import CacheSettings
from gateway.store.announcements import Announcements
from gateway.store.away import Away
from gateway.store.bells import Bells
from gateway.store.debts import Debts
from gateway.store.link import Link
from gateway.store.memory import MemoryStore
from gateway.store.protocol import LEASE, Found
from gateway.store.rates import Rates
from gateway.store.replies import Elsewhere
from gateway.telemetry.metrics import Metrics

_LOG = logging.getLogger(__name__)

_RETRY_EVERY = 0.25
_CHECK_EVERY = 0.25
_LOOKS = 5  # at somebody else's lease within the time that one lasts


class RedisStore:
    """Pins in Redis, and what this process makes of Redis's absences."""

    is_shared = True

    def __init__(self, settings: CacheSettings, metrics: Metrics, *, lease: float = LEASE) -> None:
        self.lease = lease
        self.memory = MemoryStore(settings.memory)
        self._metrics = metrics
        self._link = Link(settings)
        self._turns = asyncio.Semaphore(self._link.at_once)
        self._is_listening = False
        self._is_alone = False
        self._is_closed = False
        self._changes = 0  # known to have happened; what was asked before the last one may be out of date
        self._bells = Bells()
        self._rates = Rates()
        self._debts = Debts(self._link, self.memory)
        self._keeper = asyncio.create_task(self._keep_listening())

    @property
    def is_degraded(self) -> bool:
        """Whether Redis does not answer."""
        return self._is_alone

    def look_up(self, key: str) -> Found | None:
        """`get` without waiting: memory, as long as what happens elsewhere is heard."""
        return self.memory.look_up(key) if self._is_listening else None

    async def get(self, key: str) -> Found | None:
        """The pin under this key, if it lives."""
        found = self.look_up(key)
        if found is not None:
            return found
        before = self._changes
        try:
            found = await self._look_up(key)
        except Away as away:
            self._lost(away)
            return self.memory.look_up(key)
        self._keep(key, found, before)
        return found

    async def pin(self, key: str, pin: Pin, ttl: float, leader: str = "") -> Pin:
        """Pin by SET NX; the pin that holds, whichever process made it."""
        before = self._changes
        try:
            async with self._asking():
                await self._debts.settle(key)
                found = await self._link.pin(key, pin, ttl, leader)
        except Away:
            self._debts.offer(key)
            return await self.memory.pin(key, pin, ttl)
        self._keep(key, found, before)
        return found.pin

    async def replace(self, key: str, pin: Pin, ttl: float) -> None:
        """Pin whatever was there before, and tell the others."""
        before = self._changes
        try:
            async with self._asking():
                found = await self._link.replace(key, pin, ttl)
        except Away:
            self._debts.force(key)
            self.memory.put(key, pin, ttl)
        else:
            self._debts.forgive(key)
            self._keep(key, found, before)
            self._changes += 1

    async def delete(self, key: str) -> bool:
        """Remove a pin everywhere; whether there was one."""
        was_here, was_there = self.memory.look_up(key) is not None, False
        try:
            async with self._asking():
                was_there = await self._link.delete(key)
            self._debts.forgive(key)
        except Away:
            self._debts.force(key)
        self._changes += 1
        self.memory.drop(key)
        return was_there or was_here

    async def claim(self, key: str, owner: str) -> bool:
        """Take or renew the lease of a key; granted while Redis is away, unless there is a pin here."""
        try:
            async with self._asking():
                return await self._link.claim(key, owner, self.lease)
        except Away:
            return self.memory.look_up(key) is None

    async def release(self, key: str, owner: str, told: bytes = b"") -> None:
        """Give the lease back if `owner` has it; without Redis it ends by itself."""
        with suppress(Away):
            async with self._asking():
                await self._link.release(key, owner, self.lease, told)
        self._bells.ring(key)

    async def follow(self, key: str, owner: str) -> Found | bytes | None:
        """Wait while another process has the lease: the pin, what was told instead, or None if the lease ends first."""
        told: bytes | None = None

        async def left() -> float:
            nonlocal told
            seconds = 0.0
            with suppress(Away):
                async with self._asking():
                    seconds, told = await self._link.wait(key, owner, self.lease)
            return seconds

        found = await self._bells.follow(key, left, self.get, self.lease / _LOOKS)
        return told if found is None else found

    async def leave(self, key: str, owner: str) -> None:
        """Wait no more; without Redis the note of it ends by itself."""
        with suppress(Away):
            async with self._asking():
                await self._link.leave(key, owner)

    async def outlast(self, key: str) -> None:
        """Return once no other process waits for this key's verdict; at once while Redis is away."""

        async def waiting() -> int:
            with suppress(Away):
                async with self._asking():
                    return await self._link.waiting(key)
            return 0

        await self._bells.outlast(key, waiting, self.lease / _LOOKS)

    async def remember(self, name: str, value: str, ttl: float = inf) -> None:
        """Keep a short text under a name, for so many seconds."""
        await self.memory.remember(name, value, ttl)
        try:
            async with self._asking():
                await self._link.write(name, value, ttl)
        except Away:
            self._debts.write(name, value, ttl)

    async def recall(self, name: str) -> str | None:
        """The text under this name."""
        with suppress(Away):
            async with self._asking():
                return await self._link.read(name)
        return await self.memory.recall(name)

    async def append(self, entries: Sequence[bytes], length: int) -> bool:
        """Put these at the end of the ledger; not while Redis is away."""
        try:
            async with self._asking():
                await self._link.append(entries, length)
        except Away:
            return False
        return True

    async def draw(self, tenant: str, draws: Sequence[Draw]) -> list[Level]:
        """Draw from the buckets that all processes share; from this one's while Redis is away."""
        try:
            async with self._asking():
                levels = await self._link.draw(tenant, draws)
        except Away:
            return self._rates.draw(tenant, draws)
        self._rates.keep(tenant, draws, levels)
        return levels

    def sizes(self) -> dict[str, int]:
        """What memory in front of Redis holds."""
        return self.memory.sizes()

    async def aclose(self) -> None:
        """Stop listening, let calls under way end, close every connection."""
        self._is_closed = self._is_alone = True
        self._is_listening = False
        while not self._keeper.done():
            self._keeper.cancel()  # once more, should a library have swallowed it
            await asyncio.wait([self._keeper], timeout=_RETRY_EVERY)
        for _ in range(self._link.at_once):
            await self._turns.acquire()
        await self._link.aclose()
        for _ in range(self._link.at_once):
            self._turns.release()

    async def _look_up(self, key: str) -> Found | None:
        """What Redis has. Look-ups share a connection that takes any number of them at once: no turns."""
        try:
            if not self._debts and not self._is_alone and self._link.is_open(key):
                return await self._link.glance(key)
            async with self._asking():
                await self._debts.settle(key)
                return await self._link.fetch(key)
        except Elsewhere:
            async with self._asking():
                return await self._link.fetch_whole(key)

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        """A turn to ask Redis; Away at once while alone, also for those who stood in line."""
        if self._is_alone:
            raise Away
        async with self._turns:
            if self._is_alone:
                raise Away
            try:
                yield
            except Away as away:
                self._lost(away)
                raise

    def _lost(self, away: Away) -> None:
        """Redis is away: nobody waits for what it was asked."""
        self._link.hang_up()
        self._note(listening=False, alone=True, why=away)

    def _keep(self, key: str, found: Found | None, before: int) -> None:
        """Keep in memory what Redis said, unless something has changed since it was asked."""
        if found is None or before != self._changes:
            self.memory.drop(key)
        else:
            self.memory.put(key, found.pin, found.ttl)

    def _note(self, *, listening: bool, alone: bool, why: object = None) -> None:
        if self._is_closed:
            return
        if alone and not self._is_alone:
            _LOG.warning("Redis is away, pins are kept in memory: %s", why)
        if self._is_alone and not alone:
            _LOG.warning("Redis is back")
        if not listening:
            self._bells.ring_all()
        self._is_listening, self._is_alone = listening, alone
        self._metrics.cache_up.set(not alone)

    async def _keep_listening(self) -> None:
        while True:
            lost: object = None
            try:
                async with self._link.listen() as announcements:
                    await self._return()
                    await self._listen(announcements)
            except Away as away:
                lost = away
            if lost is None or self._is_listening:  # worth another try at once
                self._note(listening=False, alone=self._is_alone)
            else:
                self._note(listening=False, alone=True, why=lost)
                await asyncio.sleep(_RETRY_EVERY)

    async def _return(self) -> None:
        """Tell Redis what it missed, then forget everything, since it may be out of date."""
        self._note(listening=False, alone=False)
        await self._debts.settle_texts()
        while self._debts:
            await self._debts.settle(self._debts.oldest())
            if self._is_alone:
                raise Away("a call failed meanwhile")
        self.memory.clear()
        self._changes += 1
        self._note(listening=True, alone=False)

    async def _listen(self, announcements: Announcements) -> None:
        """Forget what others announce, until a call finds Redis away."""
        while self._is_listening:
            key = await announcements.next(_CHECK_EVERY)
            if key is not None:
                self._changes += 1
                self.memory.drop(key)
                self._bells.ring(key)
