"""A run: clients, faults, and what came of it."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.chaos.clients import Clients, Failure, Seen
from benchmarks.chaos.faults import FAULTS, Fault, Window, inflict
from benchmarks.chaos.site import MemoryCurve, open_site

_HEALING = 8.0  # seconds after a fault of Redis: breakers close, what it missed is offered to it
_ASKED_AGAIN = 200  # questions, in the end
_AT_FIRST = 10  # answers that each client has had on average when the first fault comes


@dataclass(slots=True)
class Outcome:
    """What a run showed."""

    seen: Seen
    windows: list[Window]
    memory: MemoryCurve
    later: dict[str, set[str]] = field(default_factory=dict)  # answers after all was over, by question
    settled: float = 0.0  # millions of bytes when nobody asked any more

    @property
    def early(self) -> float:
        """The most memory, in millions of bytes, before the first fault, or in the first tenth of a quiet run."""
        memory = self.memory
        ends = self.windows[0].began - memory.began if self.windows else memory.points[-1][0] / 10
        return max(megabytes for at, megabytes in memory.points if at <= ends)

    @property
    def growth(self) -> float:
        """Memory when all was over, over what it was early."""
        return self.settled / self.early

    def disputed(self) -> dict[str, list[str]]:
        """Questions to which two answers were given while Redis was there.

        While it is away processes cannot know of each other's pins, and each answers by its own.
        """
        found = {}
        for question, answers in self.seen.answers.items():
            given = [
                answer for answer, times in answers.items() if not all(map(self.was_without_redis, times))
            ]
            if len(given) > 1:
                found[question] = given
        return found

    def failed(self) -> list[Failure]:
        """Requests that were not answered.

        Left out is what docs/operations.md excepts: a stream that was shown while Redis was away, and whose
        question turned out to be pinned otherwise when it came back.
        """
        return [
            each
            for each in self.seen.failures
            if not ("superseded" in each.why and self.was_without_redis(each.at))
        ]

    def cut_off(self) -> list[Failure]:
        """Connections that broke though no worker had died: nothing else is a reason for one."""
        deaths = [each for each in self.windows if each.fault.of_worker]
        return [
            each
            for each in self.seen.broken
            if not any(death.began <= each.at <= death.ended for death in deaths)
        ]

    def was_without_redis(self, at: float) -> bool:
        """Whether Redis was away then, or had just come back."""
        return any(each.began <= at <= each.ended + _HEALING for each in self.windows if each.fault.of_redis)

    def unsettled(self) -> dict[str, list[str]]:
        """Questions that had two answers after all was over."""
        return {question: sorted(answers) for question, answers in self.later.items() if len(answers) > 1}


async def run(  # noqa: PLR0913  what a run is made of
    folder: Path,
    *,
    clients: int,
    workers: int,
    faults: Sequence[Fault] = FAULTS,
    lasting: float,
    pause: float,
    before: float = 0.0,
    tell: Callable[[Clients], Coroutine[None, None, None]] | None = None,
) -> Outcome:
    """`clients` at once while one fault after the other comes and goes; then all is asked once more.

    `before` the first fault there are so many seconds of quiet load, and a number of answers however long they take.
    `tell` is run beside it, to say how it goes.
    """
    async with open_site(folder, workers) as site:
        asking = Clients(site.url, clients)
        curve = MemoryCurve()
        beside = [asyncio.create_task(curve.keep(site))]
        beside += [asyncio.create_task(tell(asking))] if tell else []
        load = asyncio.create_task(asking.run())
        await asyncio.sleep(pause + before)
        while sum(asking.seen.counts.values()) < _AT_FIRST * clients:  # noqa: ASYNC110  it has no event
            await asyncio.sleep(pause / 10)
        windows = await inflict(site, list(faults), lasting, pause)
        asking.stop()
        seen = await load
        outcome = Outcome(seen, windows, curve)
        for question in list(seen.answers)[-_ASKED_AGAIN:]:
            outcome.later[question] = {await asking.answer_to(question) for _ in range(3)}
        outcome.settled = site.memory()
        for each in beside:
            each.cancel()
        await asyncio.wait(beside)
        return outcome
