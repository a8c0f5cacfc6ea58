"""A real Redis Cluster of three nodes: every key in one step on one node, announcements on all."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

from gateway.store.protocol import Found
from gateway.store.redis import RedisStore
from tests.doubles.redis_server import free_port, skip_without_redis
from tests.doubles.redis_servers import Cluster, open_cluster
from tests.doubles.waiting import until, until_async
from tests.store.pins import a_pin
from tests.store.stores import alone, at_once, bodies, body, heard, listening, open_store

pytestmark = pytest.mark.processes

ONE, OTHER = a_pin(b"one"), a_pin(b"other")
KEYS = tuple(f"{number}" for number in range(30))  # over all three nodes


@pytest.fixture
async def two(cluster: Cluster) -> AsyncIterator[Sequence[RedisStore]]:
    """Two processes' stores on one cluster."""
    async with open_store(cluster.url) as one, open_store(cluster.url) as other:
        yield one, other


def name_of(key: str) -> str:
    """Where a cluster keeps a pin."""
    return f"scg:pin1:{{{key}}}"


async def test_pins_are_spread_over_the_nodes(two: Sequence[RedisStore], cluster: Cluster) -> None:
    """Keys go to the nodes that have their slots, and every process finds all of them."""
    await asyncio.gather(*(two[0].pin(key, a_pin(key.encode()), 60) for key in KEYS))
    assert [key.encode() for key in KEYS] == [await body(two[1], key) for key in KEYS]
    held = [len(cluster.ask(at, "KEYS", "scg:pin1:*")) for at in range(3)]
    assert (30, True) == (sum(held), all(held))


async def test_look_ups_go_straight_to_the_node(two: Sequence[RedisStore], cluster: Cluster) -> None:
    """Each node is asked over a connection of its own, and for its own keys: none is sent on to another node."""
    await asyncio.gather(*(two[0].pin(key, ONE, 60) for key in KEYS))
    before = [errors(cluster, at) for at in range(3)]
    assert [b"one"] * len(KEYS) == await asyncio.gather(*(body(two[1], key) for key in KEYS))
    assert before == [errors(cluster, at) for at in range(3)]
    assert 3 == len(two[1]._link._lookups._pipes)  # type: ignore[attr-defined]


def errors(cluster: Cluster, at: int) -> int:
    """How often a node has sent somebody on to another one."""
    told = cluster.ask(at, "INFO", "errorstats").get("errorstat_MOVED", {"count": 0})
    return int(told["count"])


async def test_announcements_reach_all_whatever_node_they_began_at(two: Sequence[RedisStore]) -> None:
    """Pins on any node that are deleted or replaced leave the memory of a process that listens to one node."""
    for key in KEYS:
        await heard(two[1], two[0].pin(key, ONE, 60))
    assert [b"one"] * len(KEYS) == [await body(two[1], key) for key in KEYS]
    for key in KEYS[::2]:
        await two[0].replace(key, OTHER, 60)
    await two[0].delete(KEYS[1])
    wanted = [b"other" if at % 2 == 0 else None if at == 1 else b"one" for at in range(len(KEYS))]

    async def have() -> bool:
        return wanted == [await body(two[1], key) for key in KEYS]

    await until_async(have)


async def test_one_of_many_leads(two: Sequence[RedisStore]) -> None:
    """A lease is given once, and whoever follows gets the pin, over the nodes."""
    for key in KEYS[:6]:
        assert [True, False] == [await two[0].claim(key, "me"), await two[1].claim(key, "you")]
        following = asyncio.create_task(two[1].follow(key, "you"))
        await until(lambda: bool(two[1]._bells._by_key))
        await two[0].pin(key, ONE, 60)
        found = await following
        assert isinstance(found, Found)
        assert ONE == found.pin
        await two[0].release(key, "me")


