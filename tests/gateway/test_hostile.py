"""Hostile requests on bare sockets, to a gateway in front of a server that notes every byte: what comes of them."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.settings.model import Limits, UpstreamSettings
from tests.doubles.gateway import HELLO, Client, open_gateway
from tests.doubles.upstream import MODELS, plain
from tests.gateway.tenants import KEYS, A, B
from tests.upstream.raw_server import Connection, RawServer, open_raw, response

BODY = json.dumps(HELLO).encode()
JSON = b"Content-Type: application/json"


async def _play(connection: Connection) -> None:
    """An engine: its models, and one answer to all that is asked of it."""
    while request := await connection.request():
        target = request.split(b" ")[1]
        if target == b"/v1/models":
            await connection.send(response(json.dumps(MODELS).encode(), JSON))
        elif target in {b"/version", b"/openapi.json"}:
            await connection.send(response(b"{}", JSON, status=b"404 Not Found"))
        else:
            await connection.send(response(plain("x", 0), JSON))


class Opened:
    """Both ends."""

    def __init__(self, raw: RawServer, client: Client) -> None:
        self._raw = raw
        self._client = client

    @property
    def asked(self) -> list[bytes]:
        """What was asked of the upstream, but for looks at it."""
        looks = (b"GET /v1/models ", b"GET /version ", b"GET /openapi.json ", b"GET /server_info ")
        requests = (request for each in self._raw.connections for request in each.requests)
        return [request for request in requests if not request.startswith(looks)]

    async def talk(self, *requests: bytes) -> bytes:
        """Everything that is answered to these bytes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", int(self._client.url.rpartition(":")[2]))
        writer.write(b"".join(requests))
        answer = await reader.read()
        writer.close()
        return answer

    async def status(self, *requests: bytes) -> int:
        return int((await self.talk(*requests)).split(b" ", 2)[1])


@asynccontextmanager
async def opened(**settings: Any) -> AsyncIterator[Opened]:
    async with open_raw(_play) as raw:
        named = UpstreamSettings(url=raw.url, name="u", engine="vllm", api_key="the upstream's own key")
        async with open_gateway(upstreams=(named,), **settings) as client:
            yield Opened(raw, client)


def request(
    target: bytes = b"/v1/chat/completions",
    *fields: bytes,
    method: bytes = b"POST",
    body: bytes = BODY,
    host: bytes = b"h",
) -> bytes:
    lines = [method + b" " + target + b" HTTP/1.1", b"Host: " + host, b"Connection: close", *fields]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(body)]) + b"\r\n\r\n" + body


def lines_of(asked: bytes) -> list[bytes]:
    return asked.partition(b"\r\n\r\n")[0].split(b"\r\n")


CLIMBING = [
    b"/v1/..", b"/v1/../metrics", b"/v1/./x", b"/v1/%2e%2e/x", b"/v1/%2E%2e%2fx", b"/v1/x/..%2f..%2fy",
    b"/v1/%252e%252e/x", b"/v1/..;/x", b"/v1/..;a=b/x", b"/v1/..%5cx", b"/v1/x\\..\\y", b"/v1/%00",
    b"/v1/x%0d%0aA:%20b", b"/v1/%0a", b"/v1/x%7f", b"http://h/v1/../x", b"/v1/embeddings/%2e",
]  # fmt: skip
NOT_OURS = [
    b"/", b"//v1/x", b"/v2/x", b"/V1/x", b"/v1", b"/v1/", b"/sleep", b"/collective_rpc", b"/reset_prefix_cache",
    b"/../v1/x", b"/v1/consistency/x", b"/v1/consistency/", b"/%2fv1/x", b"/metrics/../v1/x", b"/tokenize/x",
    b"/.%2fv1/x", b"*",
]  # fmt: skip


@pytest.mark.parametrize("target", CLIMBING)
async def test_paths_that_climb(target: bytes) -> None:
    """A path that any server could read as another one is a 400, and asked of nobody."""
    async with opened() as both:
        assert 400 == await both.status(request(target))
        assert [] == both.asked


