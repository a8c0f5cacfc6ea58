"""Redis killed, frozen, slow, foreign or closed: no call raises, hangs or gets another one's answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
from redis.asyncio import ConnectionPool, Redis

from gateway.store.redis import RedisStore
from tests.doubles.redis_server import RedisServer
from tests.doubles.waiting import until, until_async
from tests.store.pins import a_pin
from tests.store.relay import ANNOUNCEMENTS, REPLIES, Relay, open_impostor
from tests.store.stores import (
    SHORT,
    alone,
    at_once,
    body,
    cache_up,
    has,
    hurried,
    listening,
    open_store,
)

pytestmark = pytest.mark.processes
ON_BOTH_LOOPS = True

ONE, OTHER, THIRD = a_pin(b"one"), a_pin(b"other"), a_pin(b"third")
NAME = "scg:pin1:{a}"  # where Redis keeps the key "a"


def pool_of(store: RedisStore) -> ConnectionPool:
    """Its connections for calls."""
    client = store._link._servers.client
    assert isinstance(client, Redis)
    return client.connection_pool


@pytest.mark.parametrize("how", ["kill", "freeze"])
async def test_nobody_waits_for_a_redis_that_is_gone(redis_server: RedisServer, how: str) -> None:
    """Redis killed or frozen: every call gives what it can; known to be gone, nobody waits for it at all."""
    async with open_store(redis_server.url) as store:
        await store.pin("kept", ONE, 60)
        assert (False, 1) == (store.is_degraded, cache_up(store))
        getattr(redis_server, how)()
        with hurried(store):
            assert [None] * 200 == await asyncio.gather(*(store.get(f"{key}") for key in range(200)))
        await alone(store)
        assert 0 == cache_up(store)
        assert b"one" == at_once(body(store, "kept"))
        assert OTHER is at_once(store.pin("new", OTHER, 60))
        assert OTHER is at_once(store.pin("new", ONE, 60))
        at_once(store.replace("kept", THIRD, 60))
        assert b"third" == at_once(body(store, "kept"))
        assert at_once(store.delete("kept"))
        assert not at_once(store.delete("kept"))
        at_once(store.remember("text", "told"))
        assert "told" == at_once(store.recall("text"))


@pytest.mark.parametrize("known", [False, True], ids=["new connection", "known connection"])
async def test_a_process_that_was_held_up_does_not_blame_redis(
    redis_server: RedisServer,
    relay: Relay,
    known: bool,  # noqa: FBT001
) -> None:
    """A process that stands still for longer than the time-out takes the answer that came meanwhile."""
    async with open_store(relay.url, memory=0) as store:
        await store.pin("a", ONE, 60)
        if known:
            assert b"one" == await body(store, "a")
        asked, answered = relay.asked.count(b"PTTL"), redis_server.calls("pttl")
        with hurried(store):
            redis_server.freeze()
            asking = asyncio.create_task(body(store, "a"))
            while relay.asked.count(b"PTTL") == asked:  # noqa: ASYNC110  nothing that takes time
                await asyncio.sleep(0)
            for _ in range(5):  # until it is passed on
                await asyncio.sleep(0)
            redis_server.thaw()
            while redis_server.calls("pttl") == answered:
                time.sleep(0.01)  # noqa: ASYNC251  the hold-up itself
            time.sleep(2 * SHORT)  # noqa: ASYNC251  likewise
            assert b"one" == await asking
        assert not store.is_degraded


@pytest.mark.parametrize("how", ["kill", "freeze"])
async def test_its_absence_is_noticed_without_a_call(redis_server: RedisServer, how: str) -> None:
    """An idle process knows, too, that Redis is gone, and that it is back."""
    async with open_store(redis_server.url, patience=SHORT) as store:
        getattr(redis_server, how)()
        await alone(store)
        assert 0 == cache_up(store)
        await asyncio.to_thread({"kill": redis_server.start, "freeze": redis_server.thaw}[how])
        await listening(store)
        assert (False, 1) == (store.is_degraded, cache_up(store))


CALLS = {
    "get": partial(RedisStore.get, key="a"),
    "pin": partial(RedisStore.pin, key="a", pin=ONE, ttl=60),
    "replace": partial(RedisStore.replace, key="a", pin=ONE, ttl=60),
    "delete": partial(RedisStore.delete, key="a"),
    "remember": partial(RedisStore.remember, name="a", value="text"),
    "recall": partial(RedisStore.recall, name="a"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_call_that_hangs_ends(relay: Relay, call: Callable[[RedisStore], Awaitable[object]]) -> None:
    """Each call ends after its time-out though Redis never answers, and makes the process alone."""
    async with open_store(relay.url, patience=SHORT) as store:
        relay.hold(REPLIES, ANNOUNCEMENTS)
        await call(store)
        assert store.is_degraded


async def test_who_stood_in_line_does_not_wait_again(relay: Relay) -> None:
    """Of many calls at once only those whose turn it is ask a Redis that hangs; the others give up with them."""
    async with open_store(relay.url) as store:
        relay.hold(REPLIES, ANNOUNCEMENTS)
        with hurried(store):
            assert [True] * 300 == await asyncio.gather(*(store.claim(f"{key}", "me") for key in range(300)))
        assert 0 < relay.asked.count(b"scg:lease:") <= store._link.at_once


async def test_many_at_once_are_no_failure(redis_server: RedisServer, raw: Redis) -> None:
    """Five hundred calls at once share the connections there are, and Redis stays in reach."""
    async with open_store(redis_server.url, memory=0) as store:
        await asyncio.gather(*(store.pin(f"{key}", a_pin(b"%d" % key), 60) for key in range(500)))
        found = await asyncio.gather(*(body(store, f"{key}") for key in range(500)))
        assert [b"%d" % key for key in range(500)] == found
        assert not store.is_degraded
        assert len(await raw.client_list()) <= 64 + 1  # the test's own


async def test_calls_in_flight_when_redis_dies(redis_server: RedisServer) -> None:
    """Redis is killed in the middle of two hundred look-ups: none raises, each gives the pin or none."""
    async with open_store(redis_server.url, memory=0) as store:
        await asyncio.gather(*(store.pin(f"{key}", ONE, 60) for key in range(200)))
        asking = [asyncio.create_task(body(store, f"{key}")) for key in range(200)]
        await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        redis_server.kill()
        assert {b"one"} <= set(await asyncio.gather(*asking)) <= {b"one", None}
        await alone(store)


async def test_again_and_again(redis_server: RedisServer) -> None:
    """Redis going and coming back any number of times leaves a store that works, and no task behind."""
    async with open_store(redis_server.url) as store:
        tasks = len(asyncio.all_tasks())
        for number in range(3):
            redis_server.kill()
            await asyncio.gather(*(store.pin(f"{number} {key}", ONE, 60) for key in range(100)))
            await alone(store)
            assert tasks == len(asyncio.all_tasks())
            await asyncio.to_thread(redis_server.start)
            await listening(store)
        assert tasks == len(asyncio.all_tasks())
        assert b"one" == await body(store, "2 99")


async def test_a_cancelled_call_leaves_no_reply_behind(redis_server: RedisServer, relay: Relay) -> None:
    """Calls that are cancelled while their answer is under way do not leave it to the next caller."""
    async with open_store(relay.url, memory=0) as store, open_store(redis_server.url) as other:
        keys = [f"{number}" for number in range(40)]
        for key in keys:
            await other.pin(key, a_pin(key.encode()), 60)
        for number in range(3):
            relay.hold(REPLIES)
            sent = relay.asked.count(b"PTTL")
            asking = {key: asyncio.create_task(body(store, key)) for key in keys}
            await relay.was_asked(b"PTTL", sent + len(keys))
            for key in keys[number::2]:
                asking[key].cancel()
            await asyncio.sleep(0)
            await relay.let_go()
            await asyncio.wait(asking.values())
            stayed = [key for key in keys if not asking[key].cancelled()]
            assert [key.encode() for key in stayed] == [asking[key].result() for key in stayed]
            found = await asyncio.gather(*(body(store, key) for key in keys))
            assert [key.encode() for key in keys] == found
        assert not store.is_degraded


async def test_a_timed_out_call_leaves_no_reply_behind(redis_server: RedisServer) -> None:
    """Calls that gave up on a frozen Redis get nobody else's answers when it goes on."""
    async with open_store(redis_server.url, patience=SHORT, memory=0) as store:
        keys = [f"{number}" for number in range(40)]
        async with open_store(redis_server.url) as other:
            for key in keys:
                await other.pin(key, a_pin(key.encode()), 60)
        for _ in range(2):
            redis_server.freeze()
            answers = await asyncio.gather(*(body(store, key) for key in keys))
            assert all(answer in (None, key.encode()) for key, answer in zip(keys, answers, strict=True))
            await alone(store)
            redis_server.thaw()
            await listening(store)
            for key in keys:
                await until_async(partial(has, store, key, key.encode()))


