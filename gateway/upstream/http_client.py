"""The seam on asyncio's transports and llhttp: what is left when nothing is done that a proxy does not need.

One idle list an origin, newest connection first; one ticking timer for all time-outs, so that none is set or
cancelled for a request or a piece.
"""

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from gateway.memo import LONGEST
from gateway.settings.model import Timeouts
from gateway.upstream.client import LATE, Broken, Call, Headers, TimedOut, Unheard, Unreachable
from gateway.upstream.connection import Connection, KnownHeads
from gateway.upstream.exchange import HttpExchange
from gateway.wire.fields import Fields

# uvicorn, and so vLLM, closes a connection that was idle for 5 s.
_KEEP_ALIVE = 4.0
_SLOWEST_TICK = 0.5
_BEYOND_SCHEME = len("https://")


class _Origin(NamedTuple):
    host: str
    port: int
    is_tls: bool


class HttpClient:
    """Calls over pooled connections, under connect, first-byte, idle and total time-outs."""

    def __init__(self, timeouts: Timeouts, tls: ssl.SSLContext | None = None) -> None:
        self._timeouts = timeouts
        self._tls = tls
        self._idle: dict[_Origin, deque[Connection]] = {}
        self._open: set[Connection] = set()
        self._lost: dict[_Origin, set[str]] = {}  # addresses that could not be reached the last time
        self._is_retired = False
        self._heads = KnownHeads()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._tick = min(_SLOWEST_TICK, timeouts.first_byte / 4, timeouts.idle / 4, timeouts.total / 4)

    async def send(self, call: Call) -> HttpExchange:
        """Send a call. If a connection from the pool dies before a byte of the answer, once more on a new one."""
        ends = self._loop.time() + min(self._timeouts.total, call.within)
        take_apart = _known if len(call.url) <= LONGEST else _split
        origin, opening = take_apart(call.method, call.url)
        request = _head(call, opening)
        pooled = self._pooled(origin)
        if pooled is not None:
            try:
                return await self._send(pooled, call, request, ends)
            except Unheard:  # as one that its server found idle
                pass
        return await self._send(await self._connect(origin, ends), call, request, ends)

    def retire(self) -> None:
        """Close what is idle now, and each other connection after its answer."""
        self._is_retired = True
        for idle in self._idle.values():
            while idle:
                idle.pop().abort()

    @property
    def is_over(self) -> bool:
        """Whether it is retired and its last connection has ended."""
        return self._is_retired and not self._open

    async def aclose(self) -> None:
        """Close every connection."""
        for connection in list(self._open):
            connection.abort()
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.sleep(0)  # transports tell their protocols in the loop's next turn

    async def _send(self, connection: Connection, call: Call, request: bytes, ends: float) -> HttpExchange:
        is_head_only = call.method == "HEAD"
        exchange = HttpExchange(connection, self._loop, self._timeouts.idle, is_head_only=is_head_only)
        begins = self._loop.time() + self._timeouts.first_byte
        connection.start(request, call.body, exchange, begins, ends)
        try:
            while not exchange.has_head:
                await exchange.news()
        except BaseException:  # cancelled, too
            exchange.close()
            raise
        return exchange

    def _pooled(self, origin: _Origin) -> Connection | None:
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.is_open:
                return connection
        return None

    async def _connect(self, origin: _Origin, ends: float) -> Connection:
        loop, patience = self._loop, self._timeouts.connect
        given_up = min(loop.time() + patience, ends)
        tls = (self._tls or _default_tls()) if origin.is_tls else None

        def release(connection: Connection) -> None:
            if self._is_retired:
                connection.abort()
                return
            connection.deadline = loop.time() + _KEEP_ALIVE
            self._idle.setdefault(origin, deque()).append(connection)

        try:
            async with asyncio.timeout_at(given_up):
                connection = await self._reach(
                    origin, tls, given_up, lambda: Connection(self._heads, release, self._open.discard)
                )
        except TimeoutError as error:
            if given_up == ends:
                raise TimedOut(LATE) from error
            raise Unreachable(f"no connection within {patience:g} s") from error
        except (OSError, UnicodeError) as error:
            raise Unreachable(str(error) or type(error).__name__) from error
        self._open.add(connection)
        if self._timer is None:
            self._timer = loop.call_later(self._tick, self._look_at_the_clock)
        return connection

    async def _reach(
        self, origin: _Origin, tls: ssl.SSLContext | None, given_up: float, make: Callable[[], Connection]
    ) -> Connection:
        """A connection to one of a name's addresses: each has half of the time that is left, the last one all of it.

        Otherwise one that swallows packets would stand for all. It comes last from then on.
        """
        loop = self._loop
        addresses = await self._addresses(origin)
        name = origin.host if tls else None
        for others, address in zip(reversed(range(len(addresses))), addresses, strict=True):
            try:
                async with asyncio.timeout((given_up - loop.time()) / (2 if others else 1)):
                    _, connection = await loop.create_connection(
                        make, address, origin.port, ssl=tls, server_hostname=name
                    )
            except OSError:  # time-outs are some
                self._lost.setdefault(origin, set()).add(address)
                if not others:
                    raise
            else:
                self._lost.get(origin, set()).discard(address)
                return connection
        raise Unreachable(f"{origin.host} has no address")

    async def _addresses(self, origin: _Origin) -> Sequence[str]:
        if _is_address(origin.host):
            return (origin.host,)
        found = await self._loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
        addresses = dict.fromkeys(str(where[0]) for *_, where in found)
        lost = self._lost[origin] = self._lost.get(origin, set()) & addresses.keys()
        return sorted(addresses, key=lost.__contains__)

    def _look_at_the_clock(self) -> None:
        loop = self._loop
        now = loop.time()
        for connection in [each for each in self._open if each.deadline <= now]:
            connection.give_up()
        for idle in self._idle.values():
            while idle and not idle[0].is_open:
                idle.popleft()
        self._timer = loop.call_later(self._tick, self._look_at_the_clock) if self._open else None


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=1)
def _default_tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _split(method: str, url: str) -> tuple[_Origin, str]:
    """Origin, and the first lines of a request, of a whole URL that is already encoded."""
    path = url.find("/", _BEYOND_SCHEME)
    origin, host = _origin(url if path < 0 else url[:path])
    target = "/" if path < 0 else url[path:]
    return origin, _checked(f"{method} {target} HTTP/1.1\r\nhost: {host}\r\n", 2)


