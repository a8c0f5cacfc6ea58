"""Stores as a process has them, on both kinds of loop: the gateway serves on uvloop, its commands on asyncio."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop
from redis.asyncio import Redis

from tests.doubles.redis_server import RedisServer
from tests.store.relay import Relay, open_relay


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests on a real Redis run on both: the loops differ in what they do with connections that break."""
    asyncio_loop = {"asyncio": asyncio.SelectorEventLoop}
    on_both = item.get_closest_marker("processes") is not None
    return {**asyncio_loop, "uvloop": uvloop.new_event_loop} if on_both else asyncio_loop


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