async def test_a_call_cancelled_at_any_step(redis_server: RedisServer) -> None:
    """Wherever a call is when it is cancelled, it ends so, its connection is not lost, and others get their own."""
    async with open_store(redis_server.url, memory=0) as store:
        for key in ("a", "b", "c"):
            await store.pin(key, a_pin(key.encode()), 60)
        for after in range(25):
            calls = (
                store.get("a"),
                store.pin("a", OTHER, 60),
                store.replace("d", OTHER, 60),
                store.delete("d"),
            )
            for call in calls:
                task: asyncio.Future[object] = asyncio.ensure_future(call)
                for _ in range(after):
                    await asyncio.sleep(0)
                was_cancelled = task.cancel()
                await asyncio.wait([task])
                assert was_cancelled == task.cancelled()
            assert [b"a", b"b", b"c"] == [await body(store, key) for key in ("a", "b", "c")]
        pool = pool_of(store)
        await until(lambda: len(pool._in_use_connections) == 1)  # the subscription's


async def all_calls(store: RedisStore) -> None:
    """Every call does what memory can."""
    assert ONE is await store.pin("a", ONE, 60)
    assert b"one" == await body(store, "a")
    await store.replace("a", OTHER, 60)
    assert b"other" == await body(store, "a")
    assert await store.delete("a")
    assert await body(store, "a") is None
    await store.remember("text", "told")
    assert "told" == await store.recall("text")


