"""What every test has: a loop in which blocking is an error, and real servers where it asks for them."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import HealthCheck, settings

from tests.doubles.redis_server import RedisServer, skip_without_redis

# The same examples each time, until Hypothesis or the test changes, however slow the machine is. Others each time:
# --hypothesis-profile=random.
for name, is_fixed in (("random", False), ("fixed", True)):
    settings.register_profile(
        name, deadline=None, derandomize=is_fixed, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile(name)


def pytest_sessionstart() -> None:
    """A run in the background of a shell ignores Ctrl-C, and so would all that the tests start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


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
