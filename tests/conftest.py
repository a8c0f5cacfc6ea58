"""What every test has: a loop in which blocking is an error, and real servers where it asks for them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

from tests.doubles.redis_server import RedisServer, skip_without_redis


@pytest.fixture(autouse=True)
def _blocking_is_an_error() -> Iterator[BlockBuster]:
    """A call that blocks the event loop fails the test, if the gateway makes it."""
    with blockbuster_ctx("gateway") as guard:
        yield guard


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A real redis-server of the test's own."""
    skip_without_redis()
    server = RedisServer(tmp_path)
    server.start()
    try:
        yield server
    finally:
        server.stop()
