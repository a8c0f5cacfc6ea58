"""What surrounds every request: refusals in OpenAI's shape, and counts."""

import asyncio
import gzip
import json
from typing import Any

import pytest

from gateway.settings.model import Limits
from tests.doubles.gateway import HELLO, Client, open_gateway
from tests.doubles.upstream import HANG, open_upstream
from tests.doubles.waiting import until, until_async


async def connect(client: Client) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(client.url.rpartition(":")[2]))


async def test_what_is_no_request_gets_an_openai_error() -> None:
    """Malformed HTTP is a 400 with an id and an error object, like any other refusal."""
    async with open_upstream() as upstream, open_gateway(upstream) as client:
        reader, writer = await connect(client)
        writer.write(b"GET /v1/models HTTP/1.1\r\nhost : a\r\n\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert (True, True) == (b"\r\nx-request-id: " in head, b"\r\nconnection: close" in head)
        assert body.startswith(b'{"error": {"message": "not HTTP/1.1: ')


async def test_a_refused_body_is_counted_where_it_belongs() -> None:
    """A 413 and a 415 stand under the endpoint that they were meant for."""
    async with open_upstream() as upstream, open_gateway(upstream, limits=Limits(max_body=1000)) as client:
        await client.chat(padding="x" * 5000)
        await client.chat({"content-encoding": "br"})
        labels = {"endpoint": "chat_completions", "model": "other", "policy": "none", "source": "none"}
        assert 1 == await client.metric("scg_requests_total", **labels, status="413")
        assert 1 == await client.metric("scg_requests_total", **labels, status="415")


@pytest.mark.parametrize("members", [{}, {"n": 2}])
async def test_a_client_that_leaves_is_counted_as_such(members: dict[str, Any]) -> None:
    """499, and the request is no longer in flight."""
    async with open_upstream(HANG) as upstream, open_gateway(upstream) as client:
        asked = asyncio.create_task(client.chat(**members))
        await upstream.asked(1)
        asked.cancel()
        await until(lambda: client.inside.in_flight == 0)
        through = {"policy": "none", "source": "passthrough"}
        labels = {"endpoint": "chat_completions", "model": "m", "status": "499"}
        labels |= through if members else {"policy": "majority", "source": "none"}

        async def is_counted() -> bool:
            return await client.metric("scg_requests_total", **labels) == 1

        await until_async(is_counted)


async def test_requests_over_the_bound_are_told_to_come_again() -> None:
    """More at once than limits.max_in_flight: 429 with retry-after, and the others are answered."""
    async with open_upstream() as upstream, open_gateway(upstream, limits=Limits(max_in_flight=1)) as client:
        upstream.gates = {0: asyncio.Event()}
        first = asyncio.create_task(client.chat(n=2))
        await upstream.asked(1)
        got = await client.chat()
        assert (429, "overloaded", "1") == (got.status, got.json["error"]["code"], got.headers["retry-after"])
        upstream.gates[0].set()
        assert 200 == (await first).status


async def test_compressed_requests() -> None:
    """A gzipped question is the question."""
    async with open_upstream("42") as upstream, open_gateway(upstream) as client:
        body = gzip.compress(json.dumps(HELLO).encode())
        assert "42" == (await client.post("/v1/chat/completions", body, {"content-encoding": "gzip"})).content
        assert ("cache",) == (await client.chat()).about("source")
