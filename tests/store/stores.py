"""RedisStores as processes have them: each its own, watched for what it leaves behind."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import pytest
from prometheus_client import CollectorRegistry

from gateway.settings.model import CacheSettings
from gateway.store import pipe
from gateway.store.lookups import _OnePipe
from gateway.store.memory import MemoryStore
from gateway.store.protocol import LEASE, Store
from gateway.store.redis import RedisStore
from gateway.telemetry.metrics import Metrics
from tests.doubles.redis_server import free_port
from tests.doubles.waiting import until
from tests.store.relay import OWN_TASK

T = TypeVar("T")

PATIENT = 30.0  # a time-out that no busy machine reaches, where none is meant to
SHORT = 0.2  # one that is meant to be reached


@asynccontextmanager
async def open_store(
    url: str,
    *,
    patience: float = PATIENT,
    memory: int = 1 << 24,
    is_up: bool = True,
    lease: float = LEASE,
    **more: Any,
) -> AsyncIterator[RedisStore]:
    """A store, listening if Redis is up; closing it must leave no task."""
    before = asyncio.all_tasks()
    settings = CacheSettings(url=url, timeout=patience, memory=memory, **more)
    store = RedisStore(settings, Metrics(CollectorRegistry()), lease=lease)
    try:
        if is_up:
            await listening(store)
        yield store
    finally:
        await store.aclose()
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert set() == {task for task in left if task.get_name() != OWN_TASK}


# The kinds of stores that keep one contract: `alone` is Redis's while Redis is away.
KINDS = [
    "memory",
    *(pytest.param(kind, marks=pytest.mark.processes) for kind in ("redis", "cluster", "alone")),
]


@asynccontextmanager
async def open_kind(request: pytest.FixtureRequest, memory: int) -> AsyncIterator[Store]:
    """The store of the kind that a fixture over KINDS is asked for, with so many bytes of memory."""
    if request.param == "memory":
        yield MemoryStore(memory)
    elif request.param in {"redis", "cluster"}:
        fixture = {"redis": "redis_server"}.get(request.param, request.param)
        async with open_store(request.getfixturevalue(fixture).url, memory=memory) as opened:
            yield opened
    else:
        url = f"redis://127.0.0.1:{free_port()}/0"
        async with open_store(url, memory=memory, is_up=False) as opened:
            await alone(opened)
            yield opened


async def listening(store: RedisStore) -> None:
    """Wait until the store hears announcements."""
    await until(lambda: store._keeper.is_listening)


@contextmanager
def hurried(*stores: RedisStore) -> Iterator[None]:
    """Calls that begin meanwhile wait only SHORT for a Redis that hangs; those before and after must not fail."""

    def wait(patience: float) -> None:
        for store in stores:
            lookups = store._link._lookups
            assert isinstance(lookups, _OnePipe)
            store._link._timeout = lookups._timeout = patience
            if (known := lookups._pipe) is not None:
                known._part = patience / pipe._PARTS
                if known._clock is not None and not known._asked:  # it ticks once more after a question
                    known._clock.cancel()
                    known._clock = None

    wait(SHORT)
    yield
    wait(PATIENT)


async def heard(store: RedisStore, change: Awaitable[object]) -> None:
    """Let another store change something, and wait until this one has heard of it."""
    known = store._keeper.changes
    await change
    await until(lambda: store._keeper.changes > known)


async def alone(store: RedisStore) -> None:
    """Wait until the store knows that Redis is away."""
    await until(lambda: store.is_degraded)


def cache_up(store: RedisStore) -> float | None:
    """The metric."""
    return store._keeper._metrics.registry.get_sample_value("scg_cache_up")


async def body(store: Store, key: str) -> bytes | None:
    """The body that is pinned under a key."""
    found = await store.get(key)
    return None if found is None else found.pin.body


async def bodies(stores: Sequence[RedisStore], key: str = "a") -> list[bytes | None]:
    """What each of these stores has under a key."""
    return [await body(store, key) for store in stores]


async def has(store: RedisStore, key: str, answer: bytes | None) -> bool:
    """Whether this is pinned."""
    return answer == await body(store, key)


def at_once(call: Coroutine[Any, Any, T]) -> T:
    """What a call gives without waiting for anything."""
    try:
        call.send(None)
    except StopIteration as end:
        given: T = end.value
        return given
    call.close()
    pytest.fail("the call waits")
