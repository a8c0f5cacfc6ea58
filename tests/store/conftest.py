"""The loops that tests run on, and lines to Redis."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import pytest
import uvloop
from redis.asyncio import Redis

from tests.doubles.redis_server import RedisServer, skip_without_redis
from tests.doubles.redis_servers import Cluster, open_cluster, open_encrypted
from tests.store.relay import Relay, open_relay

_LOOPS: Mapping[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.SelectorEventLoop,
    "uvloop": uvloop.new_event_loop,
}


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Function
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The gateway serves on uvloop. Modules that break connections run on both: there the loops differ."""
    if getattr(item.module, "ON_BOTH_LOOPS", False):
        return _LOOPS
    return {"uvloop": _LOOPS["uvloop"]}


@pytest.fixture
async def raw(redis_server: RedisServer) -> AsyncIterator["Redis"]:
    """Redis itself, as an operator sees it."""
    async with Redis.from_url(redis_server.url) as client:
        yield client


@pytest.fixture(scope="session")
def lasting_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes; they take seconds to find each other."""
    skip_without_redis()
    with open_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def cluster(lasting_cluster: Cluster) -> Cluster:
    """An empty cluster, as it stood at first: tests that change it have their own."""
    for at in range(3):
        lasting_cluster.ask(at, "FLUSHALL")
    return lasting_cluster


@pytest.fixture
def encrypted(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that talks TLS only."""
    skip_without_redis()
    with open_encrypted(tmp_path) as server:
        yield server


@pytest.fixture
async def relay(redis_server: RedisServer) -> AsyncIterator[Relay]:
    """Redis through a line that the test holds."""
    async with open_relay(redis_server.port) as opened:
        yield opened
