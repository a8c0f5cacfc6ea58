"""A real Redis with a replica and three sentinels: whoever is the master is found, and a failover heals."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from tests.doubles.redis_server import skip_without_redis
from tests.doubles.redis_servers import Watched, open_watched
from tests.doubles.waiting import until_async
from tests.store.pins import a_pin
from tests.store.stores import PATIENT, bodies, body, heard, listening, open_store

pytestmark = pytest.mark.processes

ONE, OTHER = a_pin(b"one"), a_pin(b"other")


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """One of the test's own."""
    skip_without_redis()
    with open_watched(tmp_path) as servers:
        yield servers


async def test_a_failover_fails_no_request_and_heals(watched: Watched) -> None:
    """The master is killed: calls go on alone, the replica takes over, and all is shared and announced again."""
    async with open_store(watched.url) as one, open_store(watched.url) as other:
        assert ONE is await one.pin("before", ONE, 60)
        assert [b"one", b"one"] == await bodies((one, other), "before")
        assert 1 == watched.master.ask("WAIT", 1, 5000)  # the replica has it
        await asyncio.to_thread(watched.master.kill)
        assert ONE is await one.pin("during", ONE, 60)
        assert b"one" == await body(one, "during")

        async def is_shared() -> bool:
            return [b"one", b"one"] == await bodies((one, other), "during")

        await until_async(is_shared)
        for store in (one, other):
            await listening(store)
        assert 1 == watched.replica.ask("EXISTS", "scg:pin1:{during}")
        assert [b"one", b"one"] == await bodies((one, other), "before")  # what had been replicated is kept
        await heard(other, one.replace("during", OTHER, 60))
        assert [b"other", b"other"] == await bodies((one, other), "during")


async def test_a_master_that_is_demoted_is_left_for_the_new_one(watched: Watched) -> None:
    """The master goes on as a replica, and takes no writes: the new one is found, and told what was refused."""
    async with (
        open_store(watched.url) as one,
        open_store(watched.url) as other,
    ):
        await one.pin("before", ONE, 60)
        assert 1 == watched.master.ask("WAIT", 1, 5000)  # the replica has it
        watched.master.ask("REPLICAOF", "127.0.0.1", watched.replica.port)
        assert ONE is await one.pin("during", ONE, 60)

        async def is_promoted() -> bool:
            if watched.replica.ask("ROLE")[0] == b"master":
                return True
            with suppress(RedisError):  # it is under way
                watched.sentinels[0].ask("SENTINEL", "FAILOVER", "mymaster")
            return False

        async def is_shared() -> bool:
            return [b"one", b"one"] == await bodies((one, other), "during")

        await until_async(is_promoted)
        await until_async(is_shared)
        for store in (one, other):
            await listening(store)
        assert 1 == watched.replica.ask("EXISTS", "scg:pin1:{during}")
        assert [b"one", b"one"] == await bodies((one, other), "before")


async def test_a_sentinel_that_is_silent_or_gone_holds_nobody_up(watched: Watched) -> None:
    """With the first sentinel frozen and the second killed, the third one is asked within the time-out."""
    watched.sentinels[0].freeze()
    await asyncio.to_thread(watched.sentinels[1].kill)
    async with open_store(watched.url, patience=PATIENT / 10) as store:
        assert ONE is await store.pin("a", ONE, 60)
    assert 1 == watched.master.ask("EXISTS", "scg:pin1:{a}")
