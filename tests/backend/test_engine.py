import asyncio
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from torch import nn

from backend.errors import EngineError
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


def engine_on(model: Model) -> Engine:
    return Engine(model, Metrics(CollectorRegistry(), "m"), max_batch_size=2)


async def answer(engine: Engine, max_tokens: int = 3) -> int:
    """How many tokens an answer gets."""
    params = SamplingParams(max_tokens=max_tokens, temperature=0.0, ignore_eos=True)
    updates = engine.generate([Request((1, 53, 2), params)])
    return sum([len(update.tokens) async for _, update in updates])


async def test_a_failed_step_fails_its_requests_only(demo: Model, caplog: pytest.LogCaptureFixture) -> None:
    """Out of memory fails the requests in the batch, with the reason; the next one is answered."""
    broken = replace(demo, network=Failing(demo.network, RuntimeError("out of memory")))

    async with engine_on(broken) as engine:
        with pytest.raises(EngineError, match="out of memory"):
            await answer(engine)

        assert 3 == await answer(engine)
        assert engine.is_alive
    assert "a step failed" in caplog.text


async def test_a_bug_stops_the_engine_aloud(demo: Model, caplog: pytest.LogCaptureFixture) -> None:
    """After an error that is not PyTorch's, requests are refused and the log says why: none hangs."""
    broken = replace(demo, network=Failing(demo.network, LookupError("a bug")))

    async with engine_on(broken) as engine:
        for _ in range(2):
            with pytest.raises(EngineError, match="has stopped"):
                await answer(engine)

        assert not engine.is_alive
    assert "a bug" in caplog.text


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