@pytest.mark.parametrize("target", NOT_OURS)
async def test_paths_that_are_not_offered(target: bytes) -> None:
    """What is not under /v1 stays on this side, whatever the upstream has there."""
    async with opened() as both:
        assert (await both.status(request(target))) in {400, 404, 405}
        assert [] == both.asked


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"http://169.254.169.254/v1/files", b"/v1/files"),
        (b"https://evil.example:444/v1/files?a=http://b", b"/v1/files?a=http://b"),
        (b"HTTP://evil.example/v1/files", b"/v1/files"),
        (b"/v1/files?url=http://169.254.169.254/", b"/v1/files?url=http://169.254.169.254/"),
        (b"/v1/http://evil.example/", b"/v1/http://evil.example/"),
        (b"/v1/@evil.example/", b"/v1/@evil.example/"),
        (b"/v1//evil.example/", b"/v1//evil.example/"),
        (b"/v1/x%2fy%20z?%0d%0a", b"/v1/x%2fy%20z?%0d%0a"),
    ],
)
async def test_where_a_request_goes_is_not_the_clients_choice(target: bytes, expected: bytes) -> None:
    """Whatever host a target or a Host field names, the configured upstream is asked, under its own name."""
    async with opened() as both:
        assert 200 == await both.status(request(target, method=b"GET", body=b"", host=b"evil.example"))
        (asked,) = both.asked
        first, *fields = lines_of(asked)
        assert b"GET " + expected + b" HTTP/1.1" == first
        (host,) = [field for field in fields if field.lower().startswith(b"host:")]
        assert host.startswith(b"host: 127.0.0.1:")


@pytest.mark.parametrize("target", [b"/v1/chat/completions", b"/v1/embeddings"])
async def test_what_belongs_to_a_connection_ends_here(target: bytes) -> None:
    """Hop-by-hop fields, those that Connection names, claims of who asks, and their look-alikes reach no upstream."""
    fields = (
        b"Connection: keep-alive, X-Secret, Content-Length", b"X-Secret: 1", b"Keep-Alive: 300", b"Proxy-Connection: x",
        b"Proxy-Authorization: Basic x", b"TE: trailers", b"Trailer: X", b"Upgrade: h2c", b"HTTP2-Settings: x",
        b"X-Forwarded-For: 127.0.0.1", b"X-Forwarded-Host: evil.example", b"X-Forwarded-Proto: https",
        b"Forwarded: for=127.0.0.1", b"X-Real-IP: 127.0.0.1", b"Transfer_Encoding: chunked", b"Content_Length: 3",
        b"X_Forwarded_For: 127.0.0.1", b"X_Api_Key: x", b"Authorization: Bearer of the client", b"X-Consistency-K: 1",
        b"Expect: x", b"X_Other: kept",
    )  # fmt: skip
    async with opened() as both:
        assert 200 == await both.status(request(target, *fields))
        for asked in both.asked:
            names = [line.partition(b":")[0].lower() for line in lines_of(asked)[1:]]
            assert len(names) == len(set(names))
            allowed = {
                b"host", b"content-length", b"authorization", b"content-type", b"accept", b"accept-encoding",
                b"x-request-id", b"user-agent", b"x_other", b"http2-settings",
            }  # fmt: skip
            assert set() == set(names) - allowed
            assert b"authorization: Bearer the upstream's own key" in lines_of(asked)


async def test_the_upstreams_key_is_never_shown() -> None:
    """TRACE would have the upstream say what it was sent; it and the methods of caches are refused."""
    async with opened() as both:
        for method in (b"TRACE", b"PURGE", b"CONNECT", b"PROPFIND"):
            assert (await both.status(request(b"/v1/files", method=method))) in {400, 405}
        assert [] == both.asked


SMUGGLED = b"POST /v1/smuggled HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}"
SMUGGLING = {
    "a length and chunks": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 0\r\nContent-Length: 4\r\n\r\n",
    "chunks behind a tab": b"Transfer-Encoding:\tchunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "chunks on a folded line": b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "almost chunks": b"Transfer-Encoding: chunked\x0b\r\n\r\n0\r\n\r\n",
    "chunks after others": b"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a bare CR": b"X: a\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a bare LF": b"X: a\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a NUL": b"X: a\0\r\nContent-Length: 0\r\n\r\n",
    "a chunk's size that overflows": b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    "a chunk's size in the wrong words": b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
}


@pytest.mark.parametrize("framing", SMUGGLING.values(), ids=SMUGGLING)
async def test_nothing_is_smuggled_in(framing: bytes) -> None:
    """Where a body's end can be read in two ways the request is a 400, and what follows is no request."""
    async with opened() as both:
        answer = await both.talk(b"POST /v1/files HTTP/1.1\r\nHost: h\r\n" + framing + SMUGGLED)
        assert (1, True) == (answer.count(b"\r\ndate: "), answer.startswith(b"HTTP/1.1 400 "))
        assert [] == both.asked


async def test_nothing_is_smuggled_on() -> None:
    """A chunked body, with trailers and extensions, goes upstream with one length and nothing else."""
    framed = b"2;ext=1\r\n{}\r\n0\r\nX-Secret: 1\r\nConnection: x\r\n\r\n"
    head = b"POST /v1/files HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with opened() as both:
        assert 200 == await both.status(head + framed)
        (asked,) = both.asked
        assert asked.endswith(b"\r\n\r\n{}")
        assert b"content-length: 2" in lines_of(asked)
        assert not any(b"secret" in line.lower() or b"transfer" in line.lower() for line in lines_of(asked))


