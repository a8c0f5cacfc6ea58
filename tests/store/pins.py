"""Pins for tests, and how tests wait for what other tasks and processes do."""

import asyncio
from collections.abc import Awaitable, Callable

from hypothesis import strategies as st

from gateway.core.pin import Pin

_DEADLINE = 20.0  # what a stuck test costs; nothing is expected to come near it
_POLL_EVERY = 0.01


def a_pin(body: bytes = b'{"id":"cmpl-0"}', *, samples: int = 3) -> Pin:
    """A pin with this body."""
    return Pin(
        body=body,
        streamed=False,
        outcome="majority",
        agreement=2 / 3,
        k=3,
        samples=samples,
        distinct=2,
        divergence=17,
        tokens=21,
        returned=7,
        policy="majority",
    )


_COUNT = st.integers(0, 1 << 40)

PINS = st.builds(
    Pin,
    body=st.binary(max_size=200),
    streamed=st.booleans(),
    outcome=st.text(max_size=20),
    agreement=st.floats(0, 1),
    k=_COUNT,
    samples=_COUNT,
    distinct=_COUNT,
    divergence=st.none() | _COUNT,
    tokens=_COUNT,
    returned=_COUNT,
    policy=st.text(max_size=20),
)


async def until(holds: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait until this holds."""
    async with asyncio.timeout(_DEADLINE):
        while True:
            held = holds()
            if held if isinstance(held, bool) else await held:
                return
            await asyncio.sleep(_POLL_EVERY)
