"""Deadlines of a call to an upstream: each of them, for votes and for what passes through, plain and streamed.

Each test runs on both of the gateway's clients: its own, and the one for upstreams behind a proxy.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from gateway.core.policy import PRESETS
from gateway.settings.model import Settings, Timeouts, UpstreamSettings
from tests.doubles import upstream as doubles
from tests.doubles.gateway import Client, open_gateway, open_gateway_for
from tests.doubles.upstream import chunks, open_upstream
from tests.upstream.raw_server import Connection, Play, open_raw, response

SINGLE = PRESETS["single"].override({"cache": False})
LONG = 30.0
JSON = {"content-type": "application/json"}

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n{"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 999999999\r\n\r\n"
BEGUN = STREAM + b"".join(b"data: " + chunk + b"\n\n" for chunk in chunks("42", 0)[:2])

FIRST_BYTE = Timeouts(connect=LONG, first_byte=0.1, idle=LONG, total=LONG)
IDLE = Timeouts(connect=LONG, first_byte=LONG, idle=0.1, total=LONG)
TOTAL = Timeouts(connect=LONG, first_byte=LONG, idle=LONG, total=0.2)

Opened = Callable[[str, Timeouts], AbstractAsyncContextManager[Client]]


def saying(data: bytes, drips: bytes = b"") -> Play:
    """Knows no models; takes a question, says this, and then nothing, or the same again and again."""

    async def play(connection: Connection) -> None:
        while (request := await connection.request()).startswith(b"GET"):
            await connection.send(response(b"", status=b"404 Not Found"))
        if request:
            await connection.send(data)
        if drips:
            await connection.drip(drips)
        await connection.wait_for_leaving()

    return play


@pytest.fixture(params=["direct", "proxied"])
def opened(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Opened:
    """Opens a gateway for an upstream, which a proxied one takes for its proxy."""

    @asynccontextmanager
    async def open_it(url: str, timeouts: Timeouts) -> AsyncIterator[Client]:
        if request.param == "proxied":
            monkeypatch.setenv("http_proxy", url)
            monkeypatch.setenv("no_proxy", "")
            url = "http://model.invalid"
        upstreams = (UpstreamSettings(url=url, name="u0"),)
        settings = Settings(upstreams=upstreams, timeouts=timeouts, default_policy=SINGLE)
        async with open_gateway_for(settings) as client:
            yield client

    return open_it


plain_or_through = pytest.mark.parametrize("members", [{}, {"n": 2}], ids=["voted", "through"])


@plain_or_through
@pytest.mark.parametrize(
    ("timeouts", "play"),
    [
        (FIRST_BYTE, saying(b"")),
        (FIRST_BYTE, saying(b"HTTP/1.1 200 OK\r\nX-Endless: ", drips=b"a")),
        (IDLE, saying(PLAIN)),
        (TOTAL, saying(b"")),
        (TOTAL, saying(PLAIN, drips=b" ")),
    ],
    ids=["first_byte", "first_byte of a dripping head", "idle", "total", "total of a dripping body"],
)
async def test_plain_answers(opened: Opened, timeouts: Timeouts, play: Play, members: dict[str, Any]) -> None:
    """An answer that does not come in time is a 504 of OpenAI's shape, and the upstream sees us leave."""
    async with open_raw(play) as raw, opened(raw.url, timeouts) as client:
        got = await client.chat(**members)
        assert (504, "deadline_exceeded") == (got.status, got.json["error"]["code"])
        await raw.connections[-1].left.wait()


@pytest.mark.parametrize(
    ("name", "play"),
    [("idle", saying(BEGUN)), ("total", saying(BEGUN, drips=b": still here\n\n"))],
    ids=["idle", "total"],
)
@pytest.mark.parametrize("members", [{}, {"n": 2}], ids=["ours", "through"])
async def test_streams(opened: Opened, name: str, play: Play, members: dict[str, Any]) -> None:
    """A stream that stalls, or never ends, ends in an error event if it is ours, and is cut if it passes through."""
    for seconds in (0.2, 1, 5, 25):
        timeouts = Timeouts(connect=LONG, first_byte=LONG, idle=LONG, total=LONG)
        timeouts = replace(timeouts, **{name: seconds})
        async with open_raw(play) as raw, opened(raw.url, timeouts) as client:
            try:
                got = await client.chat(stream=True, **members)
            except aiohttp.ClientPayloadError:
                assert members
            else:
                if got.status == 504:  # a busy machine: the time was over before the stream began
                    continue
                assert (200, True, {}) == (got.status, '"code":"deadline_exceeded"' in got.text, members)
            await raw.connections[-1].left.wait()
            return
    pytest.fail("no stream has begun")


@contextmanager
def never_accepting() -> Iterator[str]:
    """A port whose queue is full."""
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for filler in (first, second):
            filler.settimeout(0)
            filler.connect_ex(full.getsockname())
        yield f"http://127.0.0.1:{full.getsockname()[1]}"


@plain_or_through
@pytest.mark.parametrize("stream", [False, True])
async def test_connect(opened: Opened, members: dict[str, Any], stream: bool) -> None:  # noqa: FBT001
    """An upstream that takes no connection in time is a 502, for a stream as well: nothing of it has begun."""
    timeouts = Timeouts(connect=0.05, first_byte=LONG, idle=LONG, total=LONG)
    with never_accepting() as url:
        async with opened(url, timeouts) as client:
            got = await client.chat(stream=stream, **members)
            assert (502, "upstream_unreachable") == (got.status, got.json["error"]["code"])


async def test_all_attempts_share_one_total() -> None:
    """What passes through and is sent once more has no more time for all of that than for one attempt."""
    for total in (2.0, 6.0, 18.0):
        wait = doubles.Reply(429, b"{}", JSON | {"retry-after-ms": f"{total * 500:.0f}"})
        timeouts = Timeouts(connect=LONG, first_byte=LONG, idle=LONG, total=total)
        async with (
            open_upstream(wait, "late") as upstream,
            open_gateway(upstream, timeouts=timeouts) as client,
        ):
            upstream.gates[1] = asyncio.Event()
            asking = asyncio.create_task(client.chat(n=2))
            again = asyncio.create_task(upstream.asked(2))
            await asyncio.wait([asking, again], return_when=asyncio.FIRST_COMPLETED)
            if not again.done():  # a busy machine: too little time was left for another attempt
                again.cancel()
                continue
            await asyncio.sleep(total * 0.75)  # in time for one attempt, not for both
            upstream.gates[1].set()
            assert 504 == (await asking).status
            return
    pytest.fail("it was not sent once more")
