"""Pins in Redis: shared by processes, kept through Redis's absences, never out of date without need."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from functools import partial
from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.core.pin import Pin
from gateway.store.codec import encode_pin
from gateway.store.redis import RedisStore
from tests.doubles.redis_server import RedisServer
from tests.doubles.waiting import until, until_async
from tests.store.pins import a_pin
from tests.store.relay import ANNOUNCEMENTS, REPLIES, Relay, open_impostor
from tests.store.stores import SHORT, alone, at_once, body, cache_up, listening, open_store

pytestmark = pytest.mark.processes

ONE, OTHER, THIRD = a_pin(b"one"), a_pin(b"other"), a_pin(b"third")
NAME = "scg:pin:a"  # where Redis keeps the key "a"


@pytest.fixture
async def two(redis_server: RedisServer) -> AsyncIterator[Sequence[RedisStore]]:
    """Two processes' stores on one Redis."""
    async with open_store(redis_server.url) as one, open_store(redis_server.url) as other:
        yield one, other


async def bodies(stores: Sequence[RedisStore], key: str = "a") -> list[bytes | None]:
    """What each of these stores has under a key."""
    return [await body(store, key) for store in stores]


async def both_have(stores: Sequence[RedisStore], expected: Pin | None) -> None:
    """Wait until these stores all say so."""
    wanted = [expected and expected.body] * len(stores)

    async def have() -> bool:
        return wanted == await bodies(stores)

    await until_async(have)


# One answer for all processes


async def test_two_verdicts_one_answer(two: Sequence[RedisStore]) -> None:
    """Two processes that reached different verdicts both give the one that was pinned first."""
    first = await two[0].pin("a", ONE, 60)
    second = await two[1].pin("a", OTHER, 60)
    assert (ONE, ONE) == (first, second)
    assert [b"one", b"one"] == await bodies(two)


async def test_many_verdicts_one_answer(two: Sequence[RedisStore]) -> None:
    """A hundred verdicts at once in two processes: one is pinned, and everybody gets it."""
    pins = [a_pin(b"answer %d" % number) for number in range(100)]
    held = await asyncio.gather(*(two[at % 2].pin("a", pin, 60) for at, pin in enumerate(pins)))
    assert {held[0].body} == {pin.body for pin in held} == set(await bodies(two))


@pytest.mark.parametrize("deleter", [0, 1], ids=["by the one that pinned", "by the other"])
async def test_a_deleted_pin_is_forgotten_by_all(two: Sequence[RedisStore], deleter: int) -> None:
    """A pin that one process deletes leaves the other's memory, too."""
    await two[0].pin("a", ONE, 60)
    assert [b"one", b"one"] == await bodies(two)
    assert await two[deleter].delete("a")
    await both_have(two, None)


@pytest.mark.parametrize("replacer", [0, 1], ids=["by the one that pinned", "by the other"])
async def test_a_replaced_pin_is_forgotten_by_all(two: Sequence[RedisStore], replacer: int) -> None:
    """A pin that one process replaces is replaced in the other's memory, too."""
    await two[0].pin("a", ONE, 60)
    assert [b"one", b"one"] == await bodies(two)
    await two[replacer].replace("a", OTHER, 60)
    assert b"other" == await body(two[replacer], "a")
    await both_have(two, OTHER)


async def test_a_pin_that_redis_lost_does_not_live_on(two: Sequence[RedisStore], raw: Redis) -> None:
    """Redis evicts a pin and another process pins anew: memory that had the old one gives it up."""
    await two[0].pin("a", ONE, 60)
    await raw.delete(NAME)
    assert OTHER is await two[1].pin("a", OTHER, 60)
    await both_have(two, OTHER)


async def test_own_announcements_cost_nothing(two: Sequence[RedisStore]) -> None:
    """A process keeps in memory what it pinned itself: its own announcement is for the others."""
    await two[0].pin("a", ONE, 60)
    await two[1].pin("b", OTHER, 60)
    await until(lambda: two[0]._changes > 1)  # Redis announces in order: the own one came before
    assert two[0].memory.look_up("a") is not None


async def test_nonsense_on_the_channel_is_passed_over(two: Sequence[RedisStore], raw: Redis) -> None:
    """What strangers publish on the channel neither ends the listening nor hides what comes after it."""
    await two[0].pin("a", ONE, 60)
    assert [b"one", b"one"] == await bodies(two)
    for nonsense in (b"", b"\xff\xfe", b"a", b" ", b"x" * 100_000):
        await raw.publish("scg:changed", nonsense)
    await two[0].delete("a")
    await both_have(two, None)
    assert (True, True) == (two[0]._is_listening, two[1]._is_listening)


async def test_texts_are_shared(two: Sequence[RedisStore]) -> None:
    """What one process remembers, all recall."""
    await two[0].remember("fingerprint", "v1")
    assert "v1" == await two[1].recall("fingerprint")


