"""What passes through as a stream: at once, at the client's pace, and never cut short without being seen to be."""

import asyncio
import socket

import aiohttp
import pytest

from gateway.settings.model import Settings, UpstreamSettings
from tests.doubles.gateway import Client, open_gateway, open_gateway_for
from tests.doubles.upstream import ENDLESS, HALF, open_upstream
from tests.doubles.waiting import until
from tests.upstream.raw_server import Connection, Play, open_raw

CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
ASKED = {"model": "m", "messages": [], "n": 2, "stream": True}


def through(play: Play) -> Play:
    """Answers the look at the upstream with nothing, and what is asked of it as the play does."""

    async def played(connection: Connection) -> None:
        head = await connection.reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET"):
            await connection.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        await play(connection)

    return played


async def test_chunks_come_one_by_one() -> None:
    """Each event is with the client before the next one is sent."""
    heard = asyncio.Event()

    async def play(connection: Connection) -> None:
        await connection.send(CHUNKED)
        for _ in range(5):
            await connection.send(b"6\r\n: hi\n\n\r\n")
            await heard.wait()
            heard.clear()
        await connection.send(b"0\r\n\r\n")

    async with open_raw(through(play)) as raw:
        settings = Settings(upstreams=(UpstreamSettings(url=raw.url),))
        async with open_gateway_for(settings) as client, post(client) as response:
            assert "text/event-stream" == response.headers["content-type"]
            for _ in range(5):
                assert b": hi\n\n" == await response.content.readany()
                heard.set()
            assert b"" == await response.content.readany()


def post(client: Client) -> aiohttp.client._RequestContextManager:
    return client.session.post(client.url + "/v1/chat/completions", json=ASKED)


async def test_an_answer_that_breaks_off_is_seen_to_be_cut() -> None:
    """The upstream promised more than it sent: the client's connection breaks as well, and it counts as a 502."""
    async with open_upstream(HALF) as upstream, open_gateway(upstream) as client:
        got = await client.chat(n=2)
        assert 502 == got.status  # short, so that nothing was sent before it broke

    async def play(connection: Connection) -> None:
        await connection.send(CHUNKED + b"5\r\nhello\r\n")

    async with open_raw(through(play)) as raw:
        settings = Settings(upstreams=(UpstreamSettings(url=raw.url),))
        async with open_gateway_for(settings) as client:
            with pytest.raises(aiohttp.ClientPayloadError):
                await client.chat(n=2)
            assert 1 == await client.metric(
                "scg_requests_total", endpoint="chat_completions", model="other", policy="none",
                source="passthrough", status="502",
            )  # fmt: skip


async def test_a_slow_client_holds_the_upstream_back() -> None:
    """An endless answer to a client that does not read fills a few buffers; it leaves, and the upstream sees it."""
    async with open_upstream(ENDLESS) as upstream, open_gateway(upstream) as client:
        host, _, port = client.url.removeprefix("http://").rpartition(":")
        with socket.create_connection((host, int(port))) as plug:
            body = b'{"model":"m","messages":[],"n":2}'
            plug.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % len(body)
                + body
            )
            (seen,) = await upstream.asked(1)
            (connection,) = client.door._site.connections
            await until(lambda: connection.is_full)
            for _ in range(200):
                await asyncio.sleep(0)
            assert connection.unsent < 4 << 20
        await seen.closed.wait()
        await until(lambda: client.inside.in_flight == 0)
        assert 1 == await client.metric("scg_upstream_requests_total", upstream="u0", result="cancelled")


async def test_head_passes_through() -> None:
    """HEAD: the upstream's length, no body, and the connection goes on."""

    async def play(connection: Connection) -> None:
        while request := await connection.request():
            length = 5 if request.startswith(b"HEAD") else 0
            await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)

    async with open_raw(play) as raw:
        settings = Settings(upstreams=(UpstreamSettings(url=raw.url),))
        async with open_gateway_for(settings) as client:
            for _ in range(2):
                async with client.session.head(client.url + "/v1/files/a") as response:
                    assert (200, "5") == (response.status, response.headers["content-length"])
