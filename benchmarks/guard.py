"""How much Python the hot paths run through, counted: a change that makes them longer fails `make bench`.

Counted per request are the interpreter's instructions (opcodes) and the calls, of Python and C functions alike,
in a gateway in this process, over sequential requests to it on one connection. Both counts are the same on
every machine and under any load to within a per cent, which no measure of time is; hardware counters are not there
on most virtual machines, and valgrind would count the same for minutes. What they do not see is time inside
C functions and the kernel: the measured processor time is for that. An allocation count would add nothing here
(tracemalloc and sys.getallocatedblocks tell what is held, not what was allocated).

The interpreter's instructions differ between Python's versions, so that the baseline, guard.json, is by version.
"""

import asyncio
import http.client
import os
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

import msgspec
import uvloop

from benchmarks.load import PATH, USUAL
from benchmarks.servers import Servers
from benchmarks.subjects import MODES, Question
from gateway.app import make_door, open_gateway
from gateway.settings.loader import load
from gateway.settings.model import Settings
from gateway.telemetry.logs import open_log

BASELINE = Path(__file__).resolve().parent / "guard.json"
GUARDED = ("hit", "redis-hit", "pass-through", "single", "k3")
_ALLOWED = 1.10
_BATCHES = 5  # the middle one counts: the gateway's own clockwork does not tick alike in all
_REQUESTS = 40
_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True, slots=True, order=True)
class Counts:
    """Per request."""

    instructions: float
    calls: float


Baseline = dict[str, dict[str, Counts]]  # by Python's version, by mode


def count_modes(servers: Servers) -> dict[str, Counts]:
    """The counts of all guarded modes."""
    return {name: _count(servers, name) for name in GUARDED}


def complaints(found: Mapping[str, Counts], baseline: Mapping[str, Counts]) -> list[str]:
    """A line for each count that has grown too much."""
    return [
        f"{mode}: {now:,.0f} {kind} per request, {now / then - 1:+.0%} over the baseline's {then:,.0f}"
        for mode, kind, now, then in _pairs(found, baseline)
        if now > then * _ALLOWED
    ]


def is_outdated(found: Mapping[str, Counts], baseline: Mapping[str, Counts]) -> bool:
    """Whether a path has become so much shorter that the baseline no longer guards it."""
    return any(now * _ALLOWED < then for _, _, now, then in _pairs(found, baseline))


def read_baseline() -> Mapping[str, Counts]:
    """The committed counts for this Python; none if nobody took them yet."""
    return _read().get(_PYTHON, {})


def write_baseline(found: dict[str, Counts]) -> None:
    """Take these counts as the new ones for this Python."""
    kept = msgspec.json.encode(_read() | {_PYTHON: found})
    BASELINE.write_bytes(msgspec.json.format(kept, indent=2) + b"\n")


def _read() -> Baseline:
    return msgspec.json.decode(BASELINE.read_bytes(), type=Baseline) if BASELINE.exists() else {}


def _pairs(
    found: Mapping[str, Counts], baseline: Mapping[str, Counts]
) -> Iterator[tuple[str, str, float, float]]:
    """Mode and kind of each count that both have, now and then."""
    for mode in found.keys() & baseline.keys():
        now, then = found[mode], baseline[mode]
        yield mode, "instructions", now.instructions, then.instructions
        yield mode, "calls", now.calls, then.calls


def _count(servers: Servers, name: str) -> Counts:
    mode = MODES[name]
    with _serving(servers.variables(servers.upstream(), mode.settings)) as (url, loop):
        where = urlsplit(url)
        with socket.create_connection((str(where.hostname), where.port or 0)) as connection:
            _ask(connection, mode.question, _REQUESTS)
            batches = [_batch(connection, mode.question, loop) for _ in range(_BATCHES)]
        return sorted(batches)[_BATCHES // 2]


def _batch(connection: socket.socket, question: Question, loop: asyncio.AbstractEventLoop) -> Counts:
    """What requests cost, less what the gateway does by itself in the same time: it listens and looks around."""
    began = time.monotonic()
    asked = _counted(loop, lambda: _ask(connection, question, _REQUESTS))
    seconds = time.monotonic() - began
    idle = _counted(loop, lambda: time.sleep(seconds))
    instructions, calls = asked.instructions - idle.instructions, asked.calls - idle.calls
    return Counts(round(instructions / _REQUESTS, 1), round(calls / _REQUESTS, 1))


def _counted(loop: asyncio.AbstractEventLoop, happen: Callable[[], None]) -> "_Counter":
    """What the loop's thread runs while this happens."""
    counter = _Counter()
    _in(loop, counter.begin)
    happen()
    _in(loop, counter.end)
    return counter


def _ask(connection: socket.socket, question: Question, times: int) -> None:
    """Each request leaves whole, so that it is read whole on a busy machine, too."""
    body = question.body.encode()
    fields = USUAL | dict(question.headers) | {"host": "guard", "content-length": str(len(body))}
    head = f"POST {PATH} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    for _ in range(times):
        connection.sendall(head.encode() + b"\r\n" + body)
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.read()


class _Counter:
    """Counts what the thread that begins it runs."""

    def __init__(self) -> None:
        self.instructions = 0
        self.calls = 0

    def begin(self) -> None:
        sys.setprofile(self._called)
        sys.settrace(self._entered)

    def end(self) -> None:
        sys.settrace(None)
        sys.setprofile(None)

    def _called(self, _frame: FrameType, event: str, _argument: Any) -> None:
        self.calls += event in {"call", "c_call"}

    def _entered(self, frame: FrameType, _event: str, _argument: Any) -> Callable[..., Any]:
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        return self._ran

    def _ran(self, _frame: FrameType, event: str, _argument: Any) -> Callable[..., Any]:
        self.instructions += event == "opcode"
        return self._ran


@contextmanager
def _serving(environment: Mapping[str, str]) -> Iterator[tuple[str, asyncio.AbstractEventLoop]]:
    """A gateway with these variables in a thread of its own: its URL and its loop. Nobody reads its log."""
    settings = load({"port": "0"}, environment, None)
    loop = uvloop.new_event_loop()
    serving = _listening(settings)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        with Path(os.devnull).open("w") as nobody, redirect_stderr(nobody), open_log(settings.log):
            yield asyncio.run_coroutine_threadsafe(serving.__aenter__(), loop).result(30), loop
    finally:
        asyncio.run_coroutine_threadsafe(serving.__aexit__(None, None, None), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@asynccontextmanager
async def _listening(settings: Settings) -> AsyncIterator[str]:
    async with open_gateway(settings) as gateway:
        await gateway.pool.first_look.wait()
        door = make_door(gateway)
        yield f"http://{await door.open('127.0.0.1', 0)}"
        await door.close()


def _in(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """Run a function in the loop's thread and wait for it."""

    async def run() -> None:
        call()

    asyncio.run_coroutine_threadsafe(run(), loop).result(30)
