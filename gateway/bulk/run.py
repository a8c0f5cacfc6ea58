"""Asks all that is left of a file."""

import asyncio
from collections.abc import Sequence
from threading import Lock
from typing import Protocol

from gateway.bulk.answers import Answers
from gateway.bulk.jobs import Job
from gateway.bulk.record import Answered, Record, answered, make_record
from gateway.calling.pace import Pace
from gateway.calling.post import Failed, Got, Place, Unusable, first_of, pause_after, post

_MOST_MISSED = 20  # in a row, before it is no use to go on
_REFUSED = frozenset({401, 403})
_CHOICE = "x-consistency-"  # in a message: the header that a flag became


class Stopped(Exception):
    """It is no use to go on: the message says why."""


class Watcher(Protocol):
    """Is told how it goes."""

    def came(self, answer: Answered) -> None:
        """One line is there, and in the file."""

    def waits(self, seconds: float, why: str) -> None:
        """Nothing is sent for so long."""


class Run:
    """One go at a file."""

    def __init__(self, place: Place, pace: Pace, answers: Answers, watcher: Watcher, tries: int) -> None:
        self._place = place
        self._pace = pace
        self._answers = answers
        self._watcher = watcher
        self._tries = tries
        self._lock = Lock()
        self._missed = 0  # in a row
        self._concurrency = 1

    async def all(self, left: Sequence[tuple[str, Job]], concurrency: int) -> None:
        """Ask these jobs, each under its name; Stopped if the gateway gives no answers, Unusable if it refuses."""
        self._concurrency = concurrency
        places = asyncio.Semaphore(concurrency)
        try:
            async with asyncio.TaskGroup() as tasks:
                for name, job in left:
                    await places.acquire()
                    await self._pace.take()
                    tasks.create_task(self._one(name, job, places))
        except BaseExceptionGroup as errors:  # what ended the first task ended all
            raise first_of(errors) from errors

    async def _one(self, name: str, job: Job, places: asyncio.Semaphore) -> None:
        try:
            got = await self._patiently(job)
            self._check(got)
            record = make_record(name, job, got)
            await asyncio.to_thread(self._append, record)
        finally:  # not before it is written: there are never more answers on their way than places
            places.release()
        answer = answered(job, record)
        self._watcher.came(answer)
        self._missed = 0 if answer.is_final else self._missed + 1
        is_gone = isinstance(got, Failed) and got.is_broken  # for as long as all tries took
        if self._missed >= (max(2, self._concurrency) if is_gone else _MOST_MISSED):
            raise Stopped(f"the last {self._missed} lines had no answer: {answer.said}")

    def _append(self, record: Record) -> None:
        with self._lock:
            self._answers.append(record)

    async def _patiently(self, job: Job) -> Got | Failed:
        """What came of it, however often it has to be asked while the gateway is busy or gone."""
        attempt = 0
        while True:
            got = await post(self._place, job.path, job.body)
            again = got.is_broken if isinstance(got, Failed) else got.is_busy
            attempt += 1
            if not again or attempt >= self._tries:
                return got
            seconds = pause_after(None if isinstance(got, Failed) else got.asks_for, attempt - 1)
            self._pace.pause(seconds)
            self._watcher.waits(seconds, got.detail if isinstance(got, Failed) else got.words)
            await self._pace.take()

    def _check(self, got: Got | Failed) -> None:
        """Unusable where every further line would fare alike."""
        if isinstance(got, Failed):
            return
        if got.status == 400 and _CHOICE in got.words:
            raise Unusable(f"{self._place.url} does not take what the flags ask for: {got.words}")
        if got.status in _REFUSED:
            raise Unusable(
                f"{self._place.url} refuses (is the key right? SCG_API_KEY, --api-key-file): {got.words}"
            )
        if got.status == 200 and not got.told:
            raise Unusable(f"{self._place.url} is no gateway: its answers say nothing of a vote")
