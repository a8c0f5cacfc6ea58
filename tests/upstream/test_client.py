"""The seam to the network. Whatever implements `Client` goes through these tests.

The far side is a bare socket, so that it can be as wrong as servers get.
"""

import asyncio
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import pytest

from gateway.settings.model import Timeouts
from gateway.upstream.aiohttp_client import AiohttpClient
from gateway.upstream.client import (
    Broken,
    Call,
    Client,
    Headers,
    TimedOut,
    TooLong,
    Unreachable,
    UpstreamFailure,
    field,
    read_all,
)
from gateway.upstream.http_client import HttpClient
from tests.doubles.redis_server import free_port
from tests.doubles.waiting import until
from tests.upstream.raw_server import (
    Connection,
    Play,
    answering,
    breaking,
    dripping,
    hanging,
    keeping,
    open_raw,
    response,
    then_closing,
)

Open = Callable[[Timeouts, ssl.SSLContext | None], Client]
Opened = Callable[..., Client]

FACTORIES: list[Open] = [HttpClient, AiohttpClient]
PATIENT = Timeouts(connect=30, first_byte=30, idle=30)
LIMIT = 64 << 20


@pytest.fixture(params=FACTORIES, ids=lambda factory: factory.__name__)
async def opened(request: pytest.FixtureRequest) -> AsyncIterator[Opened]:
    """Makes clients of each implementation, and closes them."""
    clients: list[Client] = []

    def open_client(timeouts: Timeouts = PATIENT, tls: ssl.SSLContext | None = None) -> Client:
        clients.append(request.param(timeouts, tls))
        return clients[-1]

    yield open_client
    for client in clients:
        await client.aclose()


@pytest.fixture
async def client(opened: Opened) -> Client:
    """A client that waits for as long as a noisy machine needs."""
    return opened()


def call(url: str, method: str = "POST", headers: Headers = (), body: bytes = b"{}") -> Call:
    return Call(method, url + "/v1/x", headers, body if method == "POST" else b"")


async def ask(client: Client, url: str, method: str = "POST") -> tuple[int, bytes]:
    """Status and whole body."""
    exchange = await client.send(call(url, method))
    try:
        return exchange.status, await read_all(exchange, LIMIT)
    finally:
        exchange.close()


