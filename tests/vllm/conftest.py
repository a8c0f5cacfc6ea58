"""One real vLLM for the whole run, started as a lane, and gateways in front of it."""

import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.settings.model import Settings, UpstreamSettings
from tests.doubles.gateway import Client, open_gateway_for
from tests.doubles.processes import serving
from tests.doubles.redis_server import free_port

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-vllm" / "bin" / "python"
_START = 600.0  # seconds; 45 to 130 were seen on two cores

# A parser whose calls are JSON by grammar, and no white space: a tiny model would write nothing else.
FLAGS = (
    *("--enable-auto-tool-choice", "--tool-call-parser", "pythonic"),
    *("--structured-outputs-config", '{"backend": "xgrammar", "disable_any_whitespace": true}'),
)  # fmt: skip
ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "PYTHONPATH": str(ROOT),
}


def lane(port: int) -> list[str]:
    """`python -m backend vllm` with the demo model."""
    command = [sys.executable, "-m", "backend", "vllm", "--python", str(PYTHON), "--port", str(port)]
    return [*command, "--model", "backend/models/demo", "--served-model-name", "demo", "--", *FLAGS]


@pytest.fixture(scope="session")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a vLLM that serves the demo model; TEST_VLLM_URL names one that already runs."""
    if running := os.environ.get("TEST_VLLM_URL"):
        yield running
        return
    port, folder = free_port(), tmp_path_factory.mktemp("vllm")
    with serving(lane(port), port, "/health", folder, ENVIRONMENT, _START) as process:
        yield process.url
        assert 0 == process.stop()


@pytest.fixture
async def gateway(vllm: str) -> AsyncIterator[Client]:
    """A gateway that was told nothing but vLLM's address."""
    async with open_gateway_for(Settings(upstreams=(UpstreamSettings(url=vllm),))) as client:
        yield client
