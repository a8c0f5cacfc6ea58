"""A sample asked of a second upstream while the first one keeps it waiting. Off unless `retries.hedge` is set.

Whichever is heard first goes on alone, and the other one's connection is closed: so a listener hears one stream,
and at most the time until a first byte is paid for twice.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple

from gateway.core.ballot import Abstention, Sample
from gateway.upstream.retries import Failed
from gateway.upstream.upstream import Upstream

Came = tuple[Sample | Abstention, Failed | None]
# Is told the bytes of a sample's event stream as they come, under the sample's index.
Listener = Callable[[int, bytes], None]
Take = Callable[[Upstream, Listener], Awaitable[Came]]


class Ended(NamedTuple):
    """What came, of whom, and what became of the second call: won | lost | failed; "" if there was none."""

    came: Came
    upstream: Upstream
    hedge: str = ""


class Race:
    """One sample, asked of one upstream or two. `listener` hears the stream of whichever is heard first."""

    def __init__(self, take: Take, listener: Listener | None) -> None:
        self._take = take
        self._listener = listener
        self._heard: asyncio.Future[Upstream] = asyncio.get_running_loop().create_future()
        self._running: dict[Upstream, asyncio.Future[Came]] = {}

    async def run(self, first: Upstream, after: float, second: Callable[[], Upstream | None]) -> Ended:
        """What comes of the first one, or of `second()`, who is asked as well `after` so many seconds of silence."""
        try:
            leading = self._ask(first)
            await self._news({leading}, after)
            other = None if leading.done() or self._heard.done() else second()
            if other is None:
                return Ended(await leading, first)
            following = self._ask(other)
            winner = await self._winner()
            (following if winner is first else leading).cancel()
            came = await self._running[winner]
            is_won = isinstance(came[0], Sample)
            return Ended(came, winner, ("won" if winner is other else "lost") if is_won else "failed")
        finally:
            await self._cancel()

    def _ask(self, upstream: Upstream) -> "asyncio.Future[Came]":
        def tell(index: int, piece: bytes) -> None:
            if not self._heard.done():
                self._heard.set_result(upstream)
            if self._listener is not None and self._heard.result() is upstream:
                self._listener(index, piece)

        asked = self._running[upstream] = asyncio.ensure_future(self._take(upstream, tell))
        return asked

    async def _winner(self) -> Upstream:
        """Who is heard first, or has a sample first; of two that fail the last one."""
        left = dict(self._running)
        while True:
            await self._news(left.values())
            if self._heard.done():
                return self._heard.result()
            for upstream, asked in list(left.items()):
                if asked.done():
                    if len(left) == 1 or isinstance(asked.result()[0], Sample):
                        return upstream
                    del left[upstream]

    async def _news(self, asked: Iterable["asyncio.Future[Came]"], patience: float | None = None) -> None:
        """Wait until one of them is done, or one is heard."""
        either: list[asyncio.Future[Any]] = [*asked, self._heard]
        await asyncio.wait(either, timeout=patience, return_when=asyncio.FIRST_COMPLETED)

    async def _cancel(self) -> None:
        """Let nobody go on who is not wanted."""
        self._heard.cancel()
        for asked in self._running.values():
            asked.cancel()
        await asyncio.wait(self._running.values())
