"""A server on a bare socket that says exactly what its script tells it, and breaks where the script breaks."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Connection:
    """One client's connection, as its server sees it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    requests: list[bytes] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)  # the first request is in
    left: asyncio.Event = field(default_factory=asyncio.Event)  # the client has closed

    async def request(self) -> bytes:
        """The next request, head and body; b"" if the client left instead."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            body = await self.reader.readexactly(int(length[0].partition(b":")[2])) if length else b""
        except (asyncio.IncompleteReadError, ConnectionError):
            self.left.set()
            return b""
        self.requests.append(head + body)
        self.asked.set()
        return head + body

    async def send(self, *pieces: bytes) -> None:
        """Send pieces one after the other, letting the client read in between."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0)

    async def send_by_byte(self, data: bytes) -> None:
        """Send one byte at a time."""
        await self.send(*(bytes([byte]) for byte in data))

    async def drip(self, piece: bytes) -> None:
        """Send a piece again and again until the client leaves."""
        with suppress(ConnectionError):
            while not self.writer.is_closing():
                await self.send(piece)
                await asyncio.sleep(0.005)
        self.left.set()

    async def wait_for_leaving(self) -> None:
        """Until the client closes the connection."""
        with suppress(ConnectionError):
            while await self.reader.read(65536):
                pass
        self.left.set()

    def reset(self) -> None:
        """Close with a RST instead of a FIN."""
        with suppress(OSError):
            plug: socket.socket = self.writer.get_extra_info("socket")
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Play = Callable[[Connection], Awaitable[None]]


@dataclass
class RawServer:
    """The server, and every connection that was made to it."""

    url: str = ""
    connections: list[Connection] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def requests(self) -> list[int]:
        """How many requests came on each connection."""
        return [len(connection.requests) for connection in self.connections]

    async def connection(self, number: int) -> Connection:
        """The connection of this number, once it is there."""
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.connections) > number)
        return self.connections[number]


@asynccontextmanager
async def open_raw(*plays: Play, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    """Connection number i is served by play number i, the last one's play by all that follow, and then closed."""
    raw = RawServer()
    tasks: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        connection = Connection(reader, writer)
        play = plays[min(len(raw.connections), len(plays) - 1)]
        async with raw.changed:
            raw.connections.append(connection)
            raw.changed.notify_all()
        with suppress(ConnectionError, asyncio.CancelledError):
            await play(connection)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    raw.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield raw
    finally:
        server.close()
        for task in tasks:
            if task:
                task.cancel()
        await asyncio.gather(*(task for task in tasks if task), return_exceptions=True)


def response(body: bytes = b"ok", *fields: bytes, status: bytes = b"200 OK") -> bytes:
    """A response with a length."""
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def answering(*answers: bytes) -> Play:
    """Answer as many requests, and close right after the last answer."""

    async def play(connection: Connection) -> None:
        for answer in answers:
            if not await connection.request():
                return
            await connection.send(answer)

    return play


def keeping(*answers: bytes) -> Play:
    """Answer each request by the next answer, the last one again and again, until the client leaves."""

    async def play(connection: Connection) -> None:
        while await connection.request():
            await connection.send(answers[min(len(connection.requests), len(answers)) - 1])

    return play


def then_closing(*answers: bytes, reset: bool) -> Play:
    """Answer as many requests, take one more and close without a byte: what an idle time-out looks like."""

    async def play(connection: Connection) -> None:
        await answering(*answers)(connection)
        await connection.request()
        if reset:
            connection.reset()

    return play


def breaking(data: bytes, *, reset: bool = False) -> Play:
    """Take a request, send these bytes, and close."""

    async def play(connection: Connection) -> None:
        await connection.request()
        await connection.send(data)
        if reset:
            connection.reset()

    return play


def dripping() -> Play:
    """Take a request, and answer it with one byte after the other until the client leaves."""

    async def play(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
        await connection.drip(b"a")

    return play


def hanging(data: bytes = b"") -> Play:
    """Take a request, send these bytes, and then nothing until the client leaves."""

    async def play(connection: Connection) -> None:
        await connection.request()
        await connection.send(data)
        await connection.wait_for_leaving()

    return play
