"""Where clients come in: listening, and one clock for all that has to happen in time."""

import asyncio
from asyncio import Server, TimerHandle
from contextlib import suppress
from email.utils import formatdate

from gateway.door.bounds import Bounds
from gateway.door.connection import Connection
from gateway.door.request import Application
from gateway.door.site import Site

_SLOWEST_TICK = 0.5
_BACKLOG = 1024


class Door:
    """Serves an application over HTTP/1.1. One ticking timer, so that none is set or cancelled for a request."""

    def __init__(self, application: Application, bounds: Bounds) -> None:
        self._loop = asyncio.get_running_loop()
        self._site = Site(application, bounds, self._loop)
        shortest = min(bounds.head, bounds.body, bounds.idle, bounds.stall, bounds.linger)
        self._tick = min(_SLOWEST_TICK, shortest / 4)
        self._server: Server | None = None
        self._timer: TimerHandle | None = None

    async def open(self, host: str, port: int, *, shared: bool = False) -> str:
        """Listen; the address as it stands in a URL. OSError if nobody can listen there.

        A `shared` port is listened on by several processes, among which the kernel deals out connections.
        """
        self._look_at_the_clock()
        self._server = await self._loop.create_server(
            lambda: Connection(self._site), host, port, backlog=_BACKLOG, reuse_port=shared or None
        )
        name, number = self._server.sockets[0].getsockname()[:2]
        return f"[{name}]:{number}" if ":" in name else f"{name}:{number}"

    @property
    def busy(self) -> int:
        """How many clients wait for an answer, or for the rest of one."""
        return sum(connection.is_busy for connection in self._site.connections)

    def bound(self, bounds: Bounds) -> None:
        """Let these bounds hold for connections that come from now on."""
        self._site.bounds = bounds

    def drain(self) -> None:
        """Close idle connections now, and each other one after its next answer. Newcomers are still heard."""
        self._site.is_draining = True
        for connection in list(self._site.connections):
            connection.drain()

    async def close(self, patience: float = 0.5) -> None:
        """Hang up on everybody, and give those who are making answers so many seconds to notice."""
        if self._timer is not None:
            self._timer.cancel()
        if self._server is not None:
            self._server.close()
        connections = list(self._site.connections)
        tasks = [connection.task for connection in connections if connection.task is not None]
        for connection in connections:
            connection.abort()
        await asyncio.sleep(0)  # transports tell their protocols in the loop's next turn
        if tasks:
            await asyncio.wait(tasks, timeout=patience)
        if self._server is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._server.wait_closed()

    def _look_at_the_clock(self) -> None:
        now = self._site.now = self._loop.time()
        self._site.date = formatdate(usegmt=True)
        for connection in [each for each in self._site.connections if each.deadline <= now]:
            connection.expire()
        self._timer = self._loop.call_later(self._tick, self._look_at_the_clock)
