"""Many at once: who waits, who is refused, and that nobody starves."""

import asyncio

import pytest

from gateway.settings.model import Limits, Timeouts, UpstreamSettings
from tests.doubles.gateway import Got, open_gateway
from tests.doubles.upstream import open_upstream
from tests.doubles.waiting import until
from tests.gateway.tenants import ADMIN, KEYS, A, B, bearer


@pytest.mark.parametrize("where", ["process", "upstream"])
async def test_a_tenants_long_line_delays_no_other(where: str) -> None:
    """Forty samples of one tenant wait for the only place; another's single one is asked for next."""
    async with open_upstream("x") as upstream:
        upstream.gates = {0: asyncio.Event(), 1: asyncio.Event(), 2: asyncio.Event()}
        most = 1 if where == "upstream" else None
        named = UpstreamSettings(url=upstream.url, max_in_flight=most)
        limits = Limits(max_samples_in_flight=1 if where == "process" else 100)
        async with open_gateway(upstreams=(named,), limits=limits, keys=KEYS) as client:
            inside = client.inside
            line = inside.slots if where == "process" else inside.pool.upstreams[0].slots
            single = {"x-consistency-policy": "single"}
            many = [asyncio.create_task(client.chat(bearer(A) | single, seed=each)) for each in range(41)]
            await until(lambda: line.waiting == 40)
            one = asyncio.create_task(client.chat(bearer(B) | single, seed=99))
            await until(lambda: line.waiting == 41)
            upstream.gates[0].set()
            await upstream.asked(2)  # a's next, who had come before
            upstream.gates[1].set()
            assert 99 == (await upstream.asked(3))[2].body["seed"]
            upstream.gates[2].set()
            assert {200} == {got.status for got in await asyncio.gather(one, *many)}


async def test_a_full_house_keeps_no_tenant_out() -> None:
    """A tenant at limits.max_in_flight is refused there; another one still gets its share, and no more than that."""
    async with open_upstream("x") as upstream:
        upstream.gates = {each: asyncio.Event() for each in range(20)}
        async with open_gateway(upstream, keys=KEYS, limits=Limits(max_in_flight=4)) as client:
            single = {"x-consistency-policy": "single"}

            def ask(secret: str, seed: int) -> asyncio.Task[Got]:
                return asyncio.create_task(client.chat(bearer(secret) | single, seed=seed))

            of_a = [ask(A, seed) for seed in range(4)]
            await upstream.asked(4)
            refused = await client.chat(bearer(A), seed=4)
            assert (429, "overloaded", "1") == (
                refused.status,
                refused.json["error"]["code"],
                refused.headers["retry-after"],
            )
            of_b = [ask(B, seed) for seed in range(2)]
            await upstream.asked(6)
            assert 429 == (await client.chat(bearer(B), seed=4)).status
            for gate in upstream.gates.values():
                gate.set()
            assert {200} == {got.status for got in await asyncio.gather(*of_a, *of_b)}
            assert 200 == (await client.chat(bearer(A), seed=4)).status
            assert 0 == client.inside.traffic.of_tenant.total()


async def test_samples_that_wait_too_long() -> None:
    """Beyond max_samples_in_flight samples wait for timeouts.first_byte, then the request is a 429 with retry-after."""
    limits, timeouts = Limits(max_samples_in_flight=1), Timeouts(first_byte=0.2)
    async with (
        open_upstream("x") as upstream,
        open_gateway(upstream, limits=limits, timeouts=timeouts) as client,
    ):
        await client.inside.slots.take(0)
        late = await client.chat()
        assert (429, "overloaded", "1") == (
            late.status,
            late.json["error"]["code"],
            late.headers["retry-after"],
        )
        assert [] == upstream.seen


async def test_who_only_looks_on_is_not_in_flight() -> None:
    """The page's feed has a key and no place: when it ends, nobody has less than nothing in flight."""
    async with open_upstream("x") as upstream, open_gateway(upstream, keys=KEYS) as client:
        async with client.session.get(f"{client.url}/events", headers=bearer(ADMIN)) as response:
            assert 200 == response.status
            await response.content.readany()
        assert 401 == (await client.get("/events")).status
        assert 200 == (await client.chat(bearer(ADMIN))).status
        await until(lambda: client.inside.in_flight == 0)
        assert set(client.inside.traffic.of_tenant.values()) <= {0}
