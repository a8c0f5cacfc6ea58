"""Who waits for whom: slow clients, clients that leave, clients that say nothing, and the end."""

import asyncio
import dataclasses
import socket
from contextlib import suppress
from functools import partial

import pytest

from gateway.door.answer import Answer
from gateway.door.connection import Connection
from gateway.door.request import Reply, Request
from tests.door.raw_client import (
    BOUNDS,
    LAST,
    Client,
    Handler,
    chunked,
    echo,
    form,
    get,
    open_door,
    post,
)
from tests.doubles.waiting import until

PIECE = b"x" * 65536


class Held:
    """Answers when the test says so, and notes what becomes of its requests."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.begun = 0
        self.cancelled = 0

    async def __call__(self, request: Request) -> Reply:
        self.begun += 1
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return echo(request)


class Flood:
    """Streams for ever, and counts what it could write."""

    def __init__(self) -> None:
        self.written = 0
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def __call__(self, request: Request) -> Reply:
        stream = request.begin(200, ())
        try:
            while True:
                await stream.write(PIECE)
                self.written += len(PIECE)
        except (asyncio.CancelledError, ConnectionError) as error:
            self.ended.set_result(type(error).__name__)
            raise


async def rest(flood: Flood) -> int:
    """What was written once nothing more can be."""
    written = -1
    while written != flood.written:
        written = flood.written
        for _ in range(100):
            await asyncio.sleep(0)
    return written


async def test_a_slow_reader_holds_the_writer_back() -> None:
    """A stream waits for its client: a few buffers are written, no more, and more once the client reads."""
    flood = Flood()
    async with open_door(flood) as opened, opened.connect(receive_buffer=4096) as client:
        client.send(get())
        written = await rest(flood)
        assert 0 < written < 8 << 20
        for _ in range(200):
            await client.reader.readexactly(65536)
        assert written < await rest(flood)


async def test_pipelining_behind_a_slow_reader() -> None:
    """While answers wait for their client no further request is answered, nor read without bound."""
    body = bytes(4 << 20)
    handler: Handler = lambda request: Answer(200, (), body)  # noqa: E731
    async with open_door(handler) as opened, opened.connect(receive_buffer=4096) as client:
        client.send(get())
        client.send(get() * 3 + LAST)
        await until(lambda: bool(opened.application.seen))
        for _ in range(100):
            await asyncio.sleep(0)
        assert 1 == len(opened.application.seen)
        assert [len(body)] * 5 == [len(each.body) for each in await client.answers()]


async def test_little_is_read_ahead() -> None:
    """While a request is being answered, those behind it stay mostly with the client."""
    held = Held()
    async with open_door(held) as opened, opened.connect() as client:
        client.send(get())
        await until(lambda: held.begun == 1)
        sending = asyncio.create_task(send_on(client))
        await until(lambda: len(opened.connection._waiting) > 0)
        for _ in range(1000):
            await asyncio.sleep(0)
        assert not sending.done()
        assert len(opened.connection._waiting) < 100
        held.gate.set()
        assert 200 == (await client.answer()).status
        sending.cancel()


async def send_on(client: Client) -> None:
    """More than the door and all buffers take."""
    for _ in range(2000):
        client.send(post(bytes(1 << 16)))
        await client.writer.drain()


@pytest.mark.parametrize("reset", [False, True])
async def test_a_client_that_leaves_cancels_its_request(reset: bool) -> None:  # noqa: FBT001
    """Whether by FIN or by RST: the handler is cancelled, and what waited behind it is never begun."""
    held = Held()
    async with open_door(held) as opened, opened.connect() as client:
        client.send(get())
        await until(lambda: held.begun == 1)
        await leave(client, reset=reset)
        await until(lambda: held.cancelled == 1)
        await until(lambda: not opened.door._site.connections)
        assert 1 == held.begun


async def leave(client: Client, *, reset: bool) -> None:
    if reset:
        plug: socket.socket = client.writer.get_extra_info("socket")
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.writer.transport.abort()
    client.close()


async def test_a_client_that_leaves_at_once() -> None:
    """A request whose client is gone before the handler's first step: the handler still gets to end."""
    ended = 0

    async def handler(request: Request) -> Reply:
        nonlocal ended
        try:
            await asyncio.sleep(3600)
        finally:
            ended += 1
        return echo(request)

    async with open_door(handler) as opened:
        for _ in range(50):
            async with opened.connect() as client:
                client.send(get())
                await leave(client, reset=True)
        async with opened.connect() as client:
            client.send(get())
            await until(lambda: len(opened.application.seen) > ended)
        await until(lambda: len(opened.application.seen) == ended)


