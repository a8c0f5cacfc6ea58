"""Pins shared by all processes through Redis, with this process's memory in front.

A process answers from memory only while it hears announcements, so that a pin that was deleted, replaced or
lost elsewhere is forgotten here. `gateway.store.keeper` knows whether it does, and whether Redis is there at all.
What cannot be told to Redis is owed: a key is told on before it is asked for.
"""

from collections.abc import Sequence
from contextlib import suppress
from math import inf

from gateway.core.pin import Pin
from gateway.core.rate import Draw, Level
from gateway.settings.model import CacheSettings
from gateway.store.away import Away, Refused
from gateway.store.bells import Bells
from gateway.store.debts import Debts
from gateway.store.keeper import Keeper
from gateway.store.link import Link
from gateway.store.memory import MemoryStore
from gateway.store.protocol import LEASE, Found
from gateway.store.rates import Rates
from gateway.store.replies import Elsewhere
from gateway.telemetry.metrics import Metrics

_LOOKS = 5  # at somebody else's lease within the time that one lasts


class RedisStore:
    """Pins in Redis, and what this process makes of Redis's absences."""

    is_shared = True

    def __init__(self, settings: CacheSettings, metrics: Metrics, *, lease: float = LEASE) -> None:
        self.lease = lease
        self.memory = MemoryStore(settings.memory)
        self._link = Link(settings)
        self._bells = Bells()
        self._rates = Rates()
        self._debts = Debts(self._link, self.memory)
        self._keeper = Keeper(self._link, self.memory, self._debts, self._bells, metrics)

    @property
    def is_degraded(self) -> bool:
        """Whether Redis does not answer, or takes no writes."""
        return self._keeper.is_alone or self._keeper.is_refused

    def look_up(self, key: str) -> Found | None:
        """`get` without waiting: memory, as long as what happens elsewhere is heard."""
        return self.memory.look_up(key) if self._keeper.is_listening else None

    async def get(self, key: str) -> Found | None:
        """The pin under this key, if it lives."""
        found = self.look_up(key)
        if found is not None:
            return found
        before = self._keeper.changes
        try:
            found = await self._look_up(key)
        except Refused:  # what is owed of this key
            return self.memory.look_up(key)
        except Away as away:
            self._keeper.lost(away)
            return self.memory.look_up(key)
        self._keep(key, found, before)
        return found

    async def pin(self, key: str, pin: Pin, ttl: float, leader: str = "") -> Pin:
        """Pin by SET NX; the pin that holds, whichever process made it."""
        before = self._keeper.changes
        try:
            async with self._keeper.asking():
                await self._debts.settle(key)
                found = await self._link.pin(key, pin, ttl, leader)
        except Away:
            self._debts.offer(key)
            return await self.memory.pin(key, pin, ttl)
        self._keep(key, found, before)
        return found.pin

    async def replace(self, key: str, pin: Pin, ttl: float) -> None:
        """Pin whatever was there before, and tell the others."""
        before = self._keeper.changes
        try:
            async with self._keeper.asking():
                found = await self._link.replace(key, pin, ttl)
        except Away:
            self._debts.force(key)
            self.memory.put(key, pin, ttl)
        else:
            self._debts.forgive(key)
            self._keep(key, found, before)
            self._keeper.changes += 1

    async def delete(self, key: str) -> bool:
        """Remove a pin everywhere; whether there was one."""
        was_here, was_there = self.memory.look_up(key) is not None, False
        try:
            async with self._keeper.asking():
                was_there = await self._link.delete(key)
            self._debts.forgive(key)
        except Refused:
            was_there = await self.get(key) is not None
            self._debts.force(key)
        except Away:
            self._debts.force(key)
        self._keeper.changes += 1
        self.memory.drop(key)
        return was_there or was_here

    async def claim(self, key: str, owner: str) -> bool:
        """Take or renew the lease of a key; granted while Redis does not give any, unless there is a pin here."""
        try:
            async with self._keeper.asking():
                return await self._link.claim(key, owner, self.lease)
        except Away:
            return self.memory.look_up(key) is None

    async def release(self, key: str, owner: str, told: bytes = b"") -> None:
        """Give the lease back if `owner` has it; without Redis it ends by itself."""
        with suppress(Away):
            async with self._keeper.asking():
                await self._link.release(key, owner, self.lease, told)
        self._bells.ring(key)

    async def follow(self, key: str, owner: str) -> Found | bytes | None:
        """Wait while another process has the lease: the pin, what was told instead, or None if the lease ends first."""
        told: bytes | None = None

        async def left() -> float:
            nonlocal told
            seconds = 0.0
            with suppress(Away):
                async with self._keeper.asking():
                    seconds, told = await self._link.wait(key, owner, self.lease)
            return seconds

        found = await self._bells.follow(key, left, self.get, self.lease / _LOOKS)
        if found is None and not told:
            with suppress(Away):
                async with self._keeper.asking():
                    await self._link.unbar(key)
        return told if found is None else found

    async def leave(self, key: str, owner: str) -> None:
        """Wait no more; without Redis the note of it ends by itself."""
        with suppress(Away):
            async with self._keeper.asking():
                await self._link.leave(key, owner)

    async def outlast(self, key: str) -> None:
        """Return once no other process waits for this key's verdict; at once while Redis is away."""

        async def waiting() -> int:
            with suppress(Away):
                async with self._keeper.asking():
                    return await self._link.waiting(key)
            return 0

        await self._bells.outlast(key, waiting, self.lease / _LOOKS)

    async def remember(self, name: str, value: str, ttl: float = inf) -> None:
        """Keep a short text under a name, for so many seconds."""
        await self.memory.remember(name, value, ttl)
        try:
            async with self._keeper.asking():
                await self._link.write(name, value, ttl)
        except Away:
            self._debts.write(name, value, ttl)

    async def recall(self, name: str) -> str | None:
        """The text under this name."""
        if (owed := self._debts.text(name)) is not None:
            return owed
        with suppress(Away):
            async with self._keeper.asking():
                return await self._link.read(name)
        return await self.memory.recall(name)

    async def append(self, entries: Sequence[bytes], length: int) -> bool:
        """Put these at the end of the ledger; not while Redis is away."""
        try:
            async with self._keeper.asking():
                await self._link.append(entries, length)
        except Away:
            return False
        return True

    async def draw(self, tenant: str, draws: Sequence[Draw]) -> list[Level]:
        """Draw from the buckets that all processes share; from this one's while Redis is away."""
        try:
            async with self._keeper.asking():
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
        await self._keeper.aclose()
        await self._link.aclose()

    async def _look_up(self, key: str) -> Found | None:
        """What Redis has. Look-ups share a connection that takes any number of them at once: no turns."""
        try:
            if key not in self._debts and not self._keeper.is_alone and self._link.is_open(key):
                return await self._link.glance(key)
            async with self._keeper.asking():
                await self._debts.settle(key)
                return await self._link.fetch(key)
        except Elsewhere:
            async with self._keeper.asking():
                return await self._link.fetch_whole(key)

    def _keep(self, key: str, found: Found | None, before: int) -> None:
        """Keep in memory what Redis said, unless something has changed since it was asked."""
        if key in self._debts:
            return
        if found is None or before != self._keeper.changes:
            self.memory.drop(key)
        else:
            self.memory.put(key, found.pin, found.ttl)
