"""Leases: of all processes that want to lead a key, one does, until it has done or died."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from redis.asyncio import Redis

from gateway.store.lease import lead
from gateway.store.memory import MemoryStore
from gateway.store.protocol import Store
from gateway.store.redis import RedisStore
from tests.doubles.redis_server import RedisServer
from tests.doubles.waiting import until, until_async
from tests.store.pins import a_pin
from tests.store.relay import REPLIES, Relay
from tests.store.stores import alone, listening, open_store

pytestmark = pytest.mark.processes

LEASE = "scg:lease:{a}"
ONE, OTHER = a_pin(b"one"), a_pin(b"other")
BRIEF = 0.3  # seconds of a lease that is meant to end
LONG = 600.0  # of one that is not


@pytest.fixture
async def two(redis_server: RedisServer) -> AsyncIterator[Sequence[RedisStore]]:
    """Two processes' stores on one Redis."""
    async with (
        open_store(redis_server.url, lease=LONG) as one,
        open_store(redis_server.url, lease=LONG) as other,
    ):
        yield one, other


async def followed(store: RedisStore) -> bytes | None:
    """What following gives: what was pinned, or none."""
    found = await store.follow("a", "you")
    assert not isinstance(found, bytes)
    return None if found is None else found.pin.body


async def follows(store: RedisStore) -> asyncio.Task[bytes | None]:
    """The same as a task, once it waits."""
    task = asyncio.create_task(followed(store))
    await until(lambda: bool(store._bells._by_key))
    return task


async def test_one_of_two_has_it(two: Sequence[RedisStore]) -> None:
    """A lease is given once, as often as asked to its holder, and after its release to another."""
    one, other = two
    assert [True, True, False] == [
        await one.claim("a", "me"), await one.claim("a", "me"), await other.claim("a", "you")
    ]  # fmt: skip
    assert await other.claim("b", "you")
    await other.release("a", "you")
    assert not await other.claim("a", "you")
    await one.release("a", "me")
    assert await other.claim("a", "you")


async def test_one_of_many_has_it(two: Sequence[RedisStore]) -> None:
    """However many want it at the same time, one is given it."""
    claims = (two[number % 2].claim("a", f"{number}") for number in range(100))
    assert 1 == sum(await asyncio.gather(*claims))


async def test_followers_are_told_of_the_pin(two: Sequence[RedisStore]) -> None:
    """Whoever follows gets what the leader pins when it is pinned, long before the lease ends."""
    one, other = two
    await one.claim("a", "me")
    follower = await follows(other)
    await one.pin("a", ONE, 60)
    assert b"one" == await follower
    assert {} == other._bells._by_key


async def test_followers_are_told_of_a_leader_that_gives_up(two: Sequence[RedisStore]) -> None:
    """A lease that is given back without a verdict frees those who follow at once."""
    one, other = two
    await one.claim("a", "me")
    follower = await follows(other)
    await one.release("a", "me")
    assert await follower is None
    assert await other.claim("a", "you")


async def test_a_pin_is_found_though_the_lease_has_gone(two: Sequence[RedisStore]) -> None:
    """Following a key that was led to its end gives its verdict."""
    one, other = two
    await one.pin("a", ONE, 60)
    assert b"one" == await followed(other)


async def test_a_dead_leader_is_noticed(redis_server: RedisServer, relay: Relay) -> None:
    """A leader whose process is cut off gives nothing back: its lease ends, and a follower leads."""
    async with open_store(redis_server.url, lease=BRIEF) as other:
        async with open_store(relay.url, lease=BRIEF) as dead:
            assert await dead.claim("a", "dead")
        assert await followed(other) is None
        await until_async(lambda: other.claim("a", "you"))


async def test_a_pin_whose_announcement_was_lost_is_found(redis_server: RedisServer, relay: Relay) -> None:
    """A follower that hears nothing looks, and finds the verdict while the lease still stands."""
    async with (
        open_store(redis_server.url, lease=LONG) as leader,
        open_store(relay.url, lease=1.0) as follower,  # looks five times a second
    ):
        await leader.claim("a", "me")
        following = await follows(follower)
        relay.silence_announcements()
        await leader.pin("a", ONE, 60)
        assert b"one" == await following
        assert not await follower.claim("a", "you")


async def test_nobody_follows_a_redis_that_is_gone(redis_server: RedisServer) -> None:
    """Redis dies: a leader leads on, a follower is freed and leads for itself, and nobody fails."""
    async with (
        open_store(redis_server.url, lease=LONG) as one,
        open_store(redis_server.url, lease=LONG) as other,
    ):
        async with lead(one, "a", every=0.01) as led:
            follower = await follows(other)
            redis_server.kill()
            assert await follower is None
            async with lead(other, "a") as as_well:
                assert (None, True) == (as_well.found, as_well.is_held)
                await alone(one)
                assert led.is_held
                assert ONE is await one.pin("a", ONE, 60)
        assert not led.is_held


async def test_leading_is_renewed(two: Sequence[RedisStore], raw: Redis) -> None:
    """While a key is led its lease is put off again and again; afterwards there is none."""
    async with lead(two[0], "a", every=0.01) as led:
        await raw.pexpire(LEASE, 300_000)
        await until_async(lambda: lasts(raw, 400_000))
        assert led.is_held
    assert not await raw.exists(LEASE)
    assert not led.is_held


async def lasts(raw: Redis, milliseconds: int) -> bool:
    return bool(await raw.pttl(LEASE) > milliseconds)