@pytest.mark.parametrize("reset", [False, True])
async def test_a_client_that_leaves_a_stream(reset: bool) -> None:  # noqa: FBT001
    """A handler that writes, or waits to write, is told."""
    flood = Flood()
    async with open_door(flood) as opened, opened.connect(receive_buffer=4096) as client:
        client.send(get())
        await rest(flood)
        await leave(client, reset=reset)
        assert await flood.ended in {"CancelledError", "ConnectionResetError"}


LONG = 3600.0  # seconds that pass when the test says so, and never else
BOUND = dataclasses.replace(BOUNDS, head=LONG, body=LONG, idle=LONG, stall=LONG)
BODY = bytes(4 << 20)


def large(request: Request) -> Answer:
    """More than buffers take."""
    return Answer(200, (), BODY)


async def test_a_connection_on_which_nothing_comes_is_closed() -> None:
    """Neither from a new client nor after an answer; without a word."""
    async with open_door(bounds=BOUND) as opened:
        for requests in (0, 1):
            async with opened.connect() as client:
                await opened.met()
                for _ in range(requests):
                    client.send(get())
                    assert 200 == (await client.answer()).status
                opened.pass_time(LONG / 2)
                assert not opened.connection.is_closing
                opened.pass_time(LONG / 2)
                assert [] == await client.answers()
            await until(lambda: not opened.door._site.connections)


async def test_a_connection_that_has_caught_up_is_closed_as_well() -> None:
    """After an answer that its client read slowly, idle is idle."""
    async with open_door(large, BOUND) as opened, opened.connect(receive_buffer=4096) as client:
        client.send(get())
        connection = await opened.met()
        await until(lambda: connection.is_full)
        assert BODY == (await client.answer()).body
        await until(lambda: not connection.is_full)
        opened.pass_time(LONG)
        assert [] == await client.answers()


@pytest.mark.parametrize("before", [0, 1], ids=["at first", "after another"])
@pytest.mark.parametrize(
    "part",
    [get()[:-2], b"G", form(b"POST", b"/a", b"Content-Length: 5") + b"hell", chunked(b"a")[:-5]],
    ids=["head", "method", "body", "chunk"],
)
async def test_a_request_that_does_not_come_in_time(part: bytes, before: int) -> None:
    """A 408, also behind a request that was answered, and nothing is asked of the application."""
    async with open_door(bounds=BOUND) as opened, opened.connect() as client:
        client.send(get() * before + part)
        connection = await opened.met()
        await until(lambda: not connection._reading.is_between)
        opened.pass_time(LONG)
        assert [200] * before + [408] == [each.status for each in await client.answers()]
        assert before == len(opened.application.seen)


async def test_a_head_has_to_be_whole_in_time() -> None:
    """A client that sends a byte now and then is not waited for for ever."""
    async with open_door(bounds=BOUND) as opened, opened.connect() as client:
        client.send(b"GET ")
        connection = await opened.met()
        for sent in range(1, 4):
            client.send(b"/")
            await until(partial(has_read, connection, path=sent))
            assert not connection.is_closing
            opened.pass_time(LONG / 3)
        assert 408 == (await client.answer()).status


def has_read(connection: Connection, path: int = 2, body: int = 0) -> bool:
    """Whether so much of a request is in."""
    return (path, body) == (len(connection._reading._target), len(connection._reading._body))


async def test_a_body_may_take_long_if_it_comes() -> None:
    """Each piece gives the body more time."""
    async with open_door(bounds=BOUND) as opened, opened.connect() as client:
        client.send(form(b"POST", b"/a", b"Content-Length: 5"))
        connection = await opened.met()
        for sent in range(1, 5):
            client.send(b"x")
            await until(partial(has_read, connection, body=sent))
            opened.pass_time(LONG * 2 / 3)
        client.send(b"x")
        assert "x" * 5 == (await client.answer()).json["body"]


