"""What is under a name, asked over a pipe that is opened when it is needed; and what else is asked with each request.

Of a value no more than its beginning is asked for, so that a pin of many megabytes holds up nobody's answer:
what is longer has to be fetched by other means.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from gateway.store.pipe import Pair, Pipe, PipeBroken, open_pipe
from gateway.store.servers import Entrance, Servers

MOST = 65_536  # bytes of a value that are asked for
_LOOKUP = (
    b"*4\r\n$8\r\nGETRANGE\r\n$%%d\r\n%%b\r\n$1\r\n0\r\n$5\r\n%d\r\n*2\r\n$4\r\nPTTL\r\n$%%d\r\n%%b\r\n"
    % (MOST - 1)
)


class Lookups(Protocol):
    """The pipes of one process."""

    def is_open(self, name: str) -> bool:
        """Whether `ask` can be called."""

    def ask(self, name: str) -> asyncio.Future[Pair]:
        """The value's first `MOST` bytes and its time to live in milliseconds, as Redis replies; or OSError."""

    def run(self, name: str, commands: bytes) -> asyncio.Future[Pair]:
        """The replies to two encoded commands on this name; or OSError."""

    async def open(self, name: str) -> None:
        """Connect, unless that is done; OSError or one of redis-py's errors if it fails."""

    def retire(self) -> None:
        """Use no pipe again; those who have asked are still answered."""

    def close(self) -> None:
        """Close every pipe."""


def open_lookups(servers: Servers, timeout: float) -> Lookups:
    """As many pipes as there are servers. Nothing is connected yet."""
    return _ManyPipes(servers, timeout) if servers.is_spread else _OnePipe(servers.entrance, timeout)


class _OnePipe:
    def __init__(self, find: Callable[[str], Awaitable[Entrance]], timeout: float) -> None:
        self._find = find
        self._timeout = timeout
        self._pipe: Pipe | None = None
        self._opening = asyncio.Lock()

    def is_open(self, name: str = "") -> bool:  # noqa: ARG002  one for all
        return self._pipe is not None and self._pipe.is_open

    def ask(self, name: str) -> asyncio.Future[Pair]:
        key = name.encode()
        return self.run(name, _LOOKUP % (len(key), key, len(key), key))

    def run(self, name: str, commands: bytes) -> asyncio.Future[Pair]:  # noqa: ARG002  likewise
        if self._pipe is None:
            raise PipeBroken("there is no connection")
        return self._pipe.ask(commands)

    async def open(self, name: str) -> None:
        async with self._opening:
            if not self.is_open():
                self._pipe = await open_pipe(await self._find(name), self._timeout)

    def retire(self) -> None:
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.retire()

    def close(self) -> None:
        if self._pipe is not None:
            self._pipe.close()


class _ManyPipes:
    """One to each node of a cluster. Nodes that left it are forgotten when all are closed."""

    def __init__(self, servers: Servers, timeout: float) -> None:
        self._servers = servers
        self._timeout = timeout
        self._pipes: dict[tuple[str, int], _OnePipe] = {}

    def is_open(self, name: str) -> bool:
        pipe = self._of(name)
        return pipe is not None and pipe.is_open()

    def ask(self, name: str) -> asyncio.Future[Pair]:
        return self._there(name).ask(name)

    def run(self, name: str, commands: bytes) -> asyncio.Future[Pair]:
        return self._there(name).run(name, commands)

    async def open(self, name: str) -> None:
        entrance = await self._servers.entrance(name)

        async def found(_: str) -> Entrance:
            return entrance

        pipe = self._pipes.setdefault((entrance.host, entrance.port), _OnePipe(found, self._timeout))
        await pipe.open(name)

    def retire(self) -> None:
        for pipe in self._pipes.values():
            pipe.retire()
        self._pipes.clear()

    def close(self) -> None:
        for pipe in self._pipes.values():
            pipe.close()
        self._pipes.clear()

    def _there(self, name: str) -> _OnePipe:
        pipe = self._of(name)
        if pipe is None:
            raise PipeBroken("there is no connection")
        return pipe

    def _of(self, name: str) -> _OnePipe | None:
        place = self._servers.owner(name)
        return None if place is None else self._pipes.get(place)
