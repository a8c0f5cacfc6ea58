"""Limits a minute: one arithmetic in two places, one bucket for all processes, and none without a bound."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from gateway.core.rate import Draw
from gateway.store import shared_rates
from gateway.store.protocol import Store
from gateway.store.rates import Rates
from tests.doubles.redis_server import RedisServer
from tests.store.stores import KINDS, hurried, open_kind, open_store

ONE = Draw("requests", 2, 1)


@pytest.fixture(params=KINDS)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    async with open_kind(request, 1 << 24) as opened:
        yield opened


async def test_a_minutes_worth_and_no_more(store: Store) -> None:
    """Of many at once the bucket takes its two, in thirty seconds the next; each tenant has its own."""
    drawn = [await store.draw("a", [ONE]) for _ in range(20)]
    assert [False] * 2 + [True] * 18 == [level.is_refused for (level,) in drawn]
    assert all(0 < level.wait <= 30 for (level,) in drawn[2:])
    (level,) = await store.draw("b", [ONE])
    assert (False, 1) == (level.is_refused, level.remaining)


async def test_once_refused_only_facts_are_drawn(store: Store) -> None:
    """Requests, then tokens: who has no request left loses no tokens; what was spent is drawn all the same."""
    wanted = [Draw("requests", 1, 1), Draw("tokens", 5, 1)]
    assert [(False, 0), (False, 4)] == [
        (each.is_refused, each.remaining) for each in await store.draw("a", wanted)
    ]
    spent = Draw("tokens", 5, 2, is_fact=True)
    requests, tokens, fact = await store.draw("a", [*wanted, spent])
    assert (True, False, False) == (requests.is_refused, tokens.is_refused, fact.is_refused)
    assert (4, 2) == (tokens.remaining, fact.remaining)


async def test_a_large_request_waits_for_a_full_bucket(store: Store) -> None:
    """More than a minute's worth is let through when all of that is there, and takes all of it."""
    large = Draw("tokens", 2, 50)
    (first,), (second,) = await store.draw("a", [large]), await store.draw("a", [large])
    assert (False, 0, True) == (first.is_refused, first.remaining, second.is_refused)


draws = st.lists(
    st.builds(
        Draw,
        st.sampled_from(["requests", "tokens"]),
        st.integers(1, 10**6),
        st.floats(-1e6, 1e6).map(lambda number: round(number, 3)),
        st.booleans(),
    ),
    min_size=1,
    max_size=3,
)


@pytest.mark.processes
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.tuples(st.floats(0, 100), draws), max_size=12))
def test_redis_does_the_same_sums(
    redis_server: RedisServer, schedule: Sequence[tuple[float, Sequence[Draw]]]
) -> None:
    """Whatever is drawn, given back or owed, at whatever time: the script's levels are those of the core."""
    now = 1.7e9
    rates = Rates(lambda: now)
    with Redis.from_url(redis_server.url) as client:
        client.flushall()
        script = client.register_script(shared_rates.SCRIPT)
        for pause, wanted in schedule:
            now += pause
            told = script(["scg:rate:a"], [repr(now), *shared_rates.words(wanted)[1:]])
            for here, there in zip(rates.draw("a", wanted), shared_rates.levels(wanted, told), strict=True):
                assert here.is_refused == there.is_refused
                assert pytest.approx(here.debt, abs=1e-4) == there.debt
                assert pytest.approx(here.wait, abs=1e-4) == there.wait


@pytest.mark.processes
async def test_all_processes_draw_from_one_bucket(redis_server: RedisServer) -> None:
    """Two gateways let through together what one would."""
    async with open_store(redis_server.url) as one, open_store(redis_server.url) as other:
        calls = [store.draw("a", [ONE]) for _ in range(10) for store in (one, other)]
        assert 18 == sum(level.is_refused for (level,) in await asyncio.gather(*calls))


@pytest.mark.processes
async def test_a_full_bucket_takes_no_room(redis_server: RedisServer) -> None:
    """What is kept of a tenant ends about when its buckets are full again."""
    async with open_store(redis_server.url) as store:
        await store.draw("a", [Draw("requests", 6, 1)])
        with Redis.from_url(redis_server.url) as client:
            assert ["scg:rate:a"] == [key.decode() for key in client.keys("*rate*")]
            assert 0 < client.pttl("scg:rate:a") <= 11_000


@pytest.mark.processes
async def test_without_redis_the_limit_goes_on_from_where_it_stood(redis_server: RedisServer) -> None:
    """Redis stops answering: the process that was at its limit stays there; a tenant new to it gets its minute."""
    async with open_store(redis_server.url) as store:
        for _ in range(3):
            await store.draw("a", [ONE])
        redis_server.freeze()
        with hurried(store):
            assert [True] * 5 == [
                level.is_refused for (level,) in [await store.draw("a", [ONE]) for _ in range(5)]
            ]
        assert store.is_degraded
        assert [False, False, True] == [
            level.is_refused for (level,) in [await store.draw("b", [ONE]) for _ in range(3)]
        ]


@pytest.mark.processes
async def test_what_redis_forgot_or_has_otherwise(redis_server: RedisServer) -> None:
    """A Redis that has forgotten the script is told it again; a value of another kind makes room for buckets."""
    async with open_store(redis_server.url) as store:
        await store.draw("a", [ONE])
        with Redis.from_url(redis_server.url) as client:
            client.script_flush()
            (level,) = await store.draw("a", [ONE])
            assert (False, 0) == (level.is_refused, level.remaining)
            client.set("scg:rate:a", "no hash")
            (level,) = await store.draw("a", [ONE])
            assert (False, 1, False) == (level.is_refused, level.remaining, store.is_degraded)


@pytest.mark.processes
async def test_a_draw_goes_out_with_the_look_up_beside_it(redis_server: RedisServer) -> None:
    """Once the script is known, a limit costs one command by its digest, and no connection of its own."""
    async with open_store(redis_server.url, memory=0) as store:
        await asyncio.gather(store.draw("a", [ONE]), store.get("k"))
        with Redis.from_url(redis_server.url) as client:
            client.config_resetstat()
            before = client.info("clients")["connected_clients"]
            await asyncio.gather(store.draw("a", [ONE]), store.get("k"))
            calls = {name: told["calls"] for name, told in client.info("commandstats").items()}
            assert (1, 1, 2) == tuple(
                calls.get(f"cmdstat_{name}", 0) for name in ("evalsha", "getrange", "pttl")
            )
            assert (0, before) == (calls.get("cmdstat_eval", 0), client.info("clients")["connected_clients"])
