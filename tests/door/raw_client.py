"""A door in front of a scripted application, and a client on a bare socket."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from gateway.door.answer import Answer
from gateway.door.bounds import Bounds
from gateway.door.connection import Connection
from gateway.door.door import Door
from gateway.door.request import Reply, Request
from gateway.errors import GatewayError
from tests.doubles.waiting import until

BOUNDS = Bounds(max_body=1 << 20)

Handler = Callable[[Request], Answer | Coroutine[Any, Any, Reply]]


def echo(request: Request) -> Answer:
    """What came, as JSON, with the body's bytes as latin-1."""
    try:
        body = request.read()
    except GatewayError as error:
        return Answer(error.status, error.headers, error.message.encode())
    seen = {
        "method": request.method,
        "path": request.path,
        "target": request.target,
        "host": request.host,
        "body": body.decode("latin-1"),
    }
    return Answer(200, [("content-type", "application/json")], json.dumps(seen).encode())


async def later(request: Request) -> Reply:
    """The same, after a turn of the loop."""
    await asyncio.sleep(0)
    return echo(request)


@dataclass
class Scripted:
    """An application that notes what it is asked and answers as its handler does."""

    handler: Handler
    seen: list[Request] = field(default_factory=list)

    def __call__(self, request: Request) -> Answer | Coroutine[Any, Any, Reply]:
        self.seen.append(request)
        return self.handler(request)

    def refuse(self, error: GatewayError) -> Answer:
        return Answer(error.status, [("content-type", "text/plain")], error.message.encode())

    @property
    def bodies(self) -> list[bytes]:
        return [request.read() for request in self.seen]


@dataclass
class Got:
    """One answer."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """A field's value, all of them if there are several, "" if there is none."""
        return ",".join(value for key, value in self.headers if key == name)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """One connection to the door."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def send_by_byte(self, data: bytes) -> None:
        """One byte at a time, with time for the door to read each."""
        for byte in data:
            self.writer.write(bytes([byte]))
            await asyncio.sleep(0)

    async def head(self) -> Got:
        """The head of the next answer."""
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        pairs = [line.split(": ", 1) for line in lines[1:]]
        return Got(int(lines[0].split(" ")[1]), [(name, value) for name, value in pairs], b"")

    async def answer(self, method: str = "GET") -> Got:
        """The next answer, whole."""
        got = await self.head()
        if method == "HEAD" or got.status < 200 or got.status in {204, 304}:
            return got
        if got.header("transfer-encoding") == "chunked":
            while chunk := await self.chunk():
                got.body += chunk
        elif length := got.header("content-length"):
            got.body = await self.reader.readexactly(int(length))
        else:
            got.body = await self.reader.read()
        return got

    async def chunk(self) -> bytes:
        """The next chunk, b"" for the last one."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    async def answers(self) -> list[Got]:
        """All answers until the door closes the connection."""
        found = []
        while not await self.is_ended():
            found.append(await self.answer())
        return found

    async def is_ended(self) -> bool:
        """Whether the door has closed the connection, once either that or an answer is in."""
        while not self.reader._buffer and not self.reader.at_eof():  # type: ignore[attr-defined]
            await self.reader._wait_for_data("is_ended")  # type: ignore[attr-defined]
        return self.reader.at_eof()

    def close(self) -> None:
        self.writer.close()


@dataclass
class Opened:
    """A door, and what stands behind it."""

    door: Door
    address: str
    application: Scripted

    @property
    def connection(self) -> Connection:
        """The door's end of the one connection there is."""
        (found,) = self.door._site.connections
        return found

    async def met(self) -> Connection:
        """The same, once the door knows of it."""
        await until(lambda: bool(self.door._site.connections))
        return self.connection

    def pass_time(self, seconds: float) -> None:
        """Let so many seconds go by at once for all who are connected."""
        for connection in self.door._site.connections:
            connection.deadline -= seconds
        assert self.door._timer is not None
        self.door._timer.cancel()
        self.door._look_at_the_clock()

    @asynccontextmanager
    async def connect(self, *, receive_buffer: int | None = None) -> AsyncIterator[Client]:
        """A new connection; with a small receive buffer what the client does not read soon stays with the door."""
        host, _, port = self.address.rpartition(":")
        plug = socket.socket(socket.AF_INET6 if "[" in host else socket.AF_INET)
        if receive_buffer:
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        plug.settimeout(0)
        try:
            await asyncio.get_running_loop().sock_connect(plug, (host.strip("[]"), int(port)))
        except OSError:
            plug.close()
            raise
        client = Client(*await asyncio.open_connection(sock=plug, limit=1 << 16))
        try:
            yield client
        finally:
            client.close()

    async def talk(self, *requests: bytes) -> list[Got]:
        """All that the door answers to these bytes on one connection, until it closes it."""
        async with self.connect() as client:
            client.send(b"".join(requests))
            return await client.answers()


@asynccontextmanager
async def open_door(
    handler: Handler = echo, bounds: Bounds = BOUNDS, host: str = "127.0.0.1"
) -> AsyncIterator[Opened]:
    """A door on a free port."""
    application = Scripted(handler)
    door = Door(application, bounds)
    try:
        yield Opened(door, await door.open(host, 0), application)
    finally:
        await door.close()


def get(path: str = "/a", *fields: bytes, version: bytes = b"1.1") -> bytes:
    return form(b"GET", path.encode(), *fields, version=version)


def post(body: bytes = b"hello", *fields: bytes, version: bytes = b"1.1") -> bytes:
    return form(b"POST", b"/a", b"Content-Length: %d" % len(body), *fields, version=version) + body


def chunked(*chunks: bytes, trailers: bytes = b"", fields: tuple[bytes, ...] = ()) -> bytes:
    framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return (
        form(b"POST", b"/a", b"Transfer-Encoding: chunked", *fields) + framed + b"0\r\n" + trailers + b"\r\n"
    )


def form(method: bytes, target: bytes, *fields: bytes, version: bytes = b"1.1", host: bytes = b"h") -> bytes:
    lines = [b"%b %b HTTP/%b" % (method, target, version), b"Host: " + host, *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n"


CLOSE = b"Connection: close"
LAST = get("/last", CLOSE)
