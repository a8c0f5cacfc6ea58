"""Waiting for what has no event of its own."""

import asyncio
from collections.abc import Awaitable, Callable

_PATIENCE = 60.0  # far beyond what any machine needs


async def until(condition: Callable[[], bool]) -> None:
    """Return once the condition holds; fail after a minute."""
    async with asyncio.timeout(_PATIENCE):
        while not condition():  # noqa: ASYNC110  what is watched has no event
            await asyncio.sleep(0.005)


async def until_async(condition: Callable[[], Awaitable[bool]]) -> None:
    """The same for a condition that has to be asked for."""
    async with asyncio.timeout(_PATIENCE):
        while not await condition():  # noqa: ASYNC110  likewise
            await asyncio.sleep(0.02)
