"""Pools that take each other's place: what stays, what goes, and what becomes of connections."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client import CollectorRegistry

from gateway.settings.model import Settings, Timeouts, UpstreamSettings
from gateway.store.memory import MemoryStore
from gateway.telemetry.metrics import Metrics
from gateway.upstream.client import Call, read_all
from gateway.upstream.http_client import HttpClient
from gateway.upstream.pools import Pools
from tests.upstream.pools import at
from tests.upstream.raw_server import Connection, keeping, open_raw, response

MODELS = json.dumps({"object": "list", "data": [{"id": "m", "object": "model"}]}).encode()
LISTING = keeping(response(MODELS, b"Content-Type: application/json"))


def settings(*upstreams: UpstreamSettings, **more: Any) -> Settings:
    return Settings(upstreams=upstreams, **more)


@asynccontextmanager
async def open_pools(registry: CollectorRegistry | None = None) -> AsyncIterator[Pools]:
    pools = Pools(Metrics(registry or CollectorRegistry()), MemoryStore(1 << 20))
    try:
        yield pools
    finally:
        await pools.aclose()


async def test_what_stays_the_same_goes_on() -> None:
    """An upstream that did not change is the same object, on the same connection; one that did is new."""
    async with open_raw(LISTING) as one, open_raw(LISTING) as other, open_pools() as pools:
        first = pools.open(settings(at(one.url, "one"), at(other.url, "other")))
        await first.first_look.wait()
        second = await pools.prepare(settings(at(one.url, "one"), at(other.url, "other", max_in_flight=1)))
        pools.replace(second)
        assert (True, False) == tuple(a is b for a, b in zip(first.upstreams, second.upstreams, strict=True))
        assert 1 == len(one.connections)


async def test_serial_stays_serial() -> None:
    """An upstream under other settings has the places of the one before, and new ones with another bound or server."""
    async with open_pools() as pools:
        pool = pools.open(settings(at(max_in_flight=1)))
        (before,) = pool.upstreams
        assert before.slots.take_at_once()
        for number, other in enumerate((at(max_in_flight=1, weight=2.0), at(max_in_flight=2), at(name="b"))):
            (after,) = (await pools.prepare(settings(other))).upstreams
            assert after is not before
            assert (number > 0) == after.slots.take_at_once()


async def test_a_new_one_is_seen_before_it_is_used() -> None:
    """A pool is prepared once it knows what its upstreams serve, well or badly."""
    async with open_raw(LISTING) as one, open_pools() as pools:
        pools.open(settings(at()))
        pool = await pools.prepare(settings(at(one.url), at(name="away")))
        assert [["m"], []] == [[*each.seen.models] for each in pool.upstreams]
        assert ["away"] == pool.down


async def test_of_one_that_goes_no_state_is_told() -> None:
    """Its gauges disappear, what was counted of it stays."""
    registry = CollectorRegistry()
    async with open_pools(registry) as pools:
        pools.open(settings(at(name="stays"), at(name="goes")))
        pools.replace(await pools.prepare(settings(at(name="stays"))))
        assert (0.0, None) == tuple(
            registry.get_sample_value("scg_upstream_up", {"upstream": name}) for name in ("stays", "goes")
        )
        assert 0.0 == registry.get_sample_value(
            "scg_upstream_requests_total", {"upstream": "goes", "result": "ok"}
        )


async def test_other_timeouts_make_other_connections() -> None:
    """What clients are made of has changed: idle connections of the old ones are closed at once."""
    async with open_raw(LISTING) as one, open_pools() as pools:
        await pools.open(settings(at(one.url))).first_look.wait()
        pools.replace(await pools.prepare(settings(at(one.url), timeouts=Timeouts(idle=5))))
        async with asyncio.timeout(30):
            await one.connections[0].left.wait()
        assert 2 == len(one.connections)


async def test_a_retired_client_ends_what_it_has_begun() -> None:
    """A connection in use is closed only after its answer, whole; a call that comes later still gets one."""
    go = asyncio.Event()

    async def slow(connection: Connection) -> None:
        await connection.request()
        await go.wait()
        await connection.send(response(b"whole"))
        await connection.wait_for_leaving()

    async with open_raw(slow) as server:
        client = HttpClient(Timeouts())

        async def ask() -> bytes:
            exchange = await client.send(Call("GET", server.url, []))
            try:
                return await read_all(exchange, 1000)
            finally:
                exchange.close()

        asked = asyncio.create_task(ask())
        await (await server.connection(0)).asked.wait()
        client.retire()
        go.set()
        assert b"whole" == await asked
        assert b"whole" == await ask()
        async with asyncio.timeout(30):
            for connection in server.connections:
                await connection.left.wait()
        assert [1, 1] == server.requests
        await client.aclose()


async def test_retired_clients_do_not_pile_up() -> None:
    """Of those that were in use before the settings changed, only who still has a connection is kept for the end."""
    async with open_raw(LISTING) as one, open_pools() as pools:
        await pools.open(settings(at(one.url))).first_look.wait()
        for number in range(1, 6):
            timeouts = Timeouts(idle=30.0 + number)
            pools.replace(await pools.prepare(settings(at(one.url), timeouts=timeouts)))
            async with asyncio.timeout(30):
                await one.connections[number - 1].left.wait()
            assert 1 == len(pools._retired)


async def test_pools_that_are_closed_while_they_prepare() -> None:
    """Nothing goes on looking."""
    async with open_pools() as pools:
        pools.open(settings(at()))
        preparing = asyncio.create_task(pools.prepare(settings(at(name="b"))))
        await asyncio.sleep(0)
        preparing.cancel()
    assert {asyncio.current_task()} == {task for task in asyncio.all_tasks() if not task.done()}