async def test_prefixes_are_apart(redis_server: RedisServer, raw: Redis) -> None:
    """All that is kept in Redis lies under the prefix, and pins there end by themselves."""
    async with open_store(redis_server.url) as store:
        await store.pin("a", ONE, 60)
        await store.remember("fingerprint", "v1")
    assert {b"scg:pin:a", b"scg:fingerprint"} == set(await raw.keys())
    assert 59_000 < await raw.pttl(NAME) <= 60_000


# Memory is never ahead of Redis


async def test_memory_does_not_outlive_the_pin(redis_server: RedisServer, relay: Relay, raw: Redis) -> None:
    """However long an answer of Redis is under way, the pin ends in memory no later than in Redis."""
    async with open_store(relay.url) as late, open_store(redis_server.url) as prompt:
        await prompt.pin("a", ONE, 60)
        relay.hold(REPLIES)
        calls = [asyncio.create_task(call) for call in (late.get("a"), late.pin("b", OTHER, 60))]
        await until(lambda: relay.held == 2)
        started = await raw.pttl(NAME)
        await until_async(lambda: has_sunk(raw, started - 50))
        await relay.let_go()
        await asyncio.gather(*calls)
        for key in ("a", "b"):
            left = await raw.pttl(f"scg:pin:{key}")
            found = late.memory.look_up(key)
            assert found is not None
            assert found.ttl <= (left + 1) / 1000  # Redis counts whole milliseconds


async def has_sunk(raw: Redis, bound: int) -> bool:
    return bool(await raw.pttl(NAME) <= bound)


@pytest.mark.parametrize("change", ["delete", "replace", "evict and pin"])
@pytest.mark.parametrize("call", ["get", "pin", "replace"])
async def test_an_old_answer_does_not_stay_in_memory(
    redis_server: RedisServer, relay: Relay, raw: Redis, change: str, call: str
) -> None:
    """An answer that Redis gave before a change, and that arrives after its announcement, is not kept."""
    async with open_store(relay.url) as late, open_store(redis_server.url) as prompt:
        await prompt.pin("a", ONE, 60)
        relay.hold(REPLIES)
        calls = {
            "get": late.get("a"),
            "pin": late.pin("a", THIRD, 60),
            "replace": late.replace("a", THIRD, 60),
        }
        asking = asyncio.ensure_future(calls.pop(call))
        for other in calls.values():
            other.close()
        await until(lambda: relay.held == 1)
        known = late._changes
        if change == "delete":
            await prompt.delete("a")
        elif change == "replace":
            await prompt.replace("a", OTHER, 60)
        else:
            await raw.delete(NAME)
            await prompt.pin("a", OTHER, 60)
        await until(lambda: late._changes > known)
        await relay.let_go()
        await asking
        expected = None if change == "delete" and call != "pin" else b"other"
        if (change, call) == ("delete", "pin"):
            expected = await body(prompt, "a")  # the late pin asked again, and found the key free or not
        assert expected == await body(late, "a")


async def test_what_the_own_process_changed_counts_as_well(redis_server: RedisServer, relay: Relay) -> None:
    """An answer that is under way while the same process replaces the pin is not kept either."""
    async with open_store(relay.url) as store, open_store(redis_server.url) as other:
        await other.pin("a", ONE, 60)
        asking = asyncio.create_task(store.get("a"))
        await store.replace("a", OTHER, 60)
        await asking
        assert b"other" == await body(store, "a")


async def test_memory_is_dropped_with_the_subscription(two: Sequence[RedisStore], raw: Redis) -> None:
    """Announcements may have been lost with the subscription: what was in memory is asked for again."""
    await two[0].pin("a", ONE, 60)
    assert [b"one", b"one"] == await bodies(two)
    await raw.delete(NAME)  # unannounced
    assert [b"one", b"one"] == await bodies(two)
    await raw.client_kill_filter(_type="pubsub")
    await both_have(two, None)
    for store in two:
        await listening(store)
    assert (False, False) == (two[0].is_degraded, two[1].is_degraded)


async def test_a_subscription_that_fell_silent_is_noticed(redis_server: RedisServer, relay: Relay) -> None:
    """A subscription that stands and carries nothing is found out, though all other calls succeed."""
    async with open_store(relay.url, patience=1) as deaf, open_store(redis_server.url) as other:
        await deaf.pin("a", ONE, 60)
        relay.silence_announcements()
        await other.replace("a", OTHER, 60)
        await both_have([deaf], OTHER)
        await listening(deaf)