async def test_a_node_that_takes_no_writes(two: Sequence[RedisStore], cluster: Cluster) -> None:
    """What it has is served, what it would not take is told later; pins on the others are shared all the while."""
    for key in KEYS:
        await two[1].pin(key, ONE, 60)
    full = cluster.holder(name_of("a"))
    key = next(f"new {at}" for at in range(100) if cluster.holder(name_of(f"new {at}")) != full)
    cluster.ask(full, "CONFIG", "SET", "maxmemory", 1)
    try:
        assert [ONE, ONE] == [await two[0].pin("a", ONE, 60), await two[0].pin(key, ONE, 60)]
        assert two[0].is_degraded
        assert [b"one"] * len(KEYS) == [await body(two[0], key) for key in KEYS]
        assert [[b"one", None], [b"one"] * 2] == [await bodies(two, key) for key in ("a", key)]
    finally:
        cluster.ask(full, "CONFIG", "SET", "maxmemory", 0)
    await listening(two[0])
    assert [b"one"] * 2 == await bodies(two, "a")


async def test_one_node_that_lets_writes_wait(cluster: Cluster) -> None:
    """One of three masters is paused: nobody waits for it more than once, and all is shared when it goes on."""
    async with open_store(cluster.url, patience=1) as one, open_store(cluster.url) as other:
        paused = cluster.holder(name_of("a"))
        began = subscribed(cluster)
        cluster.ask(paused, "CLIENT", "PAUSE", 600_000, "WRITE")
        try:
            assert ONE is await one.pin("a", ONE, 60)
            assert one.is_degraded
            for tries in range(5):
                await until(lambda: subscribed(cluster) > began + tries)  # noqa: B023  waited for within the loop
                assert ONE is at_once(one.pin(f"new {tries}", ONE, 60))
        finally:
            cluster.ask(paused, "CLIENT", "UNPAUSE")
        await listening(one)
        for key in ("a", *(f"new {tries}" for tries in range(5))):
            assert [b"one"] * 2 == await bodies((one, other), key)


def subscribed(cluster: Cluster) -> int:
    """How often anybody has."""
    return sum(node.calls("subscribe") for node in cluster.nodes)


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[Cluster]:
    """One that the test may change."""
    skip_without_redis()
    with open_cluster(tmp_path) as cluster:
        yield cluster


async def test_a_slot_that_moves_is_found(own_cluster: Cluster) -> None:
    """A slot that is handed to another node, with a pin in it, costs a detour and no answer."""
    async with open_store(own_cluster.url, memory=0) as store:
        await store.pin("a", ONE, 60)
        assert b"one" == await body(store, "a")
        target = (own_cluster.holder(name_of("a")) + 1) % 3
        await asyncio.to_thread(own_cluster.move, name_of("a"), target)
        assert b"one" == await body(store, "a")
        assert ONE == await store.pin("a", OTHER, 60)
        before = errors(own_cluster, own_cluster.holder(name_of("a")))
        assert b"one" == await body(store, "a")
        assert before == errors(own_cluster, own_cluster.holder(name_of("a")))  # it is asked there by now
        assert not store.is_degraded


async def test_a_cluster_that_is_not_there() -> None:
    """Where no node answers requests are served, and the store keeps trying."""
    async with open_store(f"redis+cluster://127.0.0.1:{free_port()}", is_up=False) as store:
        assert await body(store, "a") is None  # nor is anything known of it yet
        await alone(store)
        assert ONE is await store.pin("a", ONE, 60)
        assert not store._keeper._task.done()


async def test_a_node_that_dies_fails_no_request(own_cluster: Cluster) -> None:
    """One of three masters is killed and comes back: no call raises, and all is shared again afterwards."""
    async with open_store(own_cluster.url) as one, open_store(own_cluster.url) as other:
        dead = own_cluster.nodes[own_cluster.holder(name_of("a"))]
        await asyncio.to_thread(dead.kill)
        held = await one.pin("a", ONE, 60)
        assert ONE is held
        await alone(one)
        assert b"one" == await body(one, "a")
        await asyncio.to_thread(dead.start)

        async def is_shared() -> bool:
            return [b"one", b"one"] == await bodies((one, other))

        await until_async(is_shared)
        for store in (one, other):
            await listening(store)
