"""How this process stands with Redis, and the task that brings Redis back.

    listening   memory, then Redis
    deaf        the subscription is lost, or Redis takes no writes: Redis decides, memory only helps out
    alone       Redis does not answer: memory only, and nobody waits for a time-out

A call that fails makes the process alone. One that Redis refuses to write for makes it deaf: pins that are there are
served as before. Redis is back once a subscription stands and a trial write has passed, and is told first what it
missed: what was pinned without it is offered by SET NX, and the stored answer wins; what was replaced or deleted
without it is replaced or deleted there. What it has not been told yet is not forgotten here.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.store.announcements import Announcements
from gateway.store.away import Away, Refused
from gateway.store.bells import Bells
from gateway.store.debts import Debts
from gateway.store.link import Link
from gateway.store.memory import MemoryStore
from gateway.telemetry.metrics import Metrics

_LOG = logging.getLogger(__name__)

_RETRY_EVERY = 0.25
_CHECK_EVERY = 0.25


class Keeper:
    """Who asks Redis asks within `asking`; the task runs from the beginning to `aclose`."""

    def __init__(self, link: Link, memory: MemoryStore, debts: Debts, bells: Bells, metrics: Metrics) -> None:
        self.is_listening = False
        self.is_alone = False
        self.is_refused = False  # no writes, though it answers
        self.changes = 0  # known to have happened; what was asked before the last one may be out of date
        self._link = link
        self._memory = memory
        self._debts = debts
        self._bells = bells
        self._metrics = metrics
        self._turns = asyncio.Semaphore(link.at_once)
        self._is_closed = False
        self._task = asyncio.create_task(self._keep_listening())

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        """A turn to ask Redis; Away at once while alone, also for those who stood in line."""
        if self.is_alone:
            raise Away
        async with self._turns:
            if self.is_alone:
                raise Away
            try:
                yield
            except Refused as refused:
                self._note(alone=self.is_alone, refused=True, why=refused)
                raise
            except Away as away:
                self.lost(away)
                raise

    def lost(self, away: Away) -> None:
        """Redis is away: nobody waits for what it was asked."""
        if not self.is_alone:
            self._link.hang_up()
            self._note(alone=True, why=away)

    async def aclose(self) -> None:
        """Stop listening, and return once no call is under way; none begins any more."""
        self._is_closed = self.is_alone = True
        self.is_listening = False
        while not self._task.done():
            self._task.cancel()  # once more, should a library have swallowed it
            await asyncio.wait([self._task], timeout=_RETRY_EVERY)
        for _ in range(self._link.at_once):
            await self._turns.acquire()
        for _ in range(self._link.at_once):
            self._turns.release()

    def _note(
        self, *, listening: bool = False, alone: bool = False, refused: bool = False, why: object = None
    ) -> None:
        if self._is_closed:
            return
        was_degraded = self.is_alone or self.is_refused
        if alone and not self.is_alone:
            _LOG.warning("Redis is away, pins are kept in memory: %s", why)
        elif refused and not was_degraded:
            _LOG.warning("Redis takes no writes, pins are kept in memory: %s", why)
        elif was_degraded and not (alone or refused):
            _LOG.warning("Redis is back")
        if (listening, alone, refused) != (self.is_listening, self.is_alone, self.is_refused):
            self._bells.ring_all()
        self.is_listening, self.is_alone, self.is_refused = listening, alone, refused
        self._metrics.cache_up.set(not (alone or refused))

    async def _keep_listening(self) -> None:
        while True:
            try:
                async with self._link.listen() as announcements:
                    await self._return()
                    await self._listen(announcements)
            except Refused as refused:
                self._note(alone=self.is_alone, refused=True, why=refused)
                await asyncio.sleep(_RETRY_EVERY)
                await self._link.begin_anew()
            except Away as away:
                if self.is_listening:  # worth another try at once
                    self._note(alone=self.is_alone, refused=self.is_refused)
                else:
                    self._note(alone=True, why=away)
                    await asyncio.sleep(_RETRY_EVERY)

    async def _return(self) -> None:
        """Tell Redis what it missed, then forget everything, since it may be out of date."""
        await self._prove()
        await self._debts.settle_texts()
        while self._debts:
            await self._settle(self._debts.oldest())
            self._go_on()
        self._go_on()
        self._memory.clear()
        self.changes += 1
        self._note(listening=True)

    async def _prove(self) -> None:
        """See Redis write and answer: it lets people subscribe though it does neither."""
        try:
            await self._link.prove()
        except Refused as refused:
            self._note(refused=True, why=refused)
            raise
        self._note()

    async def _settle(self, key: str) -> None:
        """Tell Redis what it missed of one key. What it does not take, though it takes all else, is given up."""
        try:
            await self._debts.settle(key)
        except Refused:
            raise
        except Away as away:
            if not self._debts.is_doubtful(key, away):
                raise
            await self._link.prove()
            self._debts.doubt(key)
            await asyncio.sleep(_RETRY_EVERY)

    def _go_on(self) -> None:
        if self.is_alone:
            raise Away("a call failed meanwhile")
        if self.is_refused:
            raise Refused("a call was refused meanwhile")

    async def _listen(self, announcements: Announcements) -> None:
        """Forget what others announce, until a call finds Redis away."""
        while self.is_listening:
            key = await announcements.next(_CHECK_EVERY)
            if key is not None:
                self.changes += 1
                if key not in self._debts:
                    self._memory.drop(key)
                self._bells.ring(key)
