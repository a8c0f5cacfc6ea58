"""Redis answers and takes no writes: what it has is served, what it would not take it is told later, none is lost."""

import asyncio
from functools import partial

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.core.rate import Draw
from gateway.store.lease import lead
from gateway.store.protocol import Found
from tests.doubles.redis_server import RedisServer
from tests.doubles.waiting import until, until_async
from tests.store.pins import a_pin
from tests.store.refusals import REFUSALS, STALL, no_writes
from tests.store.relay import REPLIES, Relay
from tests.store.stores import alone, at_once, bodies, body, cache_up, has, listening, open_store

pytestmark = pytest.mark.processes

ONE, OTHER, THIRD = a_pin(b"one"), a_pin(b"other"), a_pin(b"third")
NAME = "scg:pin1:{a}"  # where Redis keeps the key "a"


async def tried_again(relay: Relay, times: int = 5) -> None:
    """Wait until the store has tried so often to return."""
    await relay.was_asked(b"SUBSCRIBE", relay.asked.count(b"SUBSCRIBE") + times)


@pytest.mark.parametrize("why", [*REFUSALS, STALL])
async def test_what_was_not_taken_is_told_later(redis_server: RedisServer, relay: Relay, why: str) -> None:
    """Pins, replacements and deletions hold here for as long as it lasts, and then for all."""
    async with open_store(relay.url) as store, open_store(redis_server.url) as other:
        for key in ("replaced", "deleted", "deleted, pinned"):
            await other.pin(key, ONE, 60)
        expected = {"a": b"third", "replaced": b"other", "deleted": None, "deleted, pinned": b"third"}
        async with no_writes(redis_server, why, store):
            assert THIRD is await store.pin("a", THIRD, 60)
            await store.replace("replaced", OTHER, 60)
            assert await store.delete("deleted") == (why != STALL)  # then nobody knows
            await store.delete("deleted, pinned")
            await store.pin("deleted, pinned", THIRD, 60)
            for _ in range(2):
                await tried_again(relay)
                assert expected == {key: await body(store, key) for key in expected}
                assert (True, 0) == (store.is_degraded, cache_up(store))
        await listening(store)
        assert (False, 1) == (store.is_degraded, cache_up(store))
        for key, answer in expected.items():
            assert answer == await body(store, key)
            await until_async(partial(has, other, key, answer))


@pytest.mark.parametrize("why", [*REFUSALS, STALL])
async def test_texts_that_were_not_taken(redis_server: RedisServer, why: str) -> None:
    """A text is recalled as it was told last, here at once and elsewhere when Redis has taken it."""
    async with open_store(redis_server.url) as store, open_store(redis_server.url) as other:
        await store.remember("text", "old")
        async with no_writes(redis_server, why, store):
            await store.remember("text", "new")
            await store.remember("passing", "told", 60)
            assert ["new", "told"] == [await store.recall(name) for name in ("text", "passing")]
        await listening(store)
        assert ["new", "told"] == [await other.recall(name) for name in ("text", "passing")]


@pytest.mark.parametrize("why", REFUSALS)
async def test_what_redis_has_is_served(redis_server: RedisServer, relay: Relay, why: str) -> None:
    """Pins that this process has never seen are found while none can be made, and outdo its own."""
    async with open_store(relay.url, memory=1 << 20) as store, open_store(redis_server.url) as other:
        for number in range(10):
            await other.pin(f"{number}", ONE, 60)
        large = a_pin(bytes(200_000))
        await other.pin("large", large, 60)
        async with no_writes(redis_server, why):
            assert OTHER is await store.pin("a", OTHER, 60)
            assert ONE == await store.pin("0", OTHER, 60)
            for number in range(10):
                await tried_again(relay, 1)
                assert b"one" == await body(store, f"{number}")
                assert b"other" == await body(store, "a")
            assert large.body == await body(store, "large")
            assert (True, False) == (store.is_degraded, store._keeper.is_alone)
        await listening(store)
        assert [b"other"] * 2 == await bodies((store, other))


@pytest.mark.parametrize("why", REFUSALS)
async def test_leading_without_leases(redis_server: RedisServer, why: str) -> None:
    """Nobody is given a lease: whoever wants to lead does, whoever finds a pin does not, and all is told later."""
    async with open_store(redis_server.url) as store, open_store(redis_server.url) as other:
        await other.pin("pinned", ONE, 60)
        async with no_writes(redis_server, why):
            async with lead(store, "pinned") as led:
                assert isinstance(led.found, Found)
                assert ONE == led.found.pin
            async with lead(store, "a", every=0.01) as led:
                assert (None, True) == (led.found, led.is_held)
                assert OTHER is await led.pin(OTHER, 60)
            async with lead(store, "a") as led:
                assert isinstance(led.found, Found)
                assert OTHER == led.found.pin
        await listening(store)
        assert [b"other"] * 2 == await bodies((store, other))