_known = lru_cache(maxsize=1024)(_split)


@lru_cache(maxsize=1024)
def _origin(url: str) -> tuple[_Origin, str]:
    """Where a URL without a path leads to, also as a Host field. They are the operator's, and few."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Unreachable(str(error)) from error
    is_tls = parts.scheme == "https"
    if parts.hostname is None or parts.scheme not in {"http", "https"}:
        raise Unreachable(f"no http or https URL: {url}")
    origin = _Origin(parts.hostname, port or (443 if is_tls else 80), is_tls)
    return origin, parts.netloc.rpartition("@")[2]


def _head(call: Call, opening: str) -> bytes:
    headers = call.headers
    fields = headers.once(_written) if isinstance(headers, Fields) else _written(headers)
    more = _written(call.more) if call.more else ""
    has_length = call.body or call.method not in {"GET", "HEAD", "DELETE", "OPTIONS"}
    length = f"content-length: {len(call.body)}\r\n" if has_length else ""
    return f"{opening}{fields}{more}{length}\r\n".encode("utf-8", "surrogateescape")


def _written(headers: Headers) -> str:
    return _checked("".join([f"{name}: {value}\r\n" for name, value in headers]), len(headers))


def _checked(text: str, lines: int) -> str:
    """The text of so many lines, each with its end; Broken for a line break in one."""
    if text.count("\r") != lines or text.count("\n") != lines:
        raise Broken("a line break in a header field")
    return text
