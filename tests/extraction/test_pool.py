"""The worker process: real ones, made to hang and to die."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.core.ballot import Ballot, Extracted, Reply, Sample, Spoiled, cast, extract
from gateway.extraction.pool import Extractors
from tests.doubles.waiting import until

TOWER = Reply(r"\boxed{9^{9^{9^9}}}")  # more digits than there is time


@asynccontextmanager
async def open_extractors(**bounds: Any) -> AsyncIterator[Extractors]:
    extractors = Extractors(**({"seconds": 60.0} | bounds))
    try:
        yield extractors
    finally:
        await extractors.close()


def process_of(extractors: Extractors) -> int:
    """The process id of the worker that waits."""
    return extractors._idle[0]._process.pid


async def test_mathematics_reaches_the_vote() -> None:
    """Samples that write one value in two ways are one answer once they are prepared."""
    async with open_extractors() as extractors:
        votes = [
            cast(await extractors.prepare(Sample(index, Reply(content)), "math"), "math")
            for index, content in enumerate((r"<think>1</think>\boxed{\frac12}", "It is 0.5.", "Who knows?"))
        ]
        assert [Ballot, Ballot, Spoiled] == [type(vote) for vote in votes]
        assert ["0.5", "0.5"] == [vote.answer for vote in votes if isinstance(vote, Ballot)]


@pytest.mark.parametrize(
    ("rule", "reply"),
    [
        ("json", Reply("[" + "1.0," * 300_000 + "1]")),
        ("number", Reply("1 " * 500_000)),
        ("regex:(\\d)x?", Reply("1" * 1_000_000)),
        ("calls-or-text", Reply("", calls=(("f", '{"a":  1}'), ("g", "x" * 100_000)))),
        ("calls-or-json", Reply("", refusal="\ud800" + "no" * 10_000)),
        ("choice", Reply("no letter" * 10_000)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_worker_reads_what_the_core_reads(rule: str, reply: Reply) -> None:
    """A large answer is the same, wherever it was read."""
    async with open_extractors() as extractors:
        assert extract(reply, rule) == await extractors.extract(reply, rule)


async def test_what_is_cheap_stays_here() -> None:
    """A small answer is left to the vote, and starts no process."""
    async with open_extractors() as extractors:
        sample = Sample(0, Reply("42"))
        assert sample is await extractors.prepare(sample, "number")
        assert not extractors._idle


async def test_a_worker_that_hangs_is_replaced() -> None:
    """An answer that takes too long is spoiled, and the next one is read by another process."""
    async with open_extractors() as extractors:
        assert "42" == await extractors.extract(Reply("42"), "math")
        first = process_of(extractors)
        patience, extractors._seconds = extractors._seconds, 1.0
        prepared = await extractors.prepare(Sample(0, TOWER), "math")
        assert Extracted(None) == prepared.extracted
        extractors._seconds = patience
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)
        assert '{"a":1}' == await extractors.extract(Reply('{"a":1}'), "json")


async def test_no_answer_pays_for_a_worker_s_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that takes longer to start than an answer may take to be read costs none."""
    program, go = tmp_path / "python", tmp_path / "go"
    program.write_text(f'#!/bin/sh\nwhile [ ! -e {go} ]; do sleep 0.01; done\nexec {sys.executable} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    async with open_extractors(seconds=0.05) as extractors:
        reading = asyncio.create_task(extractors.extract(Reply("1"), "json"))
        await until(extractors._free.locked)
        await asyncio.sleep(0.2)  # more than an answer may take
        extractors._seconds = 60.0
        go.touch()
        assert "1" == await reading


async def test_a_worker_that_died_is_replaced() -> None:
    """A worker that somebody killed costs one answer."""
    async with open_extractors() as extractors:
        assert "1" == await extractors.extract(Reply("1"), "json")
        os.kill(process_of(extractors), signal.SIGKILL)
        assert await extractors.extract(Reply("2"), "json") is None
        assert "3" == await extractors.extract(Reply("3"), "json")


async def test_a_full_line_gives_up_the_rest() -> None:
    """With one answer in line, a further one is given up at once; the others are read."""
    async with open_extractors(most_waiting=1) as extractors:
        reading = asyncio.create_task(extractors.extract(Reply(r"\boxed{x}"), "math"))
        await until(extractors._free.locked)
        waiting = asyncio.create_task(extractors.extract(Reply("2"), "json"))
        await until(lambda: extractors._waiting == 1)
        assert await extractors.extract(Reply("3"), "json") is None
        assert ("2", True) == (await waiting, await reading is not None)


async def test_cancelling_spares_the_worker() -> None:
    """A sample that is no longer wanted leaves its worker in order."""
    async with open_extractors() as extractors:
        assert "1" == await extractors.extract(Reply("1"), "json")
        worker = process_of(extractors)
        unwanted = asyncio.create_task(extractors.extract(Reply(r"\boxed{x}"), "math"))
        await until(extractors._free.locked)
        unwanted.cancel()
        with pytest.raises(asyncio.CancelledError):
            await unwanted
        assert "2" == await extractors.extract(Reply("2"), "json")
        assert worker == process_of(extractors)


async def test_closing_ends_what_is_under_way() -> None:
    """Nobody waits for a worker that hangs, and none is left behind."""
    async with open_extractors() as extractors:
        assert "1" == await extractors.extract(Reply("1"), "math")
        worker = process_of(extractors)
        hanging = asyncio.create_task(extractors.extract(TOWER, "math"))
        await until(extractors._free.locked)
    with pytest.raises(asyncio.CancelledError):
        await hanging
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


async def test_a_worker_knows_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """What parses what a model wrote is not told the gateway's keys."""
    monkeypatch.setenv("SCG_UPSTREAM_API_KEY", "sk-secret")
    async with open_extractors() as extractors:
        assert "1" == await extractors.extract(Reply("1"), "json")
        with open(f"/proc/{process_of(extractors)}/environ", "rb") as environment:  # noqa: ASYNC230, PTH123  tiny
            assert b"sk-secret" not in environment.read()
