"""Pins in Redis: shared by processes, kept through Redis's absences, never out of date without need."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from redis.asyncio import Redis

from gateway.core.pin import Pin
from gateway.store.codec import encode_pin
from gateway.store.redis import RedisStore
from tests.doubles.redis_server import RedisServer
from tests.doubles.waiting import until, until_async
from tests.store.pins import a_pin
from tests.store.relay import ANNOUNCEMENTS, REPLIES, Relay
from tests.store.stores import (
    SHORT,
    bodies,
    body,
    heard,
    listening,
    open_store,
)

pytestmark = pytest.mark.processes

ONE, OTHER, THIRD = a_pin(b"one"), a_pin(b"other"), a_pin(b"third")
NAME = "scg:pin1:{a}"  # where Redis keeps the key "a"


@pytest.fixture
async def two(redis_server: RedisServer) -> AsyncIterator[Sequence[RedisStore]]:
    """Two processes' stores on one Redis."""
    async with open_store(redis_server.url) as one, open_store(redis_server.url) as other:
        yield one, other


async def both_have(stores: Sequence[RedisStore], expected: Pin | None) -> None:
    """Wait until these stores all say so."""
    wanted = [expected and expected.body] * len(stores)

    async def have() -> bool:
        return wanted == await bodies(stores)

    await until_async(have)


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
    await until(lambda: two[0]._keeper.changes > 1)  # Redis announces in order: the own one came before
    assert two[0].memory.look_up("a") is not None


async def test_nonsense_on_the_channel_is_passed_over(two: Sequence[RedisStore], raw: Redis) -> None:
    """What strangers publish on the channel neither ends the listening nor hides what comes after it."""
    await two[0].pin("a", ONE, 60)
    assert [b"one", b"one"] == await bodies(two)
    for nonsense in (b"", b"\xff\xfe", b"a", b" ", b"x" * 100_000):
        await raw.publish("scg:changed", nonsense)
    await two[0].delete("a")
    await both_have(two, None)
    assert (True, True) == (two[0]._keeper.is_listening, two[1]._keeper.is_listening)


async def test_texts_are_shared(two: Sequence[RedisStore]) -> None:
    """What one process remembers, all recall."""
    await two[0].remember("fingerprint", "v1")
    assert "v1" == await two[1].recall("fingerprint")


async def test_texts_with_an_end(two: Sequence[RedisStore], raw: Redis) -> None:
    """Redis forgets them by itself; told again without an end, they stay."""
    await two[0].remember("holder", "a", 60)
    assert "a" == await two[1].recall("holder")
    assert 30_000 < await raw.pttl("scg:holder") <= 60_000
    await two[1].remember("holder", "b")
    assert ("b", -1) == (await two[0].recall("holder"), await raw.pttl("scg:holder"))


async def test_prefixes_are_apart(redis_server: RedisServer, raw: Redis) -> None:
    """All that is kept in Redis lies under the prefix, and pins there end by themselves."""
    async with open_store(redis_server.url) as store:
        await store.pin("a", ONE, 60)
        await store.remember("fingerprint", "v1")
    assert {b"scg:pin1:{a}", b"scg:fingerprint"} == set(await raw.keys())
    assert 30_000 < await raw.pttl(NAME) <= 60_000


async def test_memory_does_not_outlive_the_pin(redis_server: RedisServer, relay: Relay, raw: Redis) -> None:
    """However long an answer of Redis is under way, the pin ends in memory no later than in Redis."""
    async with open_store(relay.url) as late, open_store(redis_server.url) as prompt:
        await heard(late, prompt.pin("a", ONE, 60))
        relay.hold(REPLIES)
        calls = [asyncio.create_task(call) for call in (late.get("a"), late.pin("b", OTHER, 60))]
        await until(lambda: relay.held == 2)
        started = await raw.pttl(NAME)
        await until_async(lambda: has_sunk(raw, started - 50))
        await relay.let_go()
        await asyncio.gather(*calls)
        for key in ("a", "b"):
            left = await raw.pttl(f"scg:pin1:{{{key}}}")
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
        known = late._keeper.changes
        if change == "delete":
            await prompt.delete("a")
        elif change == "replace":
            await prompt.replace("a", OTHER, 60)
        else:
            await raw.delete(NAME)
            await prompt.pin("a", OTHER, 60)
        await until(lambda: late._keeper.changes > known)
        await relay.let_go()
        await asking
        expected = b"other" if change != "delete" else b"third" if call == "pin" else None
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
    await heard(two[1], two[0].pin("a", ONE, 60))
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
        assert (False, True) == (store._keeper.is_listening, store.is_degraded)
        await relay.let_go()
        await listening(store)


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


async def test_pins_of_another_format_are_left_alone(two: Sequence[RedisStore], raw: Redis) -> None:
    """What gateways of an older or a newer version have pinned under the same key is neither taken nor destroyed."""
    foreign = {"scg:pin0:{a}": b"scg0 older", "scg:pin2:{a}": b"scg2 newer"}
    for name, stored in foreign.items():
        await raw.set(name, stored)
    assert [None, None] == await bodies(two)
    assert ONE is await two[0].pin("a", ONE, 60)
    await two[1].replace("a", OTHER, 60)
    await two[0].delete("a")
    assert list(foreign.values()) == [await raw.get(name) for name in foreign]


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


@pytest.mark.parametrize("form", [b"0", b"2"])
async def test_what_another_release_pinned_is_left_alone(
    two: Sequence[RedisStore], raw: Redis, form: bytes
) -> None:
    """A pin in an older or newer format is a miss here, and outlives whatever is pinned, replaced and deleted."""
    theirs, content = (
        NAME.replace("pin1", f"pin{form.decode()}"),
        b"scg" + form + b" 00000000 what only they can read",
    )
    await raw.set(theirs, content, px=60_000)
    assert await two[0].get("a") is None
    assert ONE == await two[0].pin("a", ONE, 60)
    await two[1].replace("a", OTHER, 60)
    assert await two[0].delete("a")
    assert (content, True) == (await raw.get(theirs), await raw.pttl(theirs) > 0)
