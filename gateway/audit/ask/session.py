"""An audit from its first look to its last answer: what the command does between its flags and its report."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import TextIO

from gateway.audit.ask.run import Left, Run
from gateway.audit.ask.target import Tried, find_target, try_one
from gateway.audit.heard import Outcome
from gateway.audit.journal import Head, Journal, JournalError, read_journal, whole_groups
from gateway.audit.report.progress import open_progress
from gateway.audit.schedule import schedule
from gateway.audit.spec import Spec
from gateway.calling.lines import mend
from gateway.calling.pace import Pace
from gateway.calling.post import Unusable, header

# Unless pins are what is audited, a gateway in between is asked for fresh votes.
_FRESH = (("cache-control", "no-store"),)


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says. `spec` has no model yet where none was named."""

    urls: tuple[str, ...]
    spec: Spec
    journal: Path
    lane: str | None = None  # the URL of a reference lane
    resume: bool = False
    rate: float | None = 8.0
    most: int | None = 2000
    key: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    timeout: float = 600.0
    ca_file: str | None = None
    pins: bool = False
    any_form: bool = True  # whether plain completions may be tried where chats are refused
    dry_run: bool = False

    @property
    def all_urls(self) -> tuple[str, ...]:
        """The replicas, and last the reference lane where there is one."""
        return (*self.urls, *((self.lane,) if self.lane else ()))


Before = tuple[Head, Sequence[Outcome]]


def begun(options: Options) -> Before | None:
    """The audit to go on with; None where a new one begins. JournalError if it is not to be had, or in the way."""
    if options.resume:
        _mend(options.journal)
        return read_journal(options.journal)
    if options.journal.exists() and not options.dry_run:
        raise JournalError(
            f"{options.journal} is there already: --resume goes on with it, --fresh starts over and keeps it aside"
        )
    return None


def _mend(path: Path) -> None:
    try:
        mend(path)
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror}") from error


async def conduct(
    options: Options, before: Before | None, say: Callable[[str], None], stream: TextIO
) -> None:
    """Ask everything that is left to be asked. What was asked is in the journal, whatever ends this.

    Unusable and JournalError before the first request that counts; Stopped and Spent after it.
    """
    async with AsyncExitStack() as stack:
        target = await find_target(
            options.all_urls,
            options.spec.model or None,
            header(options.key, options.headers, () if options.pins else _FRESH),
            options.timeout,
            options.ca_file,
            stack,
        )
        spec = replace(options.spec, model=target.model, has_lane=options.lane is not None)
        tried = await try_one(target, spec, may_change=options.any_form)
        head = _continued(options, before, _head(options, target.engine, tried))
        outcomes = before[1] if before else ()
        left = _left(head.spec, outcomes)
        _estimate(options, head, left, say)
        if options.dry_run:
            return
        journal = Journal(options.journal)
        if before is None:
            await asyncio.to_thread(journal.begin, head)
        pace = Pace(options.rate, head.spec.highest, options.most)
        first_launch = 1 + max((outcome.launch for outcome in outcomes), default=-1)
        with open_progress(stream) as watcher:
            await Run(head, target.servers, pace, journal, watcher).all(left, first_launch)


def _head(options: Options, engine: str, tried: Tried) -> Head:
    return Head(
        spec=tried.spec,
        urls=options.all_urls,
        engine=engine,
        nonce=token_hex(4),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        gateway=tried.gateway,
        pins=options.pins,
    )


def _continued(options: Options, before: Before | None, head: Head) -> Head:
    """The head to go on with: the journal's, if what it asks is what is wanted now."""
    if before is None:
        return head
    for name, here, there in _differences(head, before[0]):
        raise JournalError(
            f"{options.journal} was begun with another {name} ({there}, now {here}): --fresh starts over"
        )
    return before[0]


def _differences(here: Head, there: Head) -> Sequence[tuple[str, object, object]]:
    pairs = [(name, getattr(here, name), getattr(there, name)) for name in ("urls", "engine", "pins")]
    pairs += [
        (each.name, getattr(here.spec, each.name), getattr(there.spec, each.name)) for each in fields(Spec)
    ]
    return [
        (name, *((f"{len(one)} prompts", f"{len(other)} prompts") if name == "prompts" else (one, other)))
        for name, one, other in pairs
        if one != other
    ]


def _left(spec: Spec, outcomes: Sequence[Outcome]) -> list[Left]:
    """The groups of which an answer is missing, phase by phase."""
    phases = schedule(spec)
    heard = whole_groups((group for phase in phases for group in phase.groups), outcomes)
    left = [
        Left(phase, tuple(group for group in phase.groups if not heard.keys() >= set(group)))
        for phase in phases
    ]
    return [each for each in left if each.groups]


def _estimate(options: Options, head: Head, left: Sequence[Left], say: Callable[[str], None]) -> None:
    """Say what it will take; Unusable if that is more than it may."""
    requests = sum(len(group) for each in left for group in each.groups)
    planned = sum(phase.requests for phase in schedule(head.spec))
    parts = ", ".join(f"{each.phase.name} {sum(map(len, each.groups))}" for each in left)
    done = f" ({planned - requests} of {planned} are there already)" if planned != requests else ""
    seconds = requests / options.rate if options.rate else 0.0
    rate = f", at least {_spelled(seconds)} at {options.rate:g} a second (--rate)" if options.rate else ""
    asked = f"{len(head.spec.prompts)} prompts; {parts or 'nothing left'}"
    say(f"{requests} requests of {head.spec.model} ({head.engine}){done}: {asked}")
    say(
        f"at most {requests * head.spec.max_tokens} tokens of answers, {head.spec.highest} requests in flight{rate}"
    )
    if options.most is not None and requests > options.most:
        raise Unusable(
            f"{requests} requests are more than --max-requests {options.most}: raise it, or ask for less with"
            " --copies, --concurrency, --phases or fewer prompts"
        )


def _spelled(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