async def test_an_answer_may_take_long() -> None:
    """No bound of the door's is on the application."""
    held = Held()
    async with open_door(held, BOUND) as opened, opened.connect() as client:
        client.send(get())
        await until(lambda: held.begun == 1)
        opened.pass_time(10 * LONG)
        held.gate.set()
        assert 200 == (await client.answer()).status


async def test_a_client_that_reads_nothing_is_sent_away() -> None:
    """A stream whose client has read nothing for a while ends."""
    flood = Flood()
    async with open_door(flood, BOUND) as opened, opened.connect(receive_buffer=4096) as client:
        client.send(get())
        await rest(flood)
        while not flood.ended.done():
            opened.pass_time(LONG)
            await asyncio.sleep(0)
        assert await flood.ended in {"CancelledError", "ConnectionResetError"}


async def test_a_client_that_reads_a_little_is_not_sent_away() -> None:
    """Whatever is read of an answer gives its client more time for the rest."""
    body = bytes(32 << 20)
    handler: Handler = lambda request: Answer(200, (), body)  # noqa: E731
    async with open_door(handler, BOUND) as opened, opened.connect(receive_buffer=4096) as client:
        client.send(get())
        connection = await opened.met()
        await until(lambda: connection.is_full)
        await client.head()
        read = 0
        for _ in range(3):
            unsent = connection.unsent
            while connection.unsent == unsent:
                read += len(await client.reader.readexactly(4096))
                await asyncio.sleep(0)
            assert connection.is_full
            opened.pass_time(LONG)
            assert not connection.is_closing
        await client.reader.readexactly(len(body) - read)


async def test_draining_closes_what_is_idle() -> None:
    """Idle connections end at once; a request in flight is answered, and its connection ends with it."""
    held = Held()
    async with open_door(held) as opened, opened.connect() as idle, opened.connect() as busy:
        busy.send(get())
        await until(lambda: held.begun == 1 and len(opened.door._site.connections) == 2)
        assert 1 == opened.door.busy
        opened.door.drain()
        assert [] == await idle.answers()
        held.gate.set()
        (got,) = await busy.answers()
        assert (200, "close") == (got.status, got.header("connection"))
        await until(lambda: not opened.door.busy)


async def test_newcomers_are_heard_while_draining() -> None:
    """A probe that comes during the drain gets its answer, and the connection ends."""
    async with open_door() as opened:
        opened.door.drain()
        assert [(200, "close")] == [
            (each.status, each.header("connection")) for each in await opened.talk(get(), get())
        ]


async def test_what_is_not_read_yet_keeps_the_door_busy() -> None:
    """An answer that its client has not read to the end is waited for."""
    body = bytes(8 << 20)
    handler: Handler = lambda request: Answer(200, (), body)  # noqa: E731
    async with open_door(handler) as opened, opened.connect(receive_buffer=4096) as client:
        client.send(get())
        await until(lambda: bool(opened.application.seen))
        opened.door.drain()
        assert 1 == opened.door.busy
        assert len(body) == len((await client.answer()).body)
        await until(lambda: not opened.door.busy)


async def test_closing_ends_everything() -> None:
    """After `close` nobody listens, nobody is connected and no handler runs."""
    held = Held()
    async with open_door(held) as opened, opened.connect() as client:
        client.send(get())
        await until(lambda: held.begun == 1)
        await opened.door.close()
        assert (1, 0) == (held.cancelled, len(opened.door._site.connections))
        with pytest.raises(ConnectionError):
            await opened.talk(get())


async def test_a_handler_that_does_not_notice_is_not_waited_for() -> None:
    """The end comes after its patience, whatever a handler does."""
    release = asyncio.Event()

    async def stubborn(request: Request) -> Reply:
        with suppress(asyncio.CancelledError):
            await release.wait()
        await release.wait()
        return echo(request)

    async with open_door(stubborn) as opened, opened.connect() as client:
        client.send(get())
        await until(lambda: bool(opened.application.seen))
        await opened.door.close(patience=0.05)
        release.set()