@pytest.mark.parametrize("why", REFUSALS)
async def test_limits_and_the_ledger_without_writes(redis_server: RedisServer, why: str) -> None:
    """A tenant's limit is this process's own meanwhile; what the ledger misses is told."""
    async with open_store(redis_server.url) as store, no_writes(redis_server, why):
        drawn = [await store.draw("tenant", [Draw("requests", 1, 1)]) for _ in range(2)]
        assert [False, True] == [level.is_refused for (level,) in drawn]
        assert not await store.append([b"{}"], 100)
        assert store.is_degraded


async def test_nobody_waits_while_writes_do(redis_server: RedisServer, relay: Relay) -> None:
    """Writes are paused, subscriptions stand: one call finds out, and none waits until a write has passed."""
    async with open_store(relay.url) as store:
        async with no_writes(redis_server, STALL, store):
            assert await store.claim("a", "me")
            assert store.is_degraded
            for number in range(8):
                await tried_again(relay, 1)
                assert at_once(store.claim(f"{number}", "me"))
                assert ONE is at_once(store.pin(f"{number}", ONE, 60))
                assert b"one" == at_once(body(store, f"{number}"))
        await listening(store)
        assert await has(store, "7", b"one")


async def test_a_redis_that_loads_is_told_when_it_has_loaded(redis_server: RedisServer, raw: Redis) -> None:
    """After a restart it lets people subscribe and refuses all else, for as long as its data take."""
    async with open_store(redis_server.url) as store:
        await raw.mset({f"{number}": bytes(2000) for number in range(1000)})
        await raw.config_set("rdbcompression", "no")
        await raw.save()
        redis_server.kill()
        await alone(store)
        assert ONE is await store.pin("a", ONE, 60)
        redis_server.options |= {"key_load_delay": 50_000, "loading_process_events_interval_bytes": 1024}
        starting = asyncio.create_task(asyncio.to_thread(redis_server.start))
        await until(lambda: subscribed(redis_server) >= 5)
        assert redis_server.ask("INFO", "persistence")["loading"]
        assert b"one" == await body(store, "a")
        redis_server.ask("CONFIG", "SET", "key-load-delay", 0)
        await starting
        await listening(store)
        assert b"one" == await body(store, "a")
        assert redis_server.ask("EXISTS", NAME)


def subscribed(server: RedisServer) -> int:
    """How often anybody has, since it was started; 0 while it is not there."""
    try:
        return server.calls("subscribe")
    except RedisError:
        return 0


async def test_what_is_too_large_holds_up_nothing(redis_server: RedisServer) -> None:
    """A pin that Redis never takes is given up after all others have been told, and the process is back."""
    redis_server.options["proto_max_bulk_len"] = 1 << 20
    async with open_store(redis_server.url) as store:
        redis_server.kill()
        await alone(store)
        for key, size in (("first", 2 << 20), ("second", 5), ("third", 3 << 20), ("fourth", 5)):
            await store.pin(key, a_pin(bytes(size)), 60)
        await asyncio.to_thread(redis_server.start)
        await listening(store)
        assert [b"scg:pin1:{fourth}", b"scg:pin1:{second}"] == sorted(redis_server.ask("KEYS", "*"))
        assert [None, bytes(5)] == [await body(store, key) for key in ("first", "second")]


async def test_connections_begin_anew_without_cutting_anybody_off(
    redis_server: RedisServer, relay: Relay
) -> None:
    """Look-ups under way on a connection that is to be used no more are answered; the next one has another."""
    async with open_store(relay.url, memory=0) as store, open_store(redis_server.url) as other:
        await other.pin("a", ONE, 60)
        assert b"one" == await body(store, "a")
        relay.hold(REPLIES)
        asking = [asyncio.create_task(body(store, "a")) for _ in range(5)]
        await relay.was_asked(b"GETRANGE", 7)  # one as a trial, one above
        (line,) = relay.lines_asked(b"GETRANGE")
        await store._link.begin_anew()
        await relay.let_go()
        assert [b"one"] * 5 == await asyncio.gather(*asking)
        await until(lambda: line not in relay.lines_asked(b"GETRANGE"))
        assert b"one" == await body(store, "a")
        assert not store.is_degraded
