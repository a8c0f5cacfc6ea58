"""The loops that tests run on, and lines to Redis."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop
from redis.asyncio import Redis

from tests.doubles.redis_server import RedisServer
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


@pytest.fixture
async def relay(redis_server: RedisServer) -> AsyncIterator[Relay]:
    """Redis through a line that the test holds."""
    async with open_relay(redis_server.port) as opened:
        yield opened