# Answers of every form.

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
ANSWERS: dict[str, tuple[bytes, int, bytes]] = {
    "with a length": (response(b"hello"), 200, b"hello"),
    "empty": (response(b""), 200, b""),
    "binary": (response(bytes(range(256))), 200, bytes(range(256))),
    "newlines": (response(b"\r\n\r\nHTTP/1.1 200 OK\r\n"), 200, b"\r\n\r\nHTTP/1.1 200 OK\r\n"),
    "without a reason": (b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
    "an odd reason": (response(status=b"200 Sure: why not"), 200, b"ok"),
    "white space around a value": (b"HTTP/1.1 200 OK\r\nContent-Length: \t2 \r\n\r\nok", 200, b"ok"),
    "an unknown status": (response(status=b"299 Hm"), 299, b"ok"),
    "an error": (response(b"no", status=b"500 Internal Server Error"), 500, b"no"),
    "a redirect": (response(b"", b"Location: http://127.0.0.1:1/", status=b"307 Elsewhere"), 307, b""),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, b""),
    "chunked": (CHUNKED + b"\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", 200, b"hello!"),
    "chunked and empty": (CHUNKED + b"\r\n0\r\n\r\n", 200, b""),
    "chunk extensions": (CHUNKED + b'\r\n5;a=1;b="2"\r\nhello\r\n0;end\r\n\r\n', 200, b"hello"),
    "hexadecimal sizes": (CHUNKED + b"\r\n0A\r\n0123456789\r\n001\r\n!\r\n0\r\n\r\n", 200, b"0123456789!"),
    "trailers": (CHUNKED + b"Trailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 5\r\nX-More: 6\r\n\r\n", 200, b"ok"),
    "continue first": (b"HTTP/1.1 100 Continue\r\n\r\n" + response(), 200, b"ok"),
    "early hints first": (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + response(), 200, b"ok"),
    "several heads first": (b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + response(), 200, b"ok"),
}  # fmt: skip
ENDED_BY_CLOSING: dict[str, tuple[bytes, int, bytes]] = {
    "until closed": (b"HTTP/1.1 200 OK\r\n\r\nhello", 200, b"hello"),
    "until closed, said so": (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello", 200, b"hello"),
    "until closed, empty": (b"HTTP/1.1 200 OK\r\n\r\n", 200, b""),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nhello", 200, b"hello"),
    "HTTP/1.0 with a length": (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello"),
}
of_every_form = pytest.mark.parametrize(
    ("answer", "status", "body"),
    [*ANSWERS.values(), *ENDED_BY_CLOSING.values()],
    ids=[*ANSWERS, *ENDED_BY_CLOSING],
)


@of_every_form
async def test_in_one_piece(client: Client, answer: bytes, status: int, body: bytes) -> None:
    """An answer that comes at once has this status and this body."""
    async with open_raw(answering(answer)) as raw:
        assert (status, body) == await ask(client, raw.url)


@of_every_form
async def test_byte_by_byte(client: Client, answer: bytes, status: int, body: bytes) -> None:
    """The same answer has the same status and body if it comes a byte at a time."""

    async def play(connection: Connection) -> None:
        await connection.request()
        await connection.send_by_byte(answer)

    async with open_raw(play) as raw:
        assert (status, body) == await ask(client, raw.url)


@pytest.mark.parametrize(("answer", "status", "body"), ANSWERS.values(), ids=ANSWERS)
async def test_after_another(client: Client, answer: bytes, status: int, body: bytes) -> None:
    """Any answer with an end leaves the connection fit for the next call."""
    async with open_raw(keeping(answer, answer, response(b"last"))) as raw:
        assert [(status, body), (status, body)] == [await ask(client, raw.url), await ask(client, raw.url)]
        assert (200, b"last") == await ask(client, raw.url)
        assert [3] == raw.requests


@pytest.mark.parametrize("first", ANSWERS)
async def test_heads_that_are_recognised_say_the_same(client: Client, first: str) -> None:
    """Whatever other answer comes in between, an answer that comes again has the status, fields and body it had."""
    answers = [ANSWERS[first], *ANSWERS.values()]
    seen: dict[bytes, tuple[int, list[tuple[str, str]], bytes]] = {}
    for answer, _, _ in answers:
        async with open_raw(keeping(ANSWERS[first][0], answer, ANSWERS[first][0], answer)) as raw:
            for sent in (ANSWERS[first][0], answer) * 2:
                exchange = await client.send(call(raw.url))
                got = exchange.status, [*exchange.headers], await read_all(exchange, LIMIT)
                exchange.close()
                assert got == seen.setdefault(sent, got)
            assert [4] == raw.requests
    assert [(status, body) for _, status, body in answers] == [
        (seen[answer][0], seen[answer][2]) for answer, _, _ in answers
    ]


async def test_a_head_after_which_another_was_announced(client: Client) -> None:
    """The head of an interim answer (1xx) is no answer's, though an answer came in the same bytes."""
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    async with open_raw(keeping(interim + response(b"one"))) as raw:
        assert [(200, b"one")] * 2 == [await ask(client, raw.url) for _ in range(2)]

    async def play(connection: Connection) -> None:
        await connection.request()
        await connection.send(interim)
        await connection.send(response(b"two"))

    async with open_raw(play) as raw:
        assert (200, b"two") == await ask(client, raw.url)


@pytest.mark.parametrize("cut", [0, 1, 3, 30])
async def test_a_known_head_whose_body_comes_late(cut: int) -> None:
    """Wherever the bytes of an answer are cut whose head is known, it is the same one, and its connection is kept."""
    answer, client = response(b"hello"), HttpClient(PATIENT)
    late = asyncio.Event()

    async def play(connection: Connection) -> None:
        for number in range(4):
            await connection.request()
            await connection.send(answer[: len(answer) - cut * (number == 2)])
            if number == 2 and cut:
                await late.wait()
                await connection.send(answer[-cut:])

    async with open_raw(play) as raw:
        assert [(200, b"hello")] * 2 == [await ask(client, raw.url) for _ in range(2)]
        asking = asyncio.create_task(ask(client, raw.url))
        connection = await raw.connection(0)
        await until(lambda: len(connection.requests) == 3)
        late.set()
        assert [(200, b"hello")] * 2 == [await asking, await ask(client, raw.url)]
        assert [4] == raw.requests
        await client.aclose()


async def test_a_known_head_with_more_than_its_body() -> None:
    """What comes after the body of an answer whose head is known is nobody's, and ends the connection's use."""
    answer, client = response(b"hello"), HttpClient(PATIENT)
    async with open_raw(keeping(answer, answer, answer + b"HTTP/1.1 200"), keeping(response(b"new"))) as raw:
        assert [(200, b"hello")] * 3 == [await ask(client, raw.url) for _ in range(3)]
        assert (200, b"new") == await ask(client, raw.url)
        assert [3, 1] == raw.requests
        await client.aclose()


async def test_a_known_head_with_a_body_that_breaks_off(client: Client) -> None:
    """That a head is known says nothing of its body: one that ends early is Broken as ever."""
    async with open_raw(keeping(response(b"hello"))) as raw:
        assert [(200, b"hello")] * 2 == [await ask(client, raw.url) for _ in range(2)]
    async with open_raw(breaking(response(b"hello")[:-2])) as raw:
        with pytest.raises(Broken):
            await ask(client, raw.url)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_head(client: Client, answer: bytes) -> None:
    """HEAD has no body, whatever its header says, and leaves the connection fit for the next call."""
    async with open_raw(keeping(answer)) as raw:
        status = int(answer[9:12])
        assert [(status, b"")] * 3 == [await ask(client, raw.url, "HEAD") for _ in range(3)]
        assert [3] == raw.requests


async def test_header(client: Client) -> None:
    """Fields come in order, names in lower case, values as they are, repeated ones repeated."""
    fields = (
        b"Content-Type: Text/Plain",
        b"X-A: 1",
        b"SET-COOKIE: a=B",
        b"set-cookie: c=d",
        b"X-Empty:",
        b"x-a: \xc3\xa9",
    )
    async with open_raw(answering(response(b"", *fields))) as raw:
        exchange = await client.send(call(raw.url))
        assert [
            ("content-length", "0"), ("content-type", "Text/Plain"), ("x-a", "1"), ("set-cookie", "a=B"),
            ("set-cookie", "c=d"), ("x-empty", ""), ("x-a", "é"),
        ] == [*exchange.headers]  # fmt: skip
        assert ("Text/Plain", "1", "") == tuple(
            field(exchange.headers, name) for name in ("content-type", "x-a", "nothing")
        )
        exchange.close()


async def test_large_bodies_come_in_pieces(client: Client) -> None:
    """A body larger than any buffer comes in pieces, none of them empty before the end, b"" ever after."""
    body = bytes(range(256)) * 40_000
    async with open_raw(answering(response(body))) as raw:
        exchange = await client.send(call(raw.url))
        got = []
        while piece := await exchange.piece():
            got.append(piece)
        assert (body, True) == (b"".join(got), len(got) > 1)
        assert [b"", b""] == [await exchange.piece(), await exchange.piece()]
        exchange.close()


async def test_pieces_come_as_they_are_sent(client: Client) -> None:
    """A piece is there before the next one is sent: nothing waits for a buffer to fill."""
    said = asyncio.Event()

    async def play(connection: Connection) -> None:
        await connection.request()
        await connection.send(CHUNKED + b"\r\n2\r\nab\r\n")
        await said.wait()
        await connection.send(b"2\r\ncd\r\n0\r\n\r\n")

    async with open_raw(play) as raw:
        exchange = await client.send(call(raw.url))
        first = await exchange.piece()
        said.set()
        assert (b"ab", b"cd", b"") == (first, await exchange.piece(), await exchange.piece())
        exchange.close()


async def test_compressed_bodies_stay_compressed(client: Client) -> None:
    """What an upstream compresses is passed on as it is."""
    packed = gzip.compress(b"hello")
    async with open_raw(answering(response(packed, b"Content-Encoding: gzip"))) as raw:
        assert (200, packed) == await ask(client, raw.url)


# Calls.


async def test_a_call_is_sent_as_it_is(client: Client) -> None:
    """Method, path, header and body go out as given: nothing encoded anew, and nothing added but host and length."""
    headers = [
        ("authorization", "Bearer x"),
        ("X-Two", "1"),
        ("X-Two", "2"),
        ("content-type", "application/json"),
    ]
    async with open_raw(keeping(response())) as raw:
        exchange = await client.send(
            Call("PATCH", raw.url + "/v1/a%2Fb%20c/?d=%C3%A9&e=+&d=%2b", headers, b'{"a": 1.50}')
        )
        exchange.close()
        head, _, body = raw.connections[0].requests[0].partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        assert (b"PATCH /v1/a%2Fb%20c/?d=%C3%A9&e=+&d=%2b HTTP/1.1", b'{"a": 1.50}') == (first, body)
        expected = [f"{name.lower()}: {value}" for name, value in headers]
        expected += [f"host: {raw.url.removeprefix('http://')}", "content-length: 11"]
        got = [
            name.lower() + sep + value
            for name, sep, value in (line.decode().partition(":") for line in lines)
        ]
        assert sorted(expected) == sorted(got)


async def test_large_calls_are_sent_whole(client: Client) -> None:
    """A body larger than any buffer arrives whole."""
    body = bytes(range(256)) * 40_000
    async with open_raw(keeping(response())) as raw:
        exchange = await client.send(call(raw.url, body=body))
        exchange.close()
        assert body == raw.connections[0].requests[0].partition(b"\r\n\r\n")[2]


async def test_cookies_are_not_kept(client: Client) -> None:
    """What one client's call sets is never sent with another's."""
    async with open_raw(keeping(response(b"", b"Set-Cookie: a=1; Path=/"))) as raw:
        for _ in range(2):
            await ask(client, raw.url)
        assert [False, False] == [b"cookie" in request.lower() for request in raw.connections[0].requests]


def names_in(request: bytes) -> set[bytes]:
    """The names of a request's fields, and whatever else stands at the beginning of a line."""
    head = request.partition(b"\r\n\r\n")[0].replace(b"\r", b"\n")
    return {line.partition(b":")[0].lower() for line in head.split(b"\n")[1:] if line}


USUAL = {b"host", b"content-length"}


@pytest.mark.parametrize("value", ["\udcff", "é", "\x01", "a\0b"])
async def test_odd_header_values_are_sent_or_refused(client: Client, value: str) -> None:
    """A value that no header should hold is sent in its own field, or the call is refused and nothing is sent."""
    async with open_raw(keeping(response())) as raw:
        try:
            (await client.send(call(raw.url, headers=[("x-odd", value)]))).close()
        except UpstreamFailure:
            seen = []
        else:
            seen = [USUAL | {b"x-odd"}]
        assert (200, b"ok") == await ask(client, raw.url)
        assert [*seen, USUAL] == [names_in(each) for one in raw.connections for each in one.requests]


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb: c", "a\rb: c"])
async def test_a_line_break_adds_no_field(client: Client, value: str) -> None:
    """A value with one is an UpstreamFailure, and nothing of the call is sent."""
    async with open_raw(keeping(response())) as raw:
        with pytest.raises(UpstreamFailure):
            await client.send(call(raw.url, headers=[("x-odd", value)]))
        assert (200, b"ok") == await ask(client, raw.url)
        assert [USUAL] == [names_in(each) for one in raw.connections for each in one.requests]


# Connections.


async def test_connections_are_kept(client: Client) -> None:
    """Calls one after the other share one connection."""
    async with open_raw(keeping(response())) as raw:
        assert [(200, b"ok")] * 5 == [await ask(client, raw.url) for _ in range(5)]
        assert [5] == raw.requests


async def test_calls_at_once_have_connections_of_their_own(client: Client) -> None:
    """No call waits for another's answer."""
    number = 20
    everyone = asyncio.Barrier(number)

    async def play(connection: Connection) -> None:
        await connection.request()
        await everyone.wait()
        await connection.send(response())

    async with open_raw(play) as raw:
        assert [(200, b"ok")] * number == await asyncio.gather(*(ask(client, raw.url) for _ in range(number)))
        assert [1] * number == raw.requests


async def test_connection_close_is_obeyed(client: Client) -> None:
    """A connection of which the server says that it closes is not used again."""
    async with open_raw(keeping(response(b"ok", b"Connection: close"))) as raw:
        assert [(200, b"ok")] * 3 == [await ask(client, raw.url) for _ in range(3)]
        assert [1, 1, 1] == raw.requests


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("answered", [1, 3])
async def test_a_stale_connection_is_replaced(client: Client, *, answered: int, reset: bool) -> None:
    """A kept connection that dies before a byte of an answer costs nothing: the call goes out on a new one."""
    async with open_raw(
        then_closing(*[response()] * answered, reset=reset), keeping(response(b"new"))
    ) as raw:
        assert [(200, b"ok")] * answered == [await ask(client, raw.url) for _ in range(answered)]
        assert (200, b"new") == await ask(client, raw.url)
        assert [answered + 1, 1] == raw.requests


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
async def test_a_pool_of_stale_connections_is_replaced(client: Client, *, reset: bool) -> None:
    """A server that closes all its idle connections at once, as one that restarts, fails no call."""
    number = 5
    everyone = asyncio.Barrier(number)

    async def stale(connection: Connection) -> None:
        await connection.request()
        await everyone.wait()
        await connection.send(response())
        await connection.request()
        if reset:
            connection.reset()

    async with open_raw(*[stale] * number, keeping(response(b"new"))) as raw:
        assert [(200, b"ok")] * number == await asyncio.gather(*(ask(client, raw.url) for _ in range(number)))
        assert [(200, b"new")] * number == await asyncio.gather(
            *(ask(client, raw.url) for _ in range(number))
        )
        assert [2] * number == raw.requests[:number]


@pytest.mark.parametrize("answers", [1, 2])
async def test_closing_right_after_an_answer_surfaces_never(client: Client, answers: int) -> None:
    """A server that closes right after the nth answer, as an idle time-out may, fails no call."""
    async with open_raw(answering(*[response()] * answers)) as raw:
        assert [(200, b"ok")] * 30 == [await ask(client, raw.url) for _ in range(30)]


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
async def test_a_server_that_never_answers_is_broken(client: Client, *, reset: bool) -> None:
    """A server that closes every connection before it answers is Broken, after one more try at the very most.

    A connection that was new is no idle one: what it carried may have been done, so the lean client asks once.
    """
    async with open_raw(then_closing(reset=reset)) as raw:
        with pytest.raises(Broken):
            await ask(client, raw.url)
        assert raw.requests in ([1], [1, 1])


async def test_closing_early_closes_the_connection(client: Client) -> None:
    """Closing an exchange before the end of its body is what the server sees: it stops generating."""
    async with open_raw(hanging(CHUNKED + b"\r\n2\r\nab\r\n"), keeping(response(b"new"))) as raw:
        exchange = await client.send(call(raw.url))
        assert b"ab" == await exchange.piece()
        exchange.close()
        await raw.connections[0].left.wait()
        assert (200, b"new") == await ask(client, raw.url)
        assert [1, 1] == raw.requests


async def test_closing_at_once_closes_the_connection(client: Client) -> None:
    """The same before any of the body is read, and closing twice does no harm."""
    async with open_raw(hanging(CHUNKED + b"\r\n")) as raw:
        exchange = await client.send(call(raw.url))
        exchange.close()
        exchange.close()
        await raw.connections[0].left.wait()


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_cancelling_a_send_closes_the_connection(client: Client, data: bytes) -> None:
    """A call that is cancelled while it waits for the head is one that the server sees leave."""
    async with open_raw(hanging(data)) as raw:
        sending = asyncio.create_task(client.send(call(raw.url)))
        connection = await raw.connection(0)
        await connection.asked.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await connection.left.wait()
        assert [1] == raw.requests


async def test_cancelling_a_read_and_closing_closes_the_connection(client: Client) -> None:
    """A call that is cancelled in mid-body and closed, as a lost vote is, is one that the server sees leave."""
    async with open_raw(hanging(CHUNKED + b"\r\n2\r\nab\r\n")) as raw:
        reading = asyncio.create_task(ask(client, raw.url))
        connection = await raw.connection(0)
        await connection.asked.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await connection.left.wait()


async def test_an_answer_that_a_closing_client_cuts_off_is_not_whole() -> None:
    """What would end with its connection has not ended because the client has closed it."""
    client = HttpClient(PATIENT)
    async with open_raw(hanging(b"HTTP/1.1 200 OK\r\n\r\nhalf")) as raw:
        exchange = await client.send(call(raw.url))
        assert b"half" == await exchange.piece()
        await client.aclose()
        with pytest.raises(Broken):
            await exchange.piece()


async def test_closing_the_client_closes_its_connections(opened: Opened) -> None:
    """When the client closes, so do the connections that it kept."""
    client = opened()
    async with open_raw(keeping(response())) as raw:
        await ask(client, raw.url)
        await client.aclose()
        await raw.connections[0].left.wait()


async def test_one_address_of_a_name_swallows_packets(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name leads to whoever of its addresses is there, though the first one never says no."""
    async with open_raw(keeping(response())) as raw:
        port = int(raw.url.rpartition(":")[2])

        async def resolve(_host: str, _port: int, **_: object) -> list[object]:
            kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
            return [(*kind, (address, port)) for address in ("127.0.0.2", "127.0.0.1")]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
        with swallowing("127.0.0.2", port):
            client = HttpClient(Timeouts(connect=2, first_byte=30, idle=30))
            for _ in range(2):
                assert (200, b"ok") == await ask(client, f"http://model.test:{port}")
            await client.aclose()
        assert [2] == raw.requests


@contextmanager
def swallowing(address: str, port: int) -> Iterator[None]:
    """An address with a queue that is full: no connection is made, none is refused."""
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind((address, port))
        full.listen(0)
        for filler in (first, second):
            filler.settimeout(0)
            filler.connect_ex((address, port))
        yield


# Failures.

GARBAGE: dict[str, bytes] = {
    "words": b"garbage\r\n\r\n",
    "binary": b"\x00\xff\xfe\r\n\r\n",
    "another protocol": b"-ERR unknown command\r\n",
    "a TLS alert": b"\x15\x03\x01\x00\x02\x02\x46",
    "SSH": b"SSH-2.0-OpenSSH_9.6\r\n",
    "a status that is no number": b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "a field without a colon": b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
    "a space in a name": b"HTTP/1.1 200 OK\r\nContent Length: 2\r\n\r\nok",
    "a length that is no number": b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "an endless field": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000,
    "a size that is no number": CHUNKED + b"\r\nzz\r\nok\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
async def test_garbage_is_broken(client: Client, garbage: bytes) -> None:
    """What is not HTTP is Broken, while the server keeps the connection open and hopes for better."""
    async with open_raw(hanging(garbage)) as raw:
        with pytest.raises(Broken):
            await ask(client, raw.url)


@pytest.mark.parametrize(
    "data", [b"H", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nA: b\r\n"]
)
async def test_half_a_head_is_broken(client: Client, data: bytes) -> None:
    """A connection that closes in mid-head is Broken, and no reason for another try."""
    async with open_raw(breaking(data)) as raw:
        with pytest.raises(Broken):
            await ask(client, raw.url)
        assert [1] == raw.requests


HALVES: dict[str, bytes] = {
    "nothing of a length": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
    "half of a length": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
    "no chunk": CHUNKED + b"\r\n",
    "half a size": CHUNKED + b"\r\n1",
    "half a chunk": CHUNKED + b"\r\n5\r\nhe",
    "no last chunk": CHUNKED + b"\r\n5\r\nhello\r\n",
    "half a last chunk": CHUNKED + b"\r\n5\r\nhello\r\n0\r\n",
}


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("half", HALVES.values(), ids=HALVES)
async def test_half_a_body_is_broken(client: Client, half: bytes, *, reset: bool) -> None:
    """A connection that ends in mid-body is Broken, never a shorter body, and no reason for another try."""
    may_end = asyncio.Event()

    async def play(connection: Connection) -> None:
        await connection.request()
        await connection.send(half)
        await may_end.wait()
        if reset:
            connection.reset()

    async with open_raw(play) as raw:
        exchange = await client.send(call(raw.url))
        may_end.set()
        with pytest.raises(Broken):
            await read_all(exchange, LIMIT)
        exchange.close()
        assert [1] == raw.requests


@pytest.mark.parametrize("name", [*(name for name in GARBAGE if "size" not in name), *HALVES])
async def test_what_is_wrong_is_so_byte_by_byte(client: Client, name: str) -> None:
    """One byte a write, garbage and halves are as Broken as when they come at once; of a bad size see below."""
    is_half = name in HALVES

    async def play(connection: Connection) -> None:
        await connection.request()
        wrong = HALVES[name] if is_half else GARBAGE[name]
        await connection.send_by_byte(wrong[:200])
        await connection.send(wrong[200:])  # an endless field is endless sooner so
        if not is_half:
            await connection.wait_for_leaving()

    async with open_raw(play) as raw:
        with pytest.raises(Broken):
            await ask(client, raw.url)
        assert [1] == raw.requests


async def test_garbage_between_chunks_is_a_failure(opened: Opened) -> None:
    """Garbage between chunks ends the body in an UpstreamFailure, at the latest by the idle time-out: aiohttp 3.14
    closes the connection and leaves the reader of the body to wait.
    """
    client = opened(Timeouts(connect=30, first_byte=30, idle=0.05))
    may_go_on = asyncio.Event()

    async def play(connection: Connection) -> None:
        await connection.request()
        await connection.send(CHUNKED + b"\r\n2\r\nok\r\n")
        await may_go_on.wait()
        await connection.send(b"zz\r\n")
        await connection.wait_for_leaving()

    async with open_raw(play) as raw:
        exchange = await client.send(call(raw.url))
        may_go_on.set()
        with pytest.raises(UpstreamFailure):
            await read_all(exchange, LIMIT)
        exchange.close()
        await raw.connections[0].left.wait()


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_no_head_in_time(opened: Opened, data: bytes) -> None:
    """A server that takes the call and does not answer is TimedOut, and sees the client leave."""
    client = opened(Timeouts(connect=30, first_byte=0.05, idle=30))
    async with open_raw(hanging(data)) as raw:
        with pytest.raises(TimedOut):
            await ask(client, raw.url)
        await (await raw.connection(0)).left.wait()
        assert raw.requests in ([1], [0])  # none where the time was over before it was read


@pytest.mark.parametrize("data", [CHUNKED + b"\r\n", CHUNKED + b"\r\n2\r\nab\r\n", response(b"abc")[:-1]])
async def test_silence_in_mid_body(opened: Opened, data: bytes) -> None:
    """A body that stops coming is TimedOut."""
    client = opened(Timeouts(connect=30, first_byte=30, idle=0.05))
    async with open_raw(hanging(data)) as raw:
        exchange = await client.send(call(raw.url))
        with pytest.raises(TimedOut):
            await read_all(exchange, LIMIT)
        exchange.close()
        await raw.connections[0].left.wait()


@pytest.mark.parametrize("play", [hanging(), hanging(b"HTTP/1.1 200 OK\r\n\r\na"), dripping()])
async def test_the_whole_takes_too_long(opened: Opened, play: Play) -> None:
    """A call that is not answered whole within the total time-out is TimedOut, however much came, and cut off."""
    client = opened(Timeouts(connect=30, first_byte=30, idle=30, total=0.2))
    async with open_raw(play) as raw:
        with pytest.raises(TimedOut):
            await ask(client, raw.url)
        for connection in raw.connections:
            await connection.left.wait()


async def test_refused(client: Client) -> None:
    """A port on which nobody listens is Unreachable."""
    with pytest.raises(Unreachable):
        await ask(client, f"http://127.0.0.1:{free_port()}")


async def test_a_server_that_went_away(client: Client) -> None:
    """A server that answered and is gone is Unreachable, although a connection to it was kept."""
    async with open_raw(answering(response())) as raw:
        assert (200, b"ok") == await ask(client, raw.url)
    with pytest.raises(Unreachable):
        await ask(client, raw.url)


@pytest.mark.parametrize("host", ["nowhere.invalid.", "a..b", "a" * 70 + ".invalid", "xn--.invalid."])
async def test_unknown_names(client: Client, host: str) -> None:
    """A name that cannot be resolved, or that is none, is Unreachable."""
    with pytest.raises(Unreachable):
        await ask(client, f"http://{host}")


@pytest.mark.parametrize(("connect", "total", "failure"), [(0.05, 30, Unreachable), (30, 0.05, TimedOut)])
async def test_no_connection_in_time(
    opened: Opened, connect: float, total: float, failure: type[UpstreamFailure]
) -> None:
    """A host that takes no connection within the connect time-out is Unreachable; if the total is over, TimedOut."""
    client = opened(Timeouts(connect=connect, first_byte=30, idle=30, total=total))
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)  # a queue of one, which Linux rounds up: the next ones wait for ever
        for filler in (first, second):
            filler.settimeout(0)
            filler.connect_ex(full.getsockname())
        with pytest.raises(failure):
            await ask(client, f"http://127.0.0.1:{full.getsockname()[1]}")


@pytest.mark.parametrize("reads_on", [True, False])
async def test_an_early_refusal_of_a_large_call(client: Client, *, reads_on: bool) -> None:
    """A server may answer before it has read all: that is its answer. If it closes as well, it may be overtaken
    by that, and is Broken then. The next call has another connection.
    """

    async def play(connection: Connection) -> None:
        await connection.reader.readuntil(b"\r\n\r\n")
        await connection.send(response(b"too large", b"Connection: close", status=b"413 Content Too Large"))
        if reads_on:
            await connection.wait_for_leaving()

    async with open_raw(play, keeping(response(b"new"))) as raw:
        large = call(raw.url, body=b" " * (16 << 20))
        try:
            exchange = await client.send(large)
            answer = exchange.status, await read_all(exchange, LIMIT)
            exchange.close()
        except Broken:
            assert not reads_on
        else:
            assert (413, b"too large") == answer
        assert (200, b"new") == await ask(client, raw.url)


# Reading all.


@pytest.mark.parametrize("size", [0, 1, 100, 100_000])
async def test_the_bound_of_a_body(client: Client, size: int) -> None:
    """A body of just the bound is read; of one byte more it is TooLong, and the connection is closed."""
    async with open_raw(
        keeping(response(b"a" * size)), hanging(response(b"a" * (size + 1)) + b"more")
    ) as raw:
        exchange = await client.send(call(raw.url))
        assert b"a" * size == await read_all(exchange, size)
        exchange.close()
    async with open_raw(hanging(CHUNKED + b"\r\n%x\r\n" % (size + 1) + b"a" * (size + 1) + b"\r\n")) as raw:
        exchange = await client.send(call(raw.url))
        with pytest.raises(TooLong):
            await read_all(exchange, size)
        exchange.close()
        await raw.connections[0].left.wait()


# TLS.


async def test_a_private_authority(opened: Opened, tls: tuple[ssl.SSLContext, str]) -> None:
    """A server whose certificate a private authority signed is reached with that authority's file."""
    server, ca_file = tls
    client = opened(PATIENT, ssl.create_default_context(cafile=ca_file))
    async with open_raw(keeping(response()), tls=server) as raw:
        assert [(200, b"ok")] * 2 == [await ask(client, raw.url) for _ in range(2)]
        assert [2] == raw.requests


async def test_a_private_authority_that_nobody_knows(client: Client, tls: tuple[ssl.SSLContext, str]) -> None:
    """Without the authority's file the same server is Unreachable, and sees no request."""
    async with open_raw(keeping(response()), tls=tls[0]) as raw:
        with pytest.raises(Unreachable):
            await ask(client, raw.url)
        assert [] == raw.connections


async def test_another_name(opened: Opened, tls: tuple[ssl.SSLContext, str]) -> None:
    """A certificate for another name than the URL's makes the server Unreachable."""
    server, ca_file = tls
    client = opened(PATIENT, ssl.create_default_context(cafile=ca_file))
    async with open_raw(keeping(response()), tls=server) as raw:
        with pytest.raises(Unreachable):
            await ask(client, raw.url.replace("127.0.0.1", "localhost"))


async def test_no_tls_behind_https(client: Client) -> None:
    """A server that speaks no TLS where it should is Unreachable."""

    async def play(connection: Connection) -> None:
        await connection.reader.read(1)
        await connection.send(response(status=b"400 Bad Request"))

    async with open_raw(play) as raw:
        with pytest.raises(Unreachable):
            await ask(client, raw.url.replace("http://", "https://"))


async def test_a_stale_connection_under_tls(opened: Opened, tls: tuple[ssl.SSLContext, str]) -> None:
    """Under TLS too, a kept connection that dies before a byte of an answer costs nothing."""
    server, ca_file = tls
    client = opened(PATIENT, ssl.create_default_context(cafile=ca_file))
    plays: list[Play] = [then_closing(response(), reset=False), keeping(response(b"new"))]
    async with open_raw(*plays, tls=server) as raw:
        assert [(200, b"ok"), (200, b"new")] == [await ask(client, raw.url) for _ in range(2)]
