"""Bodies that go straight from an upstream's connection to where they are wanted."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import closing

import pytest

from gateway.settings.model import Timeouts
from gateway.upstream.aiohttp_client import AiohttpClient
from gateway.upstream.client import Broken, Call, Client, TimedOut
from gateway.upstream.exchange import HttpExchange
from gateway.upstream.http_client import HttpClient
from tests.doubles.waiting import until
from tests.upstream.raw_server import Connection, breaking, dripping, hanging, keeping, open_raw, response

PATIENT = Timeouts(connect=30, first_byte=30, idle=30)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

Open = Callable[[Timeouts], Client]


class Pail:
    """A sink of so many bytes."""

    def __init__(self, room: int = 1 << 40) -> None:
        self.room = room
        self.taken: list[bytes] = []
        self.emptied = asyncio.Event()
        self.changed = asyncio.Event()
        self.waited = 0
        self.has_last = False  # it was said that the last piece came

    @property
    def is_full(self) -> bool:
        return self.size >= self.room

    @property
    def size(self) -> int:
        return sum(map(len, self.taken))

    def push(self, piece: bytes, *, is_last: bool = False) -> None:
        assert not self.has_last
        self.has_last = is_last
        self.taken.append(piece)
        self.changed.set()

    async def drained(self) -> None:
        if self.is_full:
            self.waited += 1
            await self.emptied.wait()

    async def until_taken(self, size: int) -> None:
        while self.size < size:
            self.changed.clear()
            await self.changed.wait()


@pytest.fixture(params=[HttpClient, AiohttpClient], ids=lambda factory: factory.__name__)
async def opened(request: pytest.FixtureRequest) -> AsyncIterator[Open]:
    """Makes clients of each implementation, and closes them."""
    clients: list[Client] = []

    def open_client(timeouts: Timeouts = PATIENT) -> Client:
        clients.append(request.param(timeouts, None))
        return clients[-1]

    yield open_client
    for client in clients:
        await client.aclose()


def call(url: str) -> Call:
    return Call("POST", url + "/v1/x", (), b"{}")


async def test_the_rest_of_a_body(opened: Open) -> None:
    """What was not read yet is poured, whole, and the connection is used again."""
    async with open_raw(keeping(response(b"hello" * 1000))) as raw:
        client = opened(PATIENT)
        for _ in range(2):
            exchange, pail = await client.send(call(raw.url)), Pail()
            first = await exchange.piece()
            await exchange.pour(pail)
            exchange.close()
            assert b"hello" * 1000 == first + b"".join(pail.taken)
        assert [2] == raw.requests


async def test_pieces_come_as_they_come(opened: Open) -> None:
    """Each chunk is in the sink before the next one is sent."""
    pail = Pail()

    async def play(connection: Connection) -> None:
        await connection.request()
        await connection.send(CHUNKED)
        for number in range(1, 6):
            await connection.send(b"2\r\nok\r\n")
            await pail.until_taken(2 * number)
        await connection.send(b"0\r\n\r\n")

    async with open_raw(play) as raw:
        exchange = await opened(PATIENT).send(call(raw.url))
        await exchange.pour(pail)
        exchange.close()
        assert [b"ok"] * 5 == pail.taken


async def test_a_full_sink_holds_the_server_back(opened: Open) -> None:
    """A few buffers beyond what the sink holds are taken, and the rest once there is room."""
    size = 64 << 20
    pail = Pail(room=1)
    async with open_raw(keeping(response(bytes(size)))) as raw:
        exchange = await opened(PATIENT).send(call(raw.url))
        pouring = asyncio.create_task(exchange.pour(pail))
        await until(lambda: pail.waited == 1)
        for _ in range(200):
            await asyncio.sleep(0)
        assert 0 < pail.size < 4 << 20
        pail.room = size + 1
        pail.emptied.set()
        await pouring
        exchange.close()
        assert (size, 1) == (pail.size, pail.waited)


async def test_a_body_that_breaks_off(opened: Open) -> None:
    """What came is in the sink, and the failure is told."""
    async with open_raw(breaking(CHUNKED + b"5\r\nhello\r\n")) as raw:
        exchange, pail = await opened(PATIENT).send(call(raw.url)), Pail()
        with pytest.raises(Broken):
            await exchange.pour(pail)
        exchange.close()
        assert b"hello" == b"".join(pail.taken)


async def test_a_body_that_stops(opened: Open) -> None:
    """When nothing comes for the idle time-out, it is TimedOut."""
    async with open_raw(hanging(CHUNKED + b"5\r\nhello\r\n")) as raw:
        exchange = await opened(Timeouts(connect=30, first_byte=30, idle=0.1)).send(call(raw.url))
        with pytest.raises(TimedOut):
            await exchange.pour(Pail())
        exchange.close()


async def test_a_body_that_takes_too_long(opened: Open) -> None:
    """When it goes on coming for longer than the total time-out, it is TimedOut, and the server sees us leave."""
    async with open_raw(dripping()) as raw:
        client = opened(Timeouts(connect=30, first_byte=30, idle=30, total=0.2))
        with pytest.raises(TimedOut), closing(await client.send(call(raw.url))) as exchange:
            await exchange.pour(Pail())
        for connection in raw.connections:
            await connection.left.wait()


async def test_a_sink_that_breaks(opened: Open) -> None:
    """Whoever pours is told, and closing the exchange closes the connection."""

    class Broken(Pail):
        async def drained(self) -> None:
            raise ConnectionResetError

    async with open_raw(hanging(CHUNKED + b"5\r\nhello\r\n")) as raw:
        exchange = await opened(PATIENT).send(call(raw.url))
        with pytest.raises(ConnectionResetError):
            await exchange.pour(Broken(room=1))
        exchange.close()
        await raw.connections[0].left.wait()


class Line:
    """A connection that does nothing by itself."""

    def hold(self) -> None: ...
    def read_on(self) -> None: ...
    def done(self, exchange: HttpExchange) -> None: ...


async def test_what_becomes_whole_while_its_sink_is_full() -> None:
    """The last piece may come while the sink drains: then there is nothing more to wait for."""
    exchange = HttpExchange(Line(), asyncio.get_running_loop(), 30, is_head_only=False)
    pail = Pail(room=1)
    pouring = asyncio.create_task(exchange.pour(pail))
    await asyncio.sleep(0)
    exchange.came(b"one", is_last=False)
    await until(lambda: pail.waited == 1)
    exchange.came(b"two", is_last=True)
    pail.room = 100
    pail.emptied.set()
    await until(pouring.done)
    assert ([b"one", b"two"], True) == (pail.taken, pail.has_last)
