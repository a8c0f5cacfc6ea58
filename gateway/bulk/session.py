"""From the flags to the last answer: what the command does between reading its words and its summary."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from gateway.bulk.answers import Answers
from gateway.bulk.jobs import Job
from gateway.bulk.record import Answered
from gateway.bulk.run import Run
from gateway.calling.pace import Pace
from gateway.calling.post import Place, Unusable, header, open_place
from gateway.calling.progress import Display, open_display
from gateway.upstream.client import Call, UpstreamFailure

Choices = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says. `choices` are header fields, `x-consistency-*`."""

    url: str
    jobs: tuple[Job, ...]
    out: Path
    choices: Choices = ()
    concurrency: int = 4
    rate: float | None = None
    tries: int = 8
    key: str | None = field(default=None, repr=False)
    headers: Choices = field(default=(), repr=False)
    timeout: float = 600.0
    ca_file: str | None = None
    fresh: bool = False  # whether answers that are there already are moved aside


class Seen:
    """The figures so far, of old and new answers, shown as they come."""

    def __init__(self, there: Sequence[Answered], display: Display) -> None:
        self._display = display
        self._agreed, self._voted, self._parted, self._missed = 0.0, 0, 0, 0
        for each in there:
            self._count(each)

    def came(self, answer: Answered) -> None:
        """Count it."""
        self._count(answer)
        self._display.came(str(self))

    def waits(self, seconds: float, why: str) -> None:
        """Say why nothing happens."""
        self._display.waits(f"waiting {seconds:g} s: {why}")

    def _count(self, answer: Answered) -> None:
        if answer.agreement is not None:
            self._agreed += answer.agreement
            self._voted += 1
            self._parted += answer.agreement < 1
        self._missed += not answer.is_final

    def __str__(self) -> str:
        """The figures so far, in a few words."""
        mean = f"agreement {self._agreed / self._voted:.3f}" if self._voted else "no vote yet"
        missed = f", {self._missed} without an answer" if self._missed else ""
        return f"{mean}, {self._parted} not unanimous{missed}"


def conduct(options: Options, say: Callable[[str], None], stream: TextIO, results: list[Answered]) -> None:
    """Ask every line that has no answer yet. `results` has all answers, old and new, whatever ends this.

    AnswersError before the first request; Unusable where none would do, Stopped where answers cease to come.
    """
    jobs = {job.custom_id: (job.id(options.choices), job) for job in options.jobs}
    with closing(Answers(options.out, jobs, fresh=options.fresh)) as answers:
        there = {each.job.custom_id for each in answers.there}
        left = [named for custom_id, named in jobs.items() if custom_id not in there]
        _tell(options, len(left), say)
        try:
            if left:
                with open_display(stream, "scg bulk") as display:
                    asyncio.run(_ask(options, answers, left, display))
        finally:  # the file knows best: a line may have come as this was stopped
            if answers.aside:
                say(f"kept the old {options.out} as {answers.aside}")
            results.extend(answers.read())


async def _ask(
    options: Options,
    answers: Answers,
    left: Sequence[tuple[str, Job]],
    display: Display,
) -> None:
    async with AsyncExitStack() as stack:
        headers = header(options.key, (*options.choices, *options.headers))
        place = open_place(options.url, headers, options.timeout, options.ca_file, stack)
        await _look(place)
        display.begins("asking", len(left))
        pace = Pace(options.rate, options.concurrency, None)
        seen = Seen(answers.there, display)
        await Run(place, pace, answers, seen, options.tries).all(left, options.concurrency)


def _tell(options: Options, left: int, say: Callable[[str], None]) -> None:
    there = len(options.jobs) - left
    done = f", {there} of {len(options.jobs)} are there already" if there else ""
    rate = f", at most {options.rate:g} a second" if options.rate else ""
    say(
        f"{left} lines to ask {options.url}{done}; {options.concurrency} at once{rate}; answers to {options.out}"
    )


async def _look(place: Place) -> None:
    """Whether anybody is there: told at once, not after a line's patience."""
    try:
        exchange = await place.client.send(Call("GET", f"{place.url}/healthz", place.headers))
    except UpstreamFailure as failure:
        raise Unusable(
            f"{place.url}: no gateway answers there ({failure}); `scg serve` starts one"
        ) from failure
    exchange.close()