async def test_a_subscription_counts_once_confirmed(relay: Relay) -> None:
    """A subscription that Redis was asked for and has not confirmed is none."""
    relay.hold(ANNOUNCEMENTS)
    async with open_store(relay.url, patience=SHORT, is_up=False) as store:
        await until(lambda: relay.asked.count(b"SUBSCRIBE") > 2)
        assert (False, True) == (store._is_listening, store.is_degraded)
        await relay.let_go()
        await listening(store)


# Redis goes and comes back


@pytest.mark.parametrize("how", ["kill", "freeze"])
async def test_nobody_waits_for_a_redis_that_is_gone(redis_server: RedisServer, how: str) -> None:
    """Redis killed or frozen: every call gives what it can; known to be gone, nobody waits for it at all."""
    async with open_store(redis_server.url, patience=SHORT) as store:
        await store.pin("kept", ONE, 60)
        assert (False, 1) == (store.is_degraded, cache_up(store))
        getattr(redis_server, how)()
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


@pytest.mark.parametrize("call", ["get", "pin", "replace", "delete", "remember", "recall"])
async def test_a_call_that_hangs_ends(relay: Relay, call: str) -> None:
    """Each call ends after its time-out though Redis never answers, and makes the process alone."""
    async with open_store(relay.url, patience=SHORT) as store:
        relay.hold(REPLIES, ANNOUNCEMENTS)
        calls: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
            "get": lambda: store.get("a"),
            "pin": lambda: store.pin("a", ONE, 60),
            "replace": lambda: store.replace("a", ONE, 60),
            "delete": lambda: store.delete("a"),
            "remember": lambda: store.remember("a", "text"),
            "recall": lambda: store.recall("a"),
        }
        await calls[call]()
        await alone(store)


async def test_who_stood_in_line_does_not_wait_again(relay: Relay) -> None:
    """Of many calls at once only those whose turn it is ask a Redis that hangs; the others give up with them."""
    async with open_store(relay.url, patience=SHORT) as store:
        relay.hold(REPLIES, ANNOUNCEMENTS)
        await asyncio.gather(*(store.get(f"{key}") for key in range(300)))
        assert store._link.at_once == relay.asked.count(b"PTTL")


async def test_many_at_once_are_no_failure(redis_server: RedisServer, raw: Redis) -> None:
    """Five hundred calls at once share the connections there are, and Redis stays in reach."""
    async with open_store(redis_server.url, memory=0) as store:
        await asyncio.gather(*(store.pin(f"{key}", a_pin(b"%d" % key), 60) for key in range(500)))
        found = await asyncio.gather(*(body(store, f"{key}") for key in range(500)))
        assert [b"%d" % key for key in range(500)] == found
        assert not store.is_degraded
        assert len(await raw.client_list()) <= 64 + 1  # the test's own


@pytest.mark.parametrize("how", ["kill", "freeze"])
async def test_what_was_pinned_alone_is_offered(redis_server: RedisServer, how: str) -> None:
    """Redis returns: every pin that was made without it is there for all, the stored one where there is one."""
    async with (
        open_store(redis_server.url, patience=SHORT) as one,
        open_store(redis_server.url, patience=SHORT) as other,
    ):
        getattr(redis_server, how)()
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
    async with open_store(relay.url, patience=SHORT) as cut, open_store(redis_server.url) as other:
        relay.hold(REPLIES, ANNOUNCEMENTS)
        await alone(cut)
        assert ONE is await cut.pin("a", ONE, 60)
        assert OTHER is await other.pin("a", OTHER, 60)
        assert b"one" == await body(cut, "a")
        await relay.let_go()
        await listening(cut)
        assert [b"other"] * 2 == await bodies((cut, other))


async def test_changes_made_alone_are_made_good(redis_server: RedisServer, relay: Relay) -> None:
    """What a process that was cut off deleted and replaced is deleted and replaced for all when it returns."""
    async with open_store(relay.url, patience=SHORT) as cut, open_store(redis_server.url) as other:
        for key in ("deleted", "replaced", "deleted, pinned"):
            await other.pin(key, ONE, 60)
            assert b"one" == await body(cut, key)
        relay.hold(REPLIES, ANNOUNCEMENTS)
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


async def has(store: RedisStore, key: str, answer: bytes | None) -> bool:
    return answer == await body(store, key)


async def test_a_change_whose_answer_was_lost_is_made_good(redis_server: RedisServer, relay: Relay) -> None:
    """A call that Redis performed and whose answer never came ends as if it had: one answer for all."""
    async with open_store(relay.url, patience=SHORT) as cut, open_store(redis_server.url) as other:
        relay.hold(REPLIES, ANNOUNCEMENTS)
        assert ONE is await cut.pin("a", ONE, 60)
        assert ONE == await other.pin("a", OTHER, 60)
        await relay.let_go()
        await listening(cut)
        assert [b"one"] * 2 == await bodies((cut, other))


