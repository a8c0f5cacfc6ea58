"""The whole product as a user runs it: backend, gateway, Redis and Prometheus as processes."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles import processes
from tests.doubles.processes import Running
from tests.doubles.redis_server import RedisServer


@pytest.fixture(scope="session")
def demo_backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The PyTorch backend with the trained model."""
    with processes.backend(tmp_path_factory.mktemp("demo")) as running:
        yield running


@pytest.fixture(scope="session")
def random_backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The PyTorch backend with random weights: the worst case for determinism."""
    with processes.backend(tmp_path_factory.mktemp("random"), "--model", "random") as running:
        yield running


@pytest.fixture
def gateway(demo_backend: Running, redis_server: RedisServer, tmp_path: Path) -> Iterator[Running]:
    """`scg serve` in front of the trained model, pinning in Redis."""
    with processes.gateway(tmp_path, demo_backend.url, CACHE__URL=redis_server.url) as running:
        yield running


@pytest.fixture
def prometheus(gateway: Running, tmp_path: Path) -> Iterator[Running]:
    """A Prometheus that scrapes the gateway."""
    if shutil.which("prometheus") is None:
        pytest.skip("no prometheus on this machine: `make test` installs one")
    with processes.prometheus(tmp_path, gateway.url) as running:
        yield running
