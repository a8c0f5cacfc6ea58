"""What answered requests leave behind: nothing that has to be looked for."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.doubles.gateway import open_gateway
from tests.doubles.upstream import open_upstream


@contextmanager
def kept_garbage() -> Iterator[list[object]]:
    """Everything in a cycle that nobody holds any more, once this is over."""
    gc.collect()
    gc.disable()
    found: list[object] = []
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found += gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"consistency": {"k": 1}},
        {"consistency": {"k": 5, "stop": "all"}},
        {"stream": True},
        {"n": 2},
        {"n": 2, "stream": True},
    ],
    ids=["k3", "k1", "k5", "streamed", "through", "through, streamed"],
)
async def test_a_request_leaves_no_cycle(asked: dict[str, Any]) -> None:
    """The collector, which runs seldom, finds nothing of ours after requests of this kind and their hits."""
    async with open_upstream("42") as upstream, open_gateway(upstream) as client:
        for _ in range(2):
            await client.chat(**asked)
        with kept_garbage() as garbage:
            for seed in (1, 2, 3, 3):
                assert 200 == (await client.chat(seed=seed, **asked)).status
        ours = [each for each in garbage if type(each).__module__.startswith("gateway")]
        assert not ours