async def test_an_answer_does_not_change_while_redis_returns(redis_server: RedisServer) -> None:
    """What was pinned alone holds throughout, also for keys that Redis has not been told of yet."""
    async with open_store(redis_server.url, patience=SHORT) as store:
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
    async with open_store(redis_server.url, patience=5) as store:
        large = a_pin(bytes(2 << 20))
        assert large is await store.pin("a", large, 60)
        await until(lambda: not store._owed)
        await listening(store)
        assert OTHER is await store.pin("b", OTHER, 60)
        assert await raw.exists("scg:pin:b")


async def test_started_without_redis(redis_server: RedisServer) -> None:
    """A process that starts while Redis is down works, says so, and connects when it comes."""
    redis_server.kill()
    async with open_store(redis_server.url, patience=SHORT, is_up=False) as store:
        assert ONE is await store.pin("a", ONE, 60)
        await store.remember("text", "told")
        await alone(store)
        assert ("told", b"one") == (await store.recall("text"), await body(store, "a"))
        await asyncio.to_thread(redis_server.start)
        await listening(store)
        async with open_store(redis_server.url) as other:
            assert ("told", b"one") == (await other.recall("text"), await body(other, "a"))


async def test_calls_in_flight_when_redis_dies(redis_server: RedisServer) -> None:
    """Redis is killed in the middle of two hundred look-ups: none raises, each gives the pin or none."""
    async with open_store(redis_server.url, patience=1, memory=0) as store:
        await asyncio.gather(*(store.pin(f"{key}", ONE, 60) for key in range(200)))
        asking = [asyncio.create_task(body(store, f"{key}")) for key in range(200)]
        await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        redis_server.kill()
        assert {b"one"} <= set(await asyncio.gather(*asking)) <= {b"one", None}
        await alone(store)


async def test_again_and_again(redis_server: RedisServer) -> None:
    """Redis going and coming back any number of times leaves a store that works, and no task behind."""
    async with open_store(redis_server.url, patience=1) as store:
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


# Replies belong to those who asked


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
        pool = store._link._redis.connection_pool
        await until(lambda: len(pool._in_use_connections) == 1)  # the subscription's


# What lies in Redis and is no pin


def damaged(pin: Pin) -> bytes:
    stored = encode_pin(pin)
    return stored[:-1] + bytes([stored[-1] ^ 1])


@pytest.mark.parametrize(
    "stored",
    [b"", b"nonsense", b"scg0 {}\n", encode_pin(OTHER)[:-1], damaged(OTHER), ["a", "list"]],
    ids=["empty", "nonsense", "older", "cut", "damaged", "no string"],
)
async def test_what_is_no_pin_bars_no_key(
    two: Sequence[RedisStore], raw: Redis, stored: bytes | list[str]
) -> None:
    """What cannot be read under a key is no pin, the next verdict takes its place, and Redis stays in use."""
    if isinstance(stored, bytes):
        await raw.set(NAME, stored)
    else:
        await raw.rpush(NAME, *stored)
    assert [None, None] == await bodies(two)
    held = await asyncio.gather(
        *(two[at % 2].pin("a", a_pin(b"answer %d" % at), 60) for at in range(20)),
    )
    assert {held[0].body} == {pin.body for pin in held} == set(await bodies(two))
    assert [False, False] == [store.is_degraded for store in two]


async def test_a_pin_without_an_end_is_one(redis_server: RedisServer, raw: Redis) -> None:
    """A pin whose end an operator took away holds."""
    async with open_store(redis_server.url) as store:
        await raw.set(NAME, encode_pin(ONE))
        assert (ONE, b"one") == (await store.pin("a", OTHER, 60), await body(store, "a"))


@pytest.mark.parametrize("stored", [b"\xff\xfe", ["a", "list"]], ids=["no text", "no string"])
async def test_a_text_that_is_none(redis_server: RedisServer, raw: Redis, stored: bytes | list[str]) -> None:
    """What cannot be read under a text's name is recalled as none, and raises nothing."""
    if isinstance(stored, bytes):
        await raw.set("scg:fingerprint", stored)
    else:
        await raw.rpush("scg:fingerprint", *stored)
    async with open_store(redis_server.url) as store:
        assert await store.recall("fingerprint") is None
        assert not store.is_degraded


# What is no Redis, or not ours


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
    async with open_store(url, patience=1, is_up=False) as store:
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


async def test_a_redis_without_room(redis_server: RedisServer, raw: Redis) -> None:
    """A Redis that refuses to store is away; it is back when it has room."""
    async with open_store(redis_server.url, patience=1) as store:
        await raw.config_set("maxmemory", 1)
        assert ONE is await store.pin("a", ONE, 60)
        assert store.is_degraded
        await raw.config_set("maxmemory", 0)
        await listening(store)
        assert OTHER is await store.pin("b", OTHER, 60)
        assert await raw.exists("scg:pin:b")


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


# The end


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
