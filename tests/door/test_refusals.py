"""What is no request, or too much of one: refused in words, and nothing that follows is taken for a request."""

import asyncio
import dataclasses
import gzip
import zlib

import pytest

from tests.door.raw_client import (
    BOUNDS,
    CLOSE,
    LAST,
    Client,
    Handler,
    chunked,
    echo,
    form,
    get,
    later,
    open_door,
    post,
)

TE = b"Transfer-Encoding: "
REFUSED: dict[str, bytes] = {
    "a length and chunks": form(b"POST", b"/a", b"Content-Length: 3", TE + b"chunked") + b"0\r\n\r\n",
    "chunks and a length": form(b"POST", b"/a", TE + b"chunked", b"Content-Length: 3") + b"0\r\n\r\n",
    "two lengths": form(b"POST", b"/a", b"Content-Length: 3", b"Content-Length: 4") + b"abcd",
    "one length twice": form(b"POST", b"/a", b"Content-Length: 3", b"Content-Length: 3") + b"abc",
    "a list of lengths": form(b"POST", b"/a", b"Content-Length: 3, 3") + b"abc",
    "a signed length": form(b"POST", b"/a", b"Content-Length: +3") + b"abc",
    "a negative length": form(b"POST", b"/a", b"Content-Length: -3") + b"abc",
    "a length that is none": form(b"POST", b"/a", b"Content-Length: x") + b"abc",
    "an empty length": form(b"POST", b"/a", b"Content-Length:") + b"abc",
    "an endless length": form(b"POST", b"/a", b"Content-Length: " + b"9" * 40) + b"abc",
    "gzip as a transfer": form(b"POST", b"/a", TE + b"gzip, chunked") + b"0\r\n\r\n",
    "chunks that are not last": form(b"POST", b"/a", TE + b"chunked, gzip") + b"0\r\n\r\n",
    "chunks twice": form(b"POST", b"/a", TE + b"chunked", TE + b"chunked") + b"0\r\n\r\n",
    "almost chunks": form(b"POST", b"/a", TE + b"xchunked") + b"0\r\n\r\n",
    "chunks in HTTP/1.0": form(b"POST", b"/a", TE + b"chunked", version=b"1.0") + b"0\r\n\r\n",
    "a folded field": form(b"GET", b"/a", b"X: a\r\n b"),
    "a NUL in a value": form(b"GET", b"/a", b"X: a\0b"),
    "a NUL in a name": form(b"GET", b"/a", b"X\0: a"),
    "a bare CR": form(b"GET", b"/a", b"X: a\rY: b"),
    "a bare LF": form(b"GET", b"/a", b"X: a\nY: b"),
    "lines that end in LF": b"GET /a HTTP/1.1\nHost: h\n\n",
    "a space before the colon": form(b"GET", b"/a", b"X : a"),
    "a field without a name": form(b"GET", b"/a", b": a"),
    "a field without a colon": form(b"GET", b"/a", b"X"),
    "no host": b"GET /a HTTP/1.1\r\n\r\n",
    "two hosts": form(b"GET", b"/a", b"Host: i"),
    "two hosts in HTTP/1.0": form(b"GET", b"/a", b"Host: i", version=b"1.0"),
    "a tunnel": form(b"CONNECT", b"h:1"),
    "a tunnel to a path": form(b"CONNECT", b"/a"),
    "a target without a slash": form(b"GET", b"a"),
    "another scheme": form(b"GET", b"ftp://h/a"),
    "a user in the target": form(b"GET", b"http://u@h/a"),
    "a fragment": form(b"GET", b"/a#b"),
    "a space in the target": form(b"GET", b"/a b"),
    "a raw byte in the target": form(b"GET", b"/\xc3\xa9"),
    "a control character in the target": form(b"GET", b"/a\x01"),
    "HTTP/0.9": b"GET /a\r\n\r\n",
    "HTTP/1.2": form(b"GET", b"/a", version=b"1.2"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "another protocol's version": b"GET /a HTCPCP/1.0\r\nHost: h\r\n\r\n",
    "an unknown method": form(b"BREW", b"/a"),
    "a method in lower case": form(b"get", b"/a"),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32),
    "nonsense": b"hello\r\n\r\n",
    "a chunk size that is none": form(b"POST", b"/a", TE + b"chunked") + b"0x1\r\na\r\n0\r\n\r\n",
    "a chunk that is longer than its size": form(b"POST", b"/a", TE + b"chunked") + b"1\r\nab\r\n0\r\n\r\n",
    "a chunk size that ends in LF": form(b"POST", b"/a", TE + b"chunked") + b"1\na\r\n0\r\n\r\n",
    "a space after a chunk size": form(b"POST", b"/a", TE + b"chunked") + b"1 \r\na\r\n0\r\n\r\n",
}  # fmt: skip
of_every_refused = pytest.mark.parametrize("request_", REFUSED.values(), ids=REFUSED)
EVIL = get("/evil")


