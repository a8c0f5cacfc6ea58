"""Requests of every form, whole and byte by byte, answered at once and later."""

import asyncio
from typing import Any

import pytest

from tests.door.raw_client import CLOSE, LAST, Handler, chunked, echo, form, get, later, open_door, post
from tests.doubles.ipv6 import needs_ipv6

PLAIN = {"method": "GET", "path": "/a", "target": "/a", "host": "h", "body": ""}
POSTED = PLAIN | {"method": "POST", "body": "hello"}

FORMS: dict[str, tuple[bytes, dict[str, Any]]] = {
    "without a body": (get(), PLAIN),
    "with a length": (post(), POSTED),
    "with an empty body": (post(b""), POSTED | {"body": ""}),
    "without a length": (form(b"POST", b"/a"), POSTED | {"body": ""}),
    "with an unusual body": (form(b"GET", b"/a", b"Content-Length: 5") + b"hello", PLAIN | {"body": "hello"}),
    "binary": (post(bytes(range(256))), POSTED | {"body": bytes(range(256)).decode("latin-1")}),
    "a request in the body": (post(get()), POSTED | {"body": get().decode()}),
    "chunked": (chunked(b"he", b"llo"), POSTED),
    "chunked and empty": (chunked(), POSTED | {"body": ""}),
    "trailers": (chunked(b"hello", trailers=b"X-Sum: 1\r\nHost: evil\r\n"), POSTED),
    "chunk extensions": (
        form(b"POST", b"/a", b"Transfer-Encoding: Chunked") + b'5;a=1;b="2"\r\nhello\r\n0;end\r\n\r\n', POSTED,
    ),
    "another method": (form(b"DELETE", b"/a"), PLAIN | {"method": "DELETE"}),
    "a query": (get("/a?b=%20c&d=/e?f"), PLAIN | {"target": "/a?b=%20c&d=/e?f"}),
    "an encoded path": (get("/a%20b/%C3%A9%2e"), PLAIN | {"path": "/a b/é.", "target": "/a%20b/%C3%A9%2e"}),
    "a path that is no UTF-8": (get("/%ff"), PLAIN | {"path": "/\ufffd", "target": "/%ff"}),
    "two slashes": (get("//evil/a"), PLAIN | {"path": "//evil/a", "target": "//evil/a"}),
    "absolute form": (
        form(b"GET", b"http://other:81/a?b", host=b"h"), PLAIN | {"host": "other:81", "target": "/a?b"},
    ),
    "absolute form without a path": (form(b"GET", b"HTTP://o"), PLAIN | {"host": "o", "path": "/", "target": "/"}),
    "the server itself": (form(b"OPTIONS", b"*"), PLAIN | {"method": "OPTIONS", "path": "*", "target": "*"}),
    "an empty line first": (b"\r\n\r\n" + get(), PLAIN),
    "no host in HTTP/1.0": (b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", PLAIN | {"host": ""}),
    "odd fields": (get("/a", b"X-Empty:", b"X-Space: \t a b \t", b"X-High: \xff\xc3\xa9"), PLAIN),
    "an offer to upgrade": (get("/a", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c"), PLAIN),
    "an offer to upgrade, with a body": (post(b"hello", b"Connection: upgrade", b"Upgrade: h2c"), POSTED),
    "an offer to upgrade, in chunks": (chunked(b"hello", fields=(b"Connection: upgrade", b"Upgrade: a")), POSTED),
}  # fmt: skip
of_every_form = pytest.mark.parametrize(("request_", "expected"), FORMS.values(), ids=FORMS)
at_once_or_later = pytest.mark.parametrize("handler", [echo, later])


@of_every_form
@at_once_or_later
async def test_every_form_whole(request_: bytes, expected: dict[str, Any], handler: Handler) -> None:
    """Each form is understood; so it is when it comes again, and the connection stays."""
    async with open_door(handler) as opened, opened.connect() as client:
        for _ in range(3):
            client.send(request_)
            got = await client.answer()
            assert (200, expected) == (got.status, got.json)


@of_every_form
@at_once_or_later
async def test_every_form_by_byte(request_: bytes, expected: dict[str, Any], handler: Handler) -> None:
    """Nothing hangs on how the bytes are cut."""
    async with open_door(handler) as opened, opened.connect() as client:
        for _ in range(2):
            await client.send_by_byte(request_)
            got = await client.answer()
            assert (200, expected) == (got.status, got.json)


@at_once_or_later
async def test_pipelined_requests_are_answered_in_order(handler: Handler) -> None:
    """All forms in one write: as many answers, in their order, one request at a time."""
    async with open_door(handler) as opened:
        requests = [request for request, _ in FORMS.values()]
        got = await opened.talk(*requests, *requests, LAST)
        assert [expected for _, expected in FORMS.values()] * 2 == [each.json for each in got[:-1]]
        assert "/last" == got[-1].json["path"]


async def test_a_thousand_pipelined_requests() -> None:
    """Many small requests in one read are all answered."""
    async with open_door() as opened:
        assert 1001 == len(await opened.talk(get() * 1000, LAST))


async def test_fields_keep_their_order_and_their_number() -> None:
    """Fields are found in any case, the first of several; all of them are there in order, in lower case."""
    fields = (b"X-B: 2", b"x-a: 1", b"X-b: 3", b"X-C: \xff")
    async with open_door() as opened, opened.connect() as client:
        client.send(get("/a", *fields))
        await client.answer()
        headers = opened.application.seen[0].headers
        expected = (("host", "h"), ("x-b", "2"), ("x-a", "1"), ("x-b", "3"), ("x-c", "\udcff"))
        assert expected == headers.pairs
        assert ("2", "2", ["2", "3"]) == (headers["X-B"], headers.get("x-b"), headers.getall("x-B"))
        assert (None, True, False, 4) == (headers.get("y"), "X-A" in headers, "y" in headers, len(headers))


async def test_who_asks() -> None:
    """The client's address is known."""
    async with open_door() as opened, opened.connect() as client:
        client.send(get())
        await client.answer()
        assert "127.0.0.1" == opened.application.seen[0].remote


@pytest.mark.parametrize("body", [post(b"x" * 100), chunked(b"x" * 100)])
async def test_a_client_that_waits_to_be_told_to_go_on(body: bytes) -> None:
    """`Expect: 100-continue` is answered once all before it is, and before the body comes."""
    head, _, rest = body.partition(b"\r\n\r\n")
    async with open_door(later) as opened, opened.connect() as client:
        client.send(get() + head + b"\r\nExpect: 100-Continue\r\n\r\n")
        assert [200, 100] == [(await client.answer()).status, (await client.head()).status]
        client.send(rest + LAST)
        assert ["x" * 100, ""] == [each.json["body"] for each in await client.answers()]


async def test_a_client_that_need_not_wait() -> None:
    """A body that is there already is not asked for, nor is one in HTTP/1.0, nor none at all."""
    async with open_door() as opened:
        expect = b"Expect: 100-continue"
        requests = [post(b"hello", expect), get("/a", expect), post(b"hello", expect, version=b"1.0")]
        assert [200] * 3 == [each.status for each in await opened.talk(*requests)]


async def test_the_connection_is_not_delayed() -> None:
    """Small writes go out at once: Nagle's algorithm is off."""
    import socket

    async with open_door() as opened, opened.connect() as client:
        client.send(get())
        await client.answer()
        connection = next(iter(opened.door._site.connections))
        plug = connection._transport.get_extra_info("socket")
        assert plug.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@needs_ipv6
async def test_ipv6() -> None:
    """The door opens on IPv6 hosts, and says its address as it stands in a URL."""
    async with open_door(host="::1") as opened:
        assert opened.address.startswith("[::1]:")
        assert [200] == [each.status for each in await opened.talk(get("/a", CLOSE))]


async def test_a_port_in_use() -> None:
    """Opening where somebody listens is an OSError, and the door can still be closed."""
    async with open_door() as opened:
        with pytest.raises(OSError, match="in use"):
            await open_at(int(opened.address.rpartition(":")[2]))


async def open_at(port: int) -> None:
    from gateway.door.door import Door
    from tests.door.raw_client import BOUNDS, Scripted

    door = Door(Scripted(echo), BOUNDS)
    try:
        await door.open("127.0.0.1", port)
    finally:
        await door.close()


async def test_many_connections_at_once() -> None:
    """A hundred clients at once get their own answers."""
    async with open_door(later) as opened:

        async def ask(number: int) -> str:
            async with opened.connect() as client:
                client.send(post(b"%d" % number, CLOSE))
                return str((await client.answer()).json["body"])

        assert [str(number) for number in range(100)] == await asyncio.gather(*map(ask, range(100)))
