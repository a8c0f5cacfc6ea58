"""Workers that read costly answers, each under a time limit."""

import asyncio
import json
import logging
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import gateway
from gateway.core.ballot import Extracted, Reply, Sample, is_costly

_log = logging.getLogger(__name__)

_LOADING = 60.0  # seconds until a worker must be ready: imports, on a busy machine
_INHERITED = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH")  # no keys, no secrets


class Extractors:
    """A few worker processes, started when first needed and replaced when they hang or die."""

    def __init__(self, processes: int = 1, seconds: float = 5.0, most_waiting: int = 256) -> None:
        """`seconds` for each answer; with `most_waiting` in line, further answers are given up."""
        self._free = asyncio.Semaphore(processes)
        self._seconds = seconds
        self._most_waiting = most_waiting
        self._waiting = 0
        self._idle: list[_Worker] = []
        self._running: set[asyncio.Task[str | None]] = set()

    async def prepare(self, sample: Sample, answer: str) -> Sample:
        """The sample with its answer extracted where that is costly, else as it is. Never raises."""
        if not is_costly(sample.reply, answer):
            return sample
        return replace(sample, extracted=Extracted(await self.extract(sample.reply, answer)))

    async def extract(self, reply: Reply, answer: str) -> str | None:
        """The canonical answer; None if there is none, it took too long, or too many were in line.

        Cancelling leaves the work to its end: its worker is worth more than what is left of it.
        """
        if self._waiting >= self._most_waiting:
            _log.warning("an answer was given up: %d are waiting to be read", self._waiting)
            return None
        task = asyncio.create_task(self._run(reply, answer))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """End the workers, whatever they are at."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        while self._idle:
            await self._idle.pop().end()

    async def _run(self, reply: Reply, answer: str) -> str | None:
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        try:
            return await self._ask(reply, answer)
        except (TimeoutError, OSError, EOFError) as error:
            _log.warning("an answer was given up: its worker %s", _described(error))
            return None
        finally:
            self._free.release()

    async def _ask(self, reply: Reply, answer: str) -> str | None:
        is_new = not self._idle
        worker = await _Worker.start() if is_new else self._idle.pop()
        try:
            if is_new:
                await worker.ask([], _LOADING)
            if answer == "math" and not worker.knows_mathematics:
                await worker.ask(None, _LOADING)
                worker.knows_mathematics = True
            request = [answer, self._seconds, reply.content, reply.refusal, reply.calls]
            found = await worker.ask(request, self._seconds)
        except BaseException:
            await worker.end()
            raise
        self._idle.append(worker)
        return found


class _Worker:
    """One process, and its two ends."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.knows_mathematics = False
        self._process = process

    @classmethod
    async def start(cls) -> "_Worker":
        """A process with the gateway's own code and none of its secrets, deaf to the terminal's signals."""
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "gateway.extraction.worker"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=inherited | {"PYTHONPATH": str(Path(gateway.__file__).parents[1])},
                start_new_session=True,
            )
        )

    async def ask(self, request: list[Any] | None, seconds: float) -> str | None:
        """The reply to one request; TimeoutError or EOFError leave a worker that is of no more use."""
        requests, replies = self._process.stdin, self._process.stdout
        assert requests is not None
        assert replies is not None
        frame = json.dumps(request).encode()
        async with asyncio.timeout(seconds):
            requests.write(len(frame).to_bytes(4) + frame)
            await requests.drain()
            length = int.from_bytes(await replies.readexactly(4))
            found = json.loads(await replies.readexactly(length))
        return found if isinstance(found, str) else None

    async def end(self) -> None:
        """Kill it and wait until it is gone."""
        if self._process.returncode is None:
            self._process.kill()
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()


def _described(error: Exception) -> str:
    return "took too long" if isinstance(error, TimeoutError) else f"ended ({type(error).__name__})"