@of_every_refused
@pytest.mark.parametrize("handler", [echo, later])
async def test_refused_whole(request_: bytes, handler: Handler) -> None:
    """What came before is answered, then the refusal, then the end; what follows reaches nobody."""
    async with open_door(handler) as opened:
        got = await opened.talk(get("/before"), request_, EVIL)
        assert [200, 400] == [each.status for each in got]
        assert ("close", True) == (got[1].header("connection"), bool(got[1].body))
        assert ["/before"] == [request.path for request in opened.application.seen]


@of_every_refused
async def test_refused_by_byte(request_: bytes) -> None:
    """The same if the bytes come one by one, and to others the door stays open."""
    async with open_door() as opened:
        async with opened.connect() as client:
            await client.send_by_byte(request_ + EVIL)
            assert [400] == [each.status for each in await client.answers()]
        assert [] == opened.application.seen
        assert [200] == [each.status for each in await opened.talk(LAST)]


async def test_after_the_last_request_nothing_is_read() -> None:
    """A request that follows `Connection: close`, or HTTP/1.0, reaches nobody."""
    async with open_door() as opened:
        for last in (LAST, get("/last", version=b"1.0")):
            assert [200] == [each.status for each in await opened.talk(last, EVIL)]
        assert ["/last", "/last"] == [request.path for request in opened.application.seen]


async def test_random_bytes_break_nothing() -> None:
    """Whatever comes, the answer is a 400 or nothing, and the door stays open."""
    async with open_door() as opened:
        for seed in range(100):
            noise = bytes((seed * 7919 + at * at * 31 + at) % 256 for at in range(64))
            assert {400} == {each.status for each in await opened.talk(noise, b"\r\n\r\n" * 3, LAST)}
        assert [200] == [each.status for each in await opened.talk(LAST)]


SMALL = dataclasses.replace(BOUNDS, max_body=1000, max_head=4000)


@pytest.mark.parametrize(
    "request_", [post(b"x" * 1001), chunked(b"x" * 600, b"x" * 401), post(b"x" * 100_000), chunked(*[b"x"] * 1001)]
)  # fmt: skip
@pytest.mark.parametrize("handler", [echo, later])
async def test_a_body_over_the_bound(request_: bytes, handler: Handler) -> None:
    """A 413 for whoever reads the body, then the end; the client that sends on gets to see it."""
    async with open_door(handler, SMALL) as opened:
        got = await opened.talk(get(), request_, EVIL)
        assert [(200, ""), (413, "close")] == [(each.status, each.header("connection")) for each in got]
        assert ["/a", "/a"] == [request.path for request in opened.application.seen]


async def test_a_body_at_the_bound() -> None:
    """Exactly as much as is allowed is taken."""
    async with open_door(bounds=SMALL) as opened:
        got = await opened.talk(post(b"x" * 1000), chunked(b"x" * 999, b"x"), LAST)
        assert [200] * 3 == [each.status for each in got]


async def test_a_body_that_is_too_long_is_not_waited_for() -> None:
    """A length over the bound is refused at once, also to a client that asks whether to go on."""
    async with open_door(bounds=SMALL) as opened, opened.connect() as client:
        client.send(form(b"POST", b"/a", b"Content-Length: 1001", b"Expect: 100-continue"))
        assert [413] == [each.status for each in await client.answers()]


