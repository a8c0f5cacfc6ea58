"""Answers on the wire: whole and streamed, kept and closed connections."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.door.answer import Answer, field_lines
from gateway.door.request import Reply, Request
from tests.door.raw_client import CLOSE, LAST, Got, Handler, chunked, echo, form, get, later, open_door, post

HEAD = form(b"HEAD", b"/a")


def streaming(*pieces: bytes, length: int | None = None, status: int = 200, ends: bool = True) -> Handler:
    """Answers with these pieces, one by one."""

    async def handler(request: Request) -> Reply:
        if request.path == "/last":
            return echo(request)
        stream = request.begin(status, [("x-kind", "stream")], length=length)
        for piece in pieces:
            await stream.write(piece)
            await asyncio.sleep(0)
        if ends:
            stream.end()
        return stream

    return handler


def whole(status: int = 200, body: bytes = b"hello") -> Handler:
    return lambda request: (
        echo(request) if request.path == "/last" else Answer(status, [("x-kind", "whole")], body)
    )


KEPT: dict[str, tuple[bytes, str, bool]] = {
    "HTTP/1.1": (get(), "", True),
    "HTTP/1.1 to be closed": (get("/a", CLOSE), "close", False),
    "HTTP/1.0": (get(version=b"1.0"), "close", False),
    "HTTP/1.0 that offers to upgrade": (
        get("/a", b"Connection: keep-alive, upgrade", b"Upgrade: a", version=b"1.0"),
        "keep-alive",
        True,
    ),
    "HTTP/1.0 to be kept": (get("/a", b"Connection: keep-alive", version=b"1.0"), "keep-alive", True),
}
kept_and_closed = pytest.mark.parametrize(("request_", "connection", "stays"), KEPT.values(), ids=KEPT)


@kept_and_closed
@pytest.mark.parametrize("handler", [echo, later, streaming(b"a", b"bc", length=3)])
async def test_connections_are_kept_as_the_client_asks(
    request_: bytes,
    connection: str,
    handler: Handler,
    stays: bool,  # noqa: FBT001
) -> None:
    """HTTP/1.0 and 1.1, kept and closed: the connection is as agreed, and says so."""
    async with open_door(handler) as opened:
        got = await opened.talk(request_, LAST)
        assert 1 + stays == len(got)
        assert connection == got[0].header("connection")


@pytest.mark.parametrize(
    ("status", "line"),
    [(200, b"HTTP/1.1 200 OK"), (404, b"HTTP/1.1 404 Not Found"), (299, b"HTTP/1.1 299 ")],
)
async def test_the_bytes_of_an_answer(status: int, line: bytes) -> None:
    """Status line, fields, length and date, each once, then the body."""
    async with open_door(whole(status)) as opened, opened.connect() as client:
        client.send(get())
        head = (await client.reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        assert [line, b"x-kind: whole", b"content-length: 5"] == head[:3]
        assert (b"date: ", b" GMT", 6) == (head[3][:6], head[3][-4:], len(head))
        assert b"hello" == await client.reader.readexactly(5)


@pytest.mark.parametrize("pieces", [(), (b"hello",), (b"he", b"", b"llo"), (b"x" * 300_000, b"y")])
async def test_streams(pieces: Sequence[bytes]) -> None:
    """In chunks on HTTP/1.1, up to the end of the connection on HTTP/1.0, each piece as it was written."""
    async with open_door(streaming(*pieces)) as opened:
        got = await opened.talk(get(), LAST)
        assert ("chunked", "", b"".join(pieces), 2) == (
            got[0].header("transfer-encoding"), got[0].header("content-length"), got[0].body, len(got),
        )  # fmt: skip
        (old,) = await opened.talk(get("/a", b"Connection: keep-alive", version=b"1.0"), LAST)
        assert ("", "close", b"".join(pieces)) == (
            old.header("transfer-encoding"), old.header("connection"), old.body,
        )  # fmt: skip


async def test_a_piece_is_a_chunk_at_once() -> None:
    """What is written arrives before the next piece is there, head first."""
    gates = [asyncio.Event() for _ in range(3)]

    async def handler(request: Request) -> Reply:
        stream = request.begin(200, ())
        for gate in gates:
            await gate.wait()
            await stream.write(b"piece")
        stream.end()
        return stream

    async with open_door(handler) as opened, opened.connect() as client:
        client.send(get())
        assert 200 == (await client.head()).status
        for gate in gates:
            gate.set()
            assert b"piece" == await client.chunk()
        assert b"" == await client.chunk()


async def test_a_stream_of_known_length() -> None:
    """Its length is said, and no chunks are made."""
    async with open_door(streaming(b"he", b"llo", length=5)) as opened:
        got = await opened.talk(get(), LAST)
        assert ("5", "", b"hello", 2) == (
            got[0].header("content-length"), got[0].header("transfer-encoding"), got[0].body, len(got),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "status"), [(HEAD, 200), (get(), 204), (get(), 304)], ids=["HEAD", "204", "304"]
)
@pytest.mark.parametrize(
    ("make", "length"), [(whole, None), (streaming, None), (streaming, 5)], ids=["whole", "stream", "known"]
)
async def test_answers_without_a_body(request_: bytes, status: int, make: object, length: int | None) -> None:
    """HEAD, 204 and 304: a head, and the next answer right behind it."""
    handler = whole(status) if make is whole else streaming(b"hello", status=status, length=length)
    async with open_door(handler) as opened, opened.connect() as client:
        client.send(request_ + LAST)
        head = await client.answer("HEAD")
        expected = "5" if request_ is HEAD and (make is whole or length) else ""
        assert (status, expected) == (head.status, head.header("content-length"))
        assert "/last" == (await client.answer()).json["path"]


@pytest.mark.parametrize(
    "handler", [streaming(b"hel", length=5), streaming(b"hello!", length=5), streaming(b"hello", ends=False)]
)
async def test_a_stream_that_is_not_whole_does_not_look_whole(handler: Handler) -> None:
    """Fewer or more bytes than promised, or no end: the connection breaks."""
    async with open_door(handler) as opened, opened.connect() as client:
        client.send(get() + LAST)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.answers()


async def test_a_stream_that_breaks_off() -> None:
    """`abort` ends the connection at once: the client cannot take the answer for whole."""

    async def handler(request: Request) -> Reply:
        stream = request.begin(200, ())
        await stream.write(b"hello")
        stream.abort()
        return stream

    async with open_door(handler) as opened, opened.connect() as client:
        client.send(get())
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.answer()


async def test_an_answer_to_a_request_whose_stream_has_begun() -> None:
    """An application that gives up a stream for an error cannot send it: the connection breaks."""

    async def handler(request: Request) -> Reply:
        request.begin(200, ())
        return Answer(500)

    async with open_door(handler) as opened, opened.connect() as client:
        client.send(get())
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.answer()


async def test_a_bug_in_the_application_breaks_one_connection(caplog: pytest.LogCaptureFixture) -> None:
    """What an application should not raise ends its connection, is logged, and disturbs nobody else."""

    async def handler(request: Request) -> Reply:
        if request.path == "/bug":
            raise ZeroDivisionError
        return echo(request)

    async with open_door(handler) as opened:
        async with opened.connect() as client:
            client.send(get("/bug"))
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await client.answer()
        assert [200] == [each.status for each in await opened.talk(LAST)]
    assert "GET /bug" in caplog.text


@pytest.mark.parametrize("value", ["a\r\nset-cookie: b", "a\nb", "a\rb"])
def test_a_line_break_in_a_field_is_refused(value: str) -> None:
    """Neither a name nor a value can end its line."""
    for fields in ([("x", value)], [(value, "x")]):
        with pytest.raises(ValueError, match="line break"):
            field_lines(fields)
        with pytest.raises(ValueError, match="line break"):
            Answer(200, fields)


async def test_fields_that_are_no_latin_1() -> None:
    """What came as bytes goes out as the same bytes."""
    handler: Handler = lambda request: Answer(200, [("x-back", request.headers["x-there"])])  # noqa: E731
    async with open_door(handler) as opened:
        (got,) = await opened.talk(get("/a", b"X-There: \xff\xc3\xa9", CLOSE))
        assert b"\xff\xc3\xa9" == got.header("x-back").encode("latin-1")


async def test_answers_of_many_megabytes() -> None:
    """A body far over every buffer arrives to the last byte, whole or streamed."""
    body = bytes(range(256)) * 40_000
    for handler in (whole(body=body), streaming(*[body[:1_000_000]] * 8)):
        async with open_door(handler) as opened:
            got: list[Got] = await opened.talk(post(b"x" * 1_000_000), chunked(b"y"), LAST)
            assert got[0].body == got[1].body
            assert len(got[0].body) >= 8_000_000
