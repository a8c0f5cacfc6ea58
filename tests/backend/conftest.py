"""The real engine on real sockets: models are loaded once, servers start on port 0 in the test's own loop."""

import gc
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

# Before PyTorch is imported: no look-ups on the net, no threads that spin while another test needs the core.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_WAIT_POLICY"] = "passive"

import aiohttp
import pytest
from aiohttp import web
from aiohttp.web_app import _cached_build_middleware

from backend.torch.config import EngineConfig
from backend.torch.model import Model, load
from backend.torch.server import create_app

Serve = Callable[..., Awaitable[aiohttp.ClientSession]]


@pytest.fixture(scope="session")
def demo() -> Model:
    """The shipped model in bfloat16 on the CPU."""
    return load(EngineConfig(device="cpu"))


@pytest.fixture(scope="session")
def noisy() -> Model:
    """Random weights in bfloat16 on the CPU: the worst case."""
    return load(EngineConfig(model="random", device="cpu"))


@pytest.fixture(scope="session")
def exact() -> Model:
    """The shipped model in float32, where batching hardly ever changes a token."""
    return load(EngineConfig(device="cpu", dtype="float32"))


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start a server for a model; gives a client whose base URL is the server's."""
    runners: list[web.AppRunner] = []
    clients: list[aiohttp.ClientSession] = []

    async def start(model: Model, **options: Any) -> aiohttp.ClientSession:
        app = create_app(model, EngineConfig(**options), model.name)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        runners.append(runner)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        # Wide enough for a test's load; aiohttp's client would queue after 100 connections by itself.
        connector = aiohttp.TCPConnector(limit=0)
        clients.append(aiohttp.ClientSession(f"http://127.0.0.1:{port}", connector=connector))
        return clients[-1]

    yield start
    for client in clients:
        await client.close()
    for runner in runners:
        await runner.cleanup()
    runners.clear()
    # A pool of keys and values hangs from each application, which aiohttp remembers, and is a knot of references.
    _cached_build_middleware.cache_clear()
    gc.collect()
