"""Redis comes back: it is told what it missed, and one answer holds for all."""

import asyncio
from functools import partial
from math import inf

import pytest
from redis.asyncio import Redis

from tests.doubles.redis_server import RedisServer
from tests.doubles.waiting import until, until_async
from tests.store.pins import a_pin
from tests.store.relay import REPLIES, Relay
from tests.store.stores import (
    alone,
    bodies,
    body,
    has,
    heard,
    hurried,
    listening,
    open_store,
)

pytestmark = pytest.mark.processes

ONE, OTHER, THIRD = a_pin(b"one"), a_pin(b"other"), a_pin(b"third")
NAME = "scg:pin1:{a}"  # where Redis keeps the key "a"


@pytest.mark.parametrize("how", ["kill", "freeze"])
async def test_what_was_pinned_alone_is_offered(redis_server: RedisServer, how: str) -> None:
    """Redis returns: every pin that was made without it is there for all, the stored one where there is one."""
    async with open_store(redis_server.url) as one, open_store(redis_server.url) as other:
        getattr(redis_server, how)()
        with hurried(one, other):
            assert [None] * 2 == await bodies((one, other))
        for store in (one, other):
            await alone(store)
        for store, pin in ((one, ONE), (other, OTHER)):
            for number in range(50):
                assert pin is await store.pin(f"own {pin.body!r} {number}", pin, 60)
            assert pin is await store.pin("a", pin, 60)
        await asyncio.to_thread({"kill": redis_server.start, "freeze": redis_server.thaw}[how])
        for store in (one, other):
            await listening(store)
        keys = [f"own {pin.body!r} {number}" for pin in (ONE, OTHER) for number in range(50)]
        assert [[b"one"] * 2] * 50 + [[b"other"] * 2] * 50 == [
            await bodies((one, other), key) for key in keys
        ]
        answers = await bodies((one, other))
        assert answers in ([b"one"] * 2, [b"other"] * 2)  # whichever was offered first


async def test_the_stored_answer_wins(redis_server: RedisServer, relay: Relay) -> None:
    """A process that was cut off alone gives up its own answer for the one that was pinned meanwhile."""
    async with open_store(relay.url) as cut, open_store(redis_server.url) as other:
        relay.cut()
        await alone(cut)
        assert ONE is await cut.pin("a", ONE, 60)
        assert OTHER is await other.pin("a", OTHER, 60)
        assert b"one" == await body(cut, "a")
        await relay.let_go()
        await listening(cut)
        assert [b"other"] * 2 == await bodies((cut, other))


async def test_changes_made_alone_are_made_good(redis_server: RedisServer, relay: Relay) -> None:
    """What a process that was cut off deleted and replaced is deleted and replaced for all when it returns."""
    async with open_store(relay.url) as cut, open_store(redis_server.url) as other:
        for key in ("deleted", "replaced", "deleted, pinned"):
            await heard(cut, other.pin(key, ONE, 60))
            assert b"one" == await body(cut, key)
        relay.cut()
        await alone(cut)
        assert await cut.delete("deleted")
        await cut.replace("replaced", OTHER, 60)
        await cut.delete("deleted, pinned")
        await cut.pin("deleted, pinned", THIRD, 60)
        await relay.let_go()
        await listening(cut)
        expected = {"deleted": None, "replaced": b"other", "deleted, pinned": b"third"}
        for key, answer in expected.items():
            assert [answer] == await bodies([cut], key)
            await until_async(partial(has, other, key, answer))


async def test_a_change_whose_answer_was_lost_is_made_good(
    redis_server: RedisServer, relay: Relay, raw: Redis
) -> None:
    """A call that Redis performed and whose answer never came ends as if it had: one answer for all."""
    async with open_store(relay.url) as cut, open_store(redis_server.url) as other:
        relay.hold(REPLIES)
        pinning = asyncio.create_task(cut.pin("a", ONE, 60))
        await until_async(partial(is_there, raw))
        relay.cut()
        assert ONE is await pinning
        assert ONE == await other.pin("a", OTHER, 60)
        await relay.let_go()
        await listening(cut)
        assert [b"one"] * 2 == await bodies((cut, other))


async def is_there(raw: Redis) -> bool:
    return bool(await raw.exists(NAME))


async def test_an_answer_does_not_change_while_redis_returns(redis_server: RedisServer) -> None:
    """What was pinned alone holds throughout, also for keys that Redis has not been told of yet."""
    async with open_store(redis_server.url) as store:
        redis_server.kill()
        await alone(store)
        for number in range(300):
            await store.pin(f"{number}", ONE, 60)
        await asyncio.to_thread(redis_server.start)
        await until(lambda: not store.is_degraded)
        last = (await body(store, "299"), (await store.pin("298", OTHER, 60)).body)
        assert (b"one", b"one") == last
        await listening(store)
        assert {b"one"} == {await body(store, f"{number}") for number in range(300)}


async def test_traffic_does_not_keep_redis_away(redis_server: RedisServer) -> None:
    """A process that pins without pause while Redis returns is back like one that is idle."""
    async with open_store(redis_server.url, memory=1 << 18) as store:
        redis_server.kill()
        await alone(store)
        numbers = iter(range(1 << 30))

        async def pin_on() -> None:
            for number in numbers:
                await store.pin(f"{number}", ONE, 60)
                await asyncio.sleep(0)

        traffic = [asyncio.create_task(pin_on()) for _ in range(4)]
        await asyncio.to_thread(redis_server.start)
        await listening(store)
        for task in traffic:
            task.cancel()
        await asyncio.wait(traffic)


async def test_what_redis_will_not_take_does_not_keep_it_away(redis_server: RedisServer, raw: Redis) -> None:
    """A pin that Redis refuses time and again is given up, and everything else goes on."""
    await raw.config_set("proto-max-bulk-len", 1 << 20)
    async with open_store(redis_server.url) as store:
        large = a_pin(bytes(2 << 20))
        assert large is await store.pin("a", large, 60)
        await until(lambda: not store._debts)
        await listening(store)
        assert OTHER is await store.pin("b", OTHER, 60)
        assert await raw.exists("scg:pin1:{b}")


async def test_started_without_redis(redis_server: RedisServer) -> None:
    """A process that starts while Redis is down works, says so, and connects when it comes."""
    redis_server.kill()
    async with open_store(redis_server.url, is_up=False) as store:
        assert ONE is await store.pin("a", ONE, 60)
        await store.remember("text", "told")
        for number in range(5000):
            await store.remember(f"{number}", "passing", 60)
        await store.remember("over", "passing", 0.001)
        for text, ttl in (("first", 60.0), ("second", inf)):
            await store.remember("changed", text, ttl)
        await alone(store)
        assert ("told", b"one") == (await store.recall("text"), await body(store, "a"))
        await asyncio.to_thread(redis_server.start)
        await listening(store)
        async with open_store(redis_server.url) as other:
            assert ("told", b"one") == (await other.recall("text"), await body(other, "a"))
            recalled = [await other.recall(each) for each in ("0", "4999", "over", "changed")]
            assert [None, "passing", None, "second"] == recalled  # the latest 4096 of them


async def test_a_redis_without_room(redis_server: RedisServer, raw: Redis) -> None:
    """A Redis that refuses to store is away; it is back when it has room."""
    async with open_store(redis_server.url) as store:
        await raw.config_set("maxmemory", 1)
        assert ONE is await store.pin("a", ONE, 60)
        assert store.is_degraded
        await raw.config_set("maxmemory", 0)
        await listening(store)
        assert OTHER is await store.pin("b", OTHER, 60)
        assert await raw.exists("scg:pin1:{b}")