@pytest.mark.parametrize("credentials", ["", ":not-the-password@", "nobody:secret@"])
async def test_a_wrong_password(
    redis_server: RedisServer, raw: Redis, credentials: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A Redis that does not let the process in is a Redis that is away; the log says why, not with what."""
    await raw.config_set("requirepass", "the-password")
    url = redis_server.url.replace("redis://", f"redis://{credentials}")
    async with open_store(url, is_up=False) as store:
        await alone(store)
        await all_calls(store)
        assert 0 == cache_up(store)
    assert any(word in caplog.text for word in ("WRONGPASS", "NOAUTH", "uthentication"))
    assert "not-the-password" not in caplog.text


async def test_the_right_password(redis_server: RedisServer, raw: Redis) -> None:
    """With its password a Redis is used."""
    await raw.config_set("requirepass", "the-password")
    async with open_store(redis_server.url.replace("redis://", "redis://:the-password@")) as store:
        assert ONE is await store.pin("a", ONE, 60)
    assert await raw.exists(NAME)


IMPOSTORS = {
    "hangs up": None,
    "web": b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
    "mail": b"220 mail.example ESMTP\r\n",
    "binary": b"\0\xff\x15\x03\x01",
    "agrees": b"+OK\r\n",
    "refuses": b"-ERR no\r\n",
    "counts": b":1\r\n",
    "nil": b"$-1\r\n",
    "nothing": b"*0\r\n",
    "no list": b"*-1\r\n",
    "list": b"*1\r\n$1\r\nx\r\n",
    "three": b"*3\r\n$1\r\nx\r\n$1\r\ny\r\n:1\r\n",
    "subscribes": b"*3\r\n$9\r\nsubscribe\r\n$1\r\ny\r\n:1\r\n",
    "nested": b"*1\r\n" * 200,
    "floods": b"+OK\r\n" * 10_000,
    "half": b"$100\r\nx",
    "silent": b"",
}


@pytest.mark.parametrize("answer", IMPOSTORS.values(), ids=IMPOSTORS)
async def test_what_is_no_redis(answer: bytes | None) -> None:
    """Whatever listens at the port and says whatever it likes: no call raises, and nothing is left behind."""
    async with open_impostor(answer) as url, open_store(url, patience=SHORT, is_up=False) as store:
        await asyncio.gather(*(store.get(f"{key}") for key in range(20)))
        await store.pin("a", ONE, 60)
        await store.replace("a", OTHER, 60)
        await store.delete("a")
        await store.remember("text", "told")
        await store.recall("text")
        if answer != IMPOSTORS["subscribes"]:  # which plays its part too well
            await alone(store)
            await all_calls(store)


async def test_closing_leaves_no_connection(redis_server: RedisServer, raw: Redis) -> None:
    """A closed store has let go of every connection, that of a subscription included."""
    async with open_store(redis_server.url) as store:
        await asyncio.gather(*(store.get(f"{key}") for key in range(50)))
        assert len(await raw.client_list()) > 2
    await until_async(lambda: only_we(raw))


async def only_we(raw: Redis) -> bool:
    return len(await raw.client_list()) == 1


@pytest.mark.parametrize("is_held", [False, True], ids=["calls under way", "calls that hang"])
async def test_closing_under_load(relay: Relay, raw: Redis, is_held: bool) -> None:  # noqa: FBT001
    """Closing lets calls under way end, those that hang included, and none of them connects anew."""
    async with open_store(relay.url, patience=1) as store:
        if is_held:
            relay.hold(REPLIES, ANNOUNCEMENTS)
        asking = [asyncio.create_task(store.get(f"{key}")) for key in range(200)]
        await until(lambda: relay.asked.count(b"PTTL") > 0)
        await store.aclose()
        assert [None] * 200 == await asyncio.gather(*asking)
        assert ONE is at_once(store.pin("a", ONE, 60))
        await relay.let_go()
        await until_async(lambda: only_we(raw))


@pytest.mark.parametrize("how", ["kill", "freeze"])
async def test_closing_without_redis(redis_server: RedisServer, raw: Redis, how: str) -> None:
    """A store whose Redis is gone closes like any other, and a call that was cut off leaves no connection."""
    async with open_store(redis_server.url, patience=SHORT) as store:
        getattr(redis_server, how)()
        large = a_pin(bytes(8 << 20))
        assert large is await store.pin("a", large, 60)
    await asyncio.to_thread({"kill": redis_server.start, "freeze": redis_server.thaw}[how])
    await until_async(lambda: only_we(raw))