async def test_no_answer_is_split() -> None:
    """An id with anything odd in it is not given back; nor can a message carry a line into the head."""
    async with opened() as both:
        for odd in (b"a b", b"\xff", b"a" * 200, b"\xc3\xa9"):
            answer = await both.talk(request(b"/v1/files", b"X-Request-Id: " + odd))
            (given,) = [line for line in lines_of(answer) if line.startswith(b"x-request-id: ")]
            assert odd not in given
        answer = await both.talk(request(b"/%0d%0aset-cookie:%20a=b"))
        assert not any(line.startswith(b"set-cookie") for line in lines_of(answer))


HUGE = b"9" * 5000
BOMBS: dict[str, tuple[bytes, bytes]] = {
    "deeply nested": (b"[" * 100_000, b""),
    "deeply nested objects": (b'{"a":' * 100_000, b""),
    "a number of many digits": (b'{"model":"m","messages":[],"seed":%b}' % HUGE, b""),
    "a fraction of many digits": (b'{"model":"m","messages":[],"temperature":%b.5}' % HUGE, b""),
    "an exponent out of bounds": (b'{"model":"m","messages":[],"temperature":1e%b}' % HUGE, b""),
    "gzip of a gigabyte's like": (gzip.compress(bytes(3 << 20)), b"Content-Encoding: gzip"),
    "gzip in gzip": (gzip.compress(gzip.compress(bytes(3 << 20))), b"Content-Encoding: gzip"),
    "the same member twice": (b'{"model":"m","model":"n","messages":[]}', b""),
    "half a surrogate": (b'{"model":"\\ud800","messages":[]}', b""),
    "no UTF-8": (b'{"model":"\xff","messages":[]}', b""),
}


@pytest.mark.parametrize(("body", "coding"), BOMBS.values(), ids=BOMBS)
async def test_bodies_that_are_traps(body: bytes, coding: bytes) -> None:
    """What would take more than it weighs is refused in words, and the gateway goes on."""
    async with opened(limits=Limits(max_body=1 << 20)) as both:
        fields = (coding,) if coding else ()
        assert (await both.status(request(b"/v1/chat/completions", *fields, body=body))) in {200, 400, 413}
        assert 200 == await both.status(request())


async def test_a_key_is_wanted_before_a_body_is_unpacked() -> None:
    """Without a key a bomb is a 401, not a 413: nothing of it was inflated."""
    async with opened(keys=KEYS, limits=Limits(max_body=1 << 20)) as both:
        bomb = gzip.compress(bytes(3 << 20))
        assert 401 == await both.status(request(b"/v1/files", b"Content-Encoding: gzip", body=bomb))


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ((b"Authorization: Bearer " + A.encode(),), 200),
        ((b"authorization: bearer   " + A.encode() + b"  ",), 200),
        ((b"Authorization: Bearer wrong", b"Authorization: Bearer " + A.encode()), 401),
        ((b"Authorization: Bearer wrong", b"X-Api-Key: " + A.encode()), 401),
        ((b"Authorization: Bearer " + A.encode(), b"X-Api-Key: " + B.encode()), 200),
        ((b"Authorization_: Bearer " + A.encode(),), 401),
        ((b"X_Api_Key: " + A.encode(),), 401),
        ((b"X-Forwarded-For: 127.0.0.1", b"Cookie: key=" + A.encode()), 401),
        ((b"Authorization: Bearer " + A.encode() + b", " + A.encode(),), 401),
    ],
)
async def test_one_field_says_who_asks(fields: tuple[bytes, ...], status: int) -> None:
    """The first Authorization field where there is one, else the first x-api-key; no field of another name."""
    async with opened(keys=KEYS) as both:
        assert status == await both.status(request(b"/v1/files", *fields))
        assert all(b"scg-key" not in asked for asked in both.asked)


async def test_made_up_keys_leave_nothing() -> None:
    """Unknown keys are counted as one tenant, and are kept nowhere but in what is bounded anyway."""
    async with opened(keys=KEYS) as both:
        requests = [
            request(b"/v1/files", b"Authorization: Bearer %d" % number).replace(b"Connection: close\r\n", b"")
            for number in range(1000)
        ]
        answer = await both.talk(*requests, request(b"/healthz", method=b"GET", body=b""))
        assert 1000 == answer.count(b"HTTP/1.1 401 ")
        metrics = await both.talk(request(b"/metrics", method=b"GET", body=b""))
        assert b'scg_tenant_requests_total{status="401",tenant="other"} 1000.0' in metrics
