"""Asks all that is left of an audit, phase by phase."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Protocol

from gateway.audit.ask.once import Busy, Nothing, Said, Server, ask_once
from gateway.audit.heard import Heard, Missed, Outcome
from gateway.audit.journal import Head, Journal
from gateway.audit.questions import plan_of
from gateway.audit.schedule import Group, Phase, Shot
from gateway.audit.spec import APART, LANE
from gateway.calling.pace import Pace, Spent
from gateway.calling.post import TRIES, first_of, pause_after
from gateway.core.ballot import Extracted, Sample, extract, is_costly
from gateway.extraction.pool import Extractors

_MOST_MISSED = 20  # in a row, before it is no use to go on


class Stopped(Exception):
    """The server gives no answers: the message has its last words."""


class Watcher(Protocol):
    """Is told how it goes."""

    def begins(self, phase: Phase, left: int) -> None:
        """A phase of which `left` requests have to be made begins."""

    def came(self, outcome: Outcome) -> None:
        """One outcome is there, and in the journal."""

    def waits(self, seconds: float, why: str) -> None:
        """The server is busy: nothing is sent for so long."""


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a phase."""

    phase: Phase
    groups: tuple[Group, ...]


class Run:
    """One go at an audit."""

    def __init__(
        self, head: Head, servers: Sequence[Server], pace: Pace, journal: Journal, watcher: Watcher
    ) -> None:
        self._head = head
        self._spec = head.spec
        self._servers = servers
        self._pace = pace
        self._journal = journal
        self._watcher = watcher
        self._rules = [plan_of(self._spec, prompt).answer for prompt in self._spec.prompts]
        self._extractors = Extractors()
        self._launches = count()
        self._in_flight = 0
        self._missed = 0  # in a row

    async def all(self, left: Sequence[Left], first_launch: int) -> None:
        """Ask everything that is left. Stopped if the server gives no answers, Spent at the bound."""
        self._launches = count(first_launch)
        try:
            for each in left:
                self._watcher.begins(each.phase, sum(map(len, each.groups)))
                await self._perform(each)
        except BaseExceptionGroup as errors:  # from the tasks: what ended the first of them ended all
            raise first_of(errors) from errors
        finally:
            await self._extractors.close()

    async def _perform(self, left: Left) -> None:
        places = asyncio.Semaphore(left.phase.concurrency)
        latest: dict[int, asyncio.Task[None]] = {}  # copy of each prompt
        async with asyncio.TaskGroup() as tasks:
            for group in left.groups:
                before = latest.get(group[0].prompt)
                if before is not None and left.phase.kind == APART:
                    await asyncio.wait([before])
                for _ in group:
                    await places.acquire()
                try:
                    await self._pace.take(len(group))
                except Spent:  # what is under way may still come
                    break
                launch = next(self._launches)
                for shot in group:
                    latest[shot.prompt] = tasks.create_task(self._one(shot, launch, places))
            else:
                return
        raise Spent

    async def _one(self, shot: Shot, launch: int, places: asyncio.Semaphore) -> None:
        self._in_flight += 1
        try:
            outcome = await self._ask(shot, launch, self._in_flight)
        finally:
            self._in_flight -= 1
            places.release()
        await asyncio.to_thread(self._journal.append, outcome)
        self._watcher.came(outcome)
        self._missed = self._missed + 1 if isinstance(outcome, Missed) else 0
        if isinstance(outcome, Missed) and self._missed >= _MOST_MISSED:
            raise Stopped(f"the last {self._missed} requests had no answer: {outcome.detail}")
        if shot.kind == APART:
            await asyncio.sleep(self._spec.gap)

    async def _ask(self, shot: Shot, launch: int, in_flight: int) -> Outcome:
        """The outcome, however often the server has to be asked while it is busy."""
        replica = self._replica(shot)
        salt = f"scg-{self._head.nonce}-{shot.salt}" if self._spec.salted else None
        prompt = self._spec.prompts[shot.prompt]
        detail = ""
        for attempt in range(TRIES):
            if attempt:
                await self._pace.take()
            said = await ask_once(self._servers[replica], self._spec, prompt, shot.turn, salt)
            if isinstance(said, Said):
                sample = await self._read(Sample(shot.turn, said.reply), self._rules[shot.prompt])
                late = attempt > 0
                return Heard(shot, sample, launch, replica, said.seconds, in_flight, said.told, late)
            if isinstance(said, Nothing):
                return Missed(shot, launch, said.detail)
            self._wait(said, attempt)
            detail = said.detail
        return Missed(shot, launch, f"asked {TRIES} times: {detail}")

    def _replica(self, shot: Shot) -> int:
        """Copies go round the replicas; the lane is the last of the servers."""
        if shot.kind == LANE:
            return len(self._servers) - 1
        return shot.turn % (len(self._servers) - self._spec.has_lane)

    def _wait(self, busy: Busy, attempt: int) -> None:
        seconds = pause_after(busy.seconds, attempt)
        self._pace.pause(seconds)
        self._watcher.waits(seconds, busy.detail)

    async def _read(self, sample: Sample, rule: str) -> Sample:
        """The sample with its answer extracted, in a worker process where that takes long."""
        if is_costly(sample.reply, rule):
            return await self._extractors.prepare(sample, rule)
        return replace(sample, extracted=Extracted(extract(sample.reply, rule)))
