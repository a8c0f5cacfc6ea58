"""A line to Redis on which a test decides what arrives: a real TCP relay that holds back what Redis says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from tests.doubles.waiting import until

REPLIES, ANNOUNCEMENTS = "replies", "announcements"
OWN_TASK = "relay"  # the name of its tasks, to tell them from those that a store left behind


@dataclass(eq=False)
class Line:
    """One connection through the relay."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    carries: str = REPLIES
    asked: bytes = b""
    answered: int = 0  # bytes
    is_dead: bool = False  # open, and nothing comes through any more


@dataclass(eq=False)
class Relay:
    """`asked` is everything that was said to Redis; `held` counts the answers that wait."""

    port: int
    url: str = ""
    asked: bytes = b""
    held: int = 0
    _holding: set[str] = field(default_factory=set)
    _is_cut: bool = False
    _lines: list[Line] = field(default_factory=list)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def hold(self, *kinds: str) -> None:
        """Let no answer of these kinds through, on new connections neither."""
        self._holding.update(kinds)

    def cut(self) -> None:
        """End every line; new ones end at once."""
        self._is_cut = True
        for line in self._lines:
            line.writer.transport.abort()

    async def let_go(self) -> None:
        """Let everything through, what was held first."""
        self._is_cut = False
        self._holding.clear()
        async with self._changed:
            self._changed.notify_all()

    async def was_asked(self, command: bytes, times: int) -> None:
        """Wait until this was asked so often."""
        await until(lambda: self.asked.count(command) >= times)

    def silence_announcements(self) -> None:
        """The subscriptions that stand fall silent, as behind a firewall that forgot them; new ones do not."""
        for line in self._lines:
            line.is_dead |= line.carries == ANNOUNCEMENTS

    def lines_asked(self, command: bytes) -> list[Line]:
        """The lines that stand and that this was asked on."""
        return [line for line in self._lines if command in line.asked]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.set_name(OWN_TASK)
        if self._is_cut:
            writer.transport.abort()
            return
        self._tasks.add(task)
        redis_reader, redis_writer = await asyncio.open_connection("127.0.0.1", self.port)
        line = Line(reader, writer)
        self._lines.append(line)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._ask(line, redis_writer), name=OWN_TASK)
                both.create_task(self._answer(redis_reader, line), name=OWN_TASK)
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            self._lines.remove(line)
            self._tasks.discard(task)
            for each in (writer, redis_writer):
                each.transport.abort()

    async def aclose(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _ask(self, line: Line, redis: asyncio.StreamWriter) -> None:
        while said := await line.reader.read(1 << 16):
            self.asked += said
            line.asked += said
            if b"SUBSCRIBE" in said:
                line.carries = ANNOUNCEMENTS
            redis.write(said)
            await redis.drain()
        raise ConnectionResetError

    async def _answer(self, redis: asyncio.StreamReader, line: Line) -> None:
        while said := await redis.read(1 << 16):
            self.held += 1
            async with self._changed:
                await self._changed.wait_for(lambda: line.carries not in self._holding and not line.is_dead)
            self.held -= 1
            line.answered += len(said)
            line.writer.write(said)
            await line.writer.drain()
        raise ConnectionResetError


@asynccontextmanager
async def open_relay(port: int) -> AsyncIterator[Relay]:
    """A relay to the Redis at this port."""
    relay = Relay(port)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    relay.url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    try:
        yield relay
    finally:
        server.close()
        with suppress(OSError):
            await relay.aclose()
        await server.wait_closed()


@asynccontextmanager
async def open_impostor(answer: bytes | None) -> AsyncIterator[str]:
    """A server that is no Redis: says this to whatever it is sent; None hangs up at once. Its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if task := asyncio.current_task():
            task.set_name(OWN_TASK)
        with suppress(OSError):
            while answer is not None and await reader.read(1 << 16):
                writer.write(answer)
                await writer.drain()
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    finally:
        server.close()
        await server.wait_closed()