async def test_a_lost_lease_is_told(two: Sequence[RedisStore], raw: Redis) -> None:
    """A leader whose lease another process has by now learns of it, and leaves that one's alone."""
    async with lead(two[0], "a", every=0.01) as led:
        await raw.set(LEASE, "somebody", px=300_000)
        await led.lost.wait()
        assert not led.is_held
    assert b"somebody" == await raw.get(LEASE)


async def test_leading_after_another_is_having_its_verdict(two: Sequence[RedisStore]) -> None:
    """Of two that want to lead, one votes, and the other is given what it pinned."""
    one, other = two
    voted = asyncio.Event()

    async def vote(store: Store) -> tuple[bytes, bool]:
        async with lead(store, "a") as led:
            if led.found:
                return led.found.pin.body, False
            await voted.wait()
            return (await store.pin("a", ONE, 60)).body, True

    votes = [asyncio.create_task(vote(store)) for store in (one, other)]
    await until(lambda: bool(one._bells._by_key) or bool(other._bells._by_key))
    voted.set()
    assert [(b"one", False), (b"one", True)] == sorted(await asyncio.gather(*votes))


@pytest.mark.parametrize("failing", [1, 3])
async def test_somebody_leads_on(two: Sequence[RedisStore], failing: int) -> None:
    """However many leaders fail without a verdict, the next one leads, until there is one."""
    votes = 0

    async def vote(store: Store) -> bytes:
        nonlocal votes
        async with lead(store, "a") as led:
            if led.found:
                return led.found.pin.body
            votes += 1
            if votes <= failing:
                raise LookupError
            return (await store.pin("a", ONE, 60)).body

    results = await asyncio.gather(*(vote(two[n % 2]) for n in range(8)), return_exceptions=True)
    assert failing == sum(isinstance(result, LookupError) for result in results)
    assert [b"one"] * (8 - failing) == [result for result in results if isinstance(result, bytes)]
    assert failing + 1 == votes


async def test_what_was_pinned_before_the_claim_is_found(two: Sequence[RedisStore]) -> None:
    """A lease that is free because its leader has pinned and gone is not led anew."""
    await two[0].pin("a", ONE, 60)
    async with lead(two[1], "a") as led:
        assert led.found is not None
        assert ONE == led.found.pin


@pytest.mark.parametrize("stored", [b"no pin", b"", ["a", "list"]], ids=["damaged", "empty", "no string"])
async def test_what_is_no_pin_keeps_nobody_from_leading(
    two: Sequence[RedisStore], raw: Redis, stored: bytes | list[str]
) -> None:
    """What lies under a pin's name and cannot be read as one is removed, and whoever wants to lead does."""
    if isinstance(stored, bytes):
        await raw.set("scg:pin1:{a}", stored)
    else:
        await raw.rpush("scg:pin1:{a}", *stored)
    async with asyncio.timeout(60), lead(two[0], "a") as led:
        assert (None, b"", True) == (led.found, led.told, led.is_held)
        assert ONE is await led.pin(ONE, 60)
    assert b"one" == await followed(two[1])


class Barred(MemoryStore):
    """Gives no lease, and has nobody to follow."""

    claimed = 0

    async def claim(self, key: str, owner: str) -> bool:
        self.claimed += 1
        return False


async def test_wanting_to_lead_in_vain_is_no_work() -> None:
    """A store that gives no lease and nothing to follow is asked now and then, not without pause."""
    store = Barred(1 << 20)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5), lead(store, "a"):
            pytest.fail("there was no lease")
    assert 1 < store.claimed < 20


async def test_whoever_leaves_while_claiming_is_not_waited_for(
    redis_server: RedisServer, relay: Relay
) -> None:
    """A claim that is given up while its answer is under way leaves no note that somebody waits."""
    async with (
        open_store(redis_server.url, lease=LONG) as leader,
        open_store(relay.url, lease=LONG) as other,
    ):
        await leader.claim("a", "me")
        relay.hold(REPLIES)
        wanting = asyncio.create_task(stays(other))
        await until_async(lambda: noted(leader))
        wanting.cancel()
        await relay.let_go()
        await asyncio.wait([wanting])
        assert wanting.cancelled()
        assert not await noted(leader)


async def stays(store: Store) -> None:
    """Lead the key for good."""
    async with lead(store, "a"):
        await asyncio.Event().wait()


async def noted(store: RedisStore) -> bool:
    """Whether anybody is known to wait for the verdict."""
    return bool(await store._link.waiting("a"))


async def test_giving_back_is_not_cut_off(two: Sequence[RedisStore], raw: Redis) -> None:
    """Whoever is cancelled once more while it waits for its turn to give its lease back gives it back all the same."""
    store, leads = two[0], asyncio.Event()

    async def led_until_cancelled() -> None:
        async with lead(store, "a"):
            leads.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(led_until_cancelled())
    await leads.wait()
    for _ in range(store._link.at_once):
        await store._keeper._turns.acquire()
    for _ in range(2):
        task.cancel()
        for _ in range(20):
            await asyncio.sleep(0)
    for _ in range(store._link.at_once):
        store._keeper._turns.release()
    await asyncio.wait([task])
    assert task.cancelled()
    assert not await raw.exists(LEASE)


@pytest.mark.parametrize("steps", range(12))
async def test_leading_that_is_cancelled_gives_back(
    two: Sequence[RedisStore], raw: Redis, steps: int
) -> None:
    """Wherever it is cancelled, whoever wanted to lead leaves no lease behind."""
    task = asyncio.create_task(stays(two[0]))
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert not await raw.exists(LEASE)
    await listening(two[0])
