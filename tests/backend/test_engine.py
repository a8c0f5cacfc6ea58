import asyncio
from dataclasses import replace
from typing import Any

import pytest
import torch
from prometheus_client import CollectorRegistry
from torch import nn

from backend.errors import EngineError
from backend.torch.build import new_scheduler
from backend.torch.config import EngineConfig
from backend.torch.engine import Engine
from backend.torch.generation import Request
from backend.torch.metrics import Metrics
from backend.torch.model import Model
from backend.torch.sampler import SamplingParams

pytestmark = pytest.mark.backend


class Failing(nn.Module):
    """The network, but for the errors that its forward passes raise first."""

    def __init__(self, network: nn.Module, *errors: Exception) -> None:
        super().__init__()
        self.network = network
        self.errors = list(errors)

    def forward(self, **inputs: Any) -> Any:
        if self.errors:
            raise self.errors.pop(0)
        return self.network(**inputs)


def engine_on(model: Model, max_waiting: int = 99) -> Engine:
    scheduler = new_scheduler(model, EngineConfig(max_batch_size=2))
    return Engine(model, scheduler, Metrics(CollectorRegistry(), "m"), 2 + max_waiting)


def breaking(model: Model, *errors: Exception) -> Engine:
    """An engine that works until the errors are put into its network."""
    network = Failing(model.network)
    engine = engine_on(replace(model, network=network))
    network.errors += errors
    return engine


async def answer(engine: Engine, max_tokens: int = 3) -> int:
    """How many tokens an answer gets."""
    params = SamplingParams(max_tokens=max_tokens, temperature=0.0, ignore_eos=True)
    async with engine.generate([Request((1, 53, 2), params)]) as updates:
        return sum([len(update.tokens) async for _, update in updates])


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), 503),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"), 503),
        (RuntimeError("shapes do not match"), 500),
    ],
)
async def test_a_failed_step_fails_its_requests_only(
    demo: Model, caplog: pytest.LogCaptureFixture, error: Exception, status: int
) -> None:
    """Out of memory is a 503 for the requests of that step, other errors are a 500; the next one is answered."""
    engine = breaking(demo, error)

    async with engine:
        with pytest.raises(EngineError, match=str(error)) as caught:
            await answer(engine)

        assert status == caught.value.status
        assert 3 == await answer(engine)
        assert engine.is_alive
    assert "a step failed" in caplog.text


async def test_an_error_that_says_nothing(demo: Model) -> None:
    """It fails its requests under the name of its class, and the engine goes on."""
    async with (engine := breaking(demo, RuntimeError())):
        with pytest.raises(EngineError, match="the engine failed: RuntimeError"):
            await answer(engine)

        assert 3 == await answer(engine)


@pytest.mark.parametrize("error", [LookupError("a bug"), torch.AcceleratorError("a bug in a kernel")])
async def test_what_cannot_be_mended_stops_the_engine_aloud(
    demo: Model, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """After a bug, or an error of the device itself, requests are refused and the log says why: none hangs."""
    engine = breaking(demo, error)

    async with engine:
        for _ in range(2):
            with pytest.raises(EngineError, match="has stopped"):
                await answer(engine)

        assert not engine.is_alive
    assert "a bug" in caplog.text


async def test_a_full_queue_refuses(demo: Model) -> None:
    """With two running and one waiting there is room for none: 429 at once, and the others are answered."""
    async with engine_on(demo, max_waiting=1) as engine:
        running = [asyncio.create_task(answer(engine, 20)) for _ in range(3)]
        await asyncio.sleep(0)

        with pytest.raises(EngineError, match="try again later") as caught:
            await answer(engine)

        assert (429, True) == (caught.value.status, caught.value.may_pass)
        assert [20] * 3 == await asyncio.gather(*running)
        assert 1 == await answer(engine, 1)


async def test_draining_finishes_what_is_under_way(demo: Model) -> None:
    """A drain lets running and queued answers end, and refuses new ones."""
    async with engine_on(demo) as engine:
        running = [asyncio.create_task(answer(engine, 5)) for _ in range(5)]
        await answer(engine, 1)
        drain = asyncio.create_task(engine.drain(60))

        assert [5] * 5 == await asyncio.gather(*running)
        await drain
        with pytest.raises(EngineError, match="has stopped"):
            await answer(engine)


async def test_stopping_ends_what_is_under_way(demo: Model) -> None:
    """Whoever waits when the engine stops gets an error, not silence."""
    async with engine_on(demo) as engine:
        waiting = [asyncio.create_task(answer(engine, 1000)) for _ in range(3)]
        await answer(engine, 1)

    for task in waiting:
        with pytest.raises(EngineError, match="has stopped"):
            await task