async def test_a_refused_client_that_goes_on_sending_is_heard_out() -> None:
    """The answer arrives although megabytes follow it, and the door takes none of them for long."""
    bounds = dataclasses.replace(SMALL, linger=0.2)
    async with open_door(bounds=bounds) as opened, opened.connect() as client:
        client.send(form(b"POST", b"/a", b"Content-Length: 999999999") + b"x" * (8 << 20))
        assert 413 == (await client.answer()).status
        with pytest.raises(ConnectionError):
            await send_for_ever(client)


async def send_for_ever(client: Client) -> None:
    while True:
        client.send(b"x" * 65536)
        await client.writer.drain()
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    "request_",
    [
        get("/" + "a" * 5000),
        get("/a", b"X: " + b"a" * 5000),
        get("/a", *[b"X: a"] * 1000),
    ],
    ids=["target", "field", "fields"],
)
async def test_a_head_over_the_bound(request_: bytes) -> None:
    """A 431, then the end, whole or by byte."""
    async with open_door(bounds=SMALL) as opened:
        assert [431] == [each.status for each in await opened.talk(request_, EVIL)]
        async with opened.connect() as client:
            await client.send_by_byte(request_)
            assert [431] == [each.status for each in await client.answers()]
        assert [] == opened.application.seen


@pytest.mark.parametrize("head", [b"GET /a HTTP/1.1\r\nX: ", b"GET /", chunked(b"a")[:-2] + b"X: "])
async def test_a_head_that_does_not_end(head: bytes) -> None:
    """A field, a target or a trailer without an end is given up: what waits in memory is bounded."""
    async with open_door(bounds=SMALL) as opened, opened.connect() as client:
        client.send(head)
        for _ in range(200):
            client.send(b"a" * 100)
            await asyncio.sleep(0)
        assert [431] == [each.status for each in await client.answers()]


TEXT = b"hello " * 100
ENCODED: dict[str, tuple[bytes, bytes, int, bytes]] = {
    "gzip": (b"gzip", gzip.compress(TEXT), 200, TEXT),
    "gzip in capitals": (b" GZIP", gzip.compress(TEXT), 200, TEXT),
    "deflate": (b"deflate", zlib.compress(TEXT), 200, TEXT),
    "bare deflate": (b"deflate", zlib.compress(TEXT, wbits=-15), 200, TEXT),
    "identity": (b"identity", TEXT, 200, TEXT),
    "an empty gzip": (b"gzip", gzip.compress(b""), 200, b""),
    "up to the bound": (b"gzip", gzip.compress(b"x" * 1000), 200, b"x" * 1000),
    "a bomb": (b"gzip", gzip.compress(b"x" * 1001), 413, b""),
    "a large bomb": (b"deflate", zlib.compress(bytes(900_000)), 413, b""),
    "no gzip": (b"gzip", TEXT, 400, b""),
    "no deflate": (b"deflate", TEXT, 400, b""),
    "gzip cut short": (b"gzip", gzip.compress(TEXT)[:-1], 400, b""),
    "more than gzip": (b"gzip", gzip.compress(TEXT) + b"x", 400, b""),
    "nothing as gzip": (b"gzip", b"", 400, b""),
    "brotli": (b"br", TEXT, 415, b""),
    "gzip twice": (b"gzip, gzip", gzip.compress(gzip.compress(TEXT)), 415, b""),
}


@pytest.mark.parametrize(("coding", "body", "status", "expected"), ENCODED.values(), ids=ENCODED)
async def test_compressed_bodies(coding: bytes, body: bytes, status: int, expected: bytes) -> None:
    """gzip and deflate are undone within the bound, and the connection goes on whatever came of it."""
    async with open_door(bounds=SMALL) as opened:
        got = await opened.talk(post(body, b"Content-Encoding: " + coding), LAST)
        assert [status, 200] == [each.status for each in got]
        if status == 200:
            assert expected.decode() == got[0].json["body"]


async def test_close_is_said_in_any_case() -> None:
    """`Connection: close` among other words ends the connection too."""
    async with open_door() as opened:
        got = await opened.talk(get("/a", b"Connection: TE, Close"), get("/b", CLOSE))
        assert ["/a"] == [each.json["path"] for each in got]
