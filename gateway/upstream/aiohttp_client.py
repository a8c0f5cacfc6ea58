"""The seam on aiohttp's client: for what the lean one does not do, which is proxies."""

import asyncio
import errno
import ssl
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import aiohttp
from yarl import URL

from gateway.settings.model import Timeouts
from gateway.upstream.client import (
    LATE,
    Broken,
    Call,
    Sink,
    TimedOut,
    Unheard,
    Unreachable,
    UpstreamFailure,
)
from gateway.wire.fields import Fields

# uvicorn, and so vLLM, closes a connection that was idle for 5 s; aiohttp would use it for 15.
_KEEP_ALIVE = 4.0
_LARGE = 1 << 20
# As an aiohttp error, a reset has its number only.
_GONE = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED})
_OURS = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")


class AiohttpClient:
    """Calls over pooled connections, under connect, first-byte, idle and total time-outs."""

    def __init__(
        self, timeouts: Timeouts, tls: ssl.SSLContext | None = None, *, trust_env: bool = False
    ) -> None:
        self._timeouts = timeouts
        self._pooled = _session(timeouts, tls, keep_alive=True, trust_env=trust_env)
        self._fresh = _session(timeouts, tls, keep_alive=False, trust_env=trust_env)

    async def send(self, call: Call) -> "AiohttpExchange":
        """Send a call. If a pooled connection dies before a byte of the answer, once more on a new one."""
        ends = asyncio.get_running_loop().time() + min(self._timeouts.total, call.within)
        try:
            return await self._send(self._pooled, call, ends)
        except _StaleError:
            try:
                return await self._send(self._fresh, call, ends)
            except _StaleError as error:
                raise Unheard(str(error)) from error

    def retire(self) -> None:
        """Nothing to be done: aiohttp closes a connection that was idle for some seconds by itself."""

    @property
    def is_over(self) -> bool:
        """Never: sessions want to be closed."""
        return False

    async def aclose(self) -> None:
        """Close both pools."""
        await self._pooled.close()
        await self._fresh.close()

    async def _send(self, session: aiohttp.ClientSession, call: Call, ends: float) -> "AiohttpExchange":
        connect, first_byte = self._timeouts.connect, self._timeouts.first_byte
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(min(now + connect, ends)) as deadline:
                waiting = _Waiting(deadline, first_byte, ends)
                response = await session.request(
                    call.method,
                    URL(call.url, encoded=True),
                    data=_payload(call.body),
                    headers=[*call.headers, *call.more],
                    allow_redirects=False,
                    trace_request_ctx=waiting,
                )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if _is_stale(error):
                raise _StaleError(str(error)) from error
            if type(error) is TimeoutError and not waiting.is_connected:
                if ends < now + connect:
                    raise TimedOut(LATE) from error
                raise Unreachable(f"no connection within {connect:g} s") from error
            raise translate(error) from error
        return AiohttpExchange(response, self._timeouts.idle, ends)


class _Waiting:
    """What a call waits for: first for its connection, then for the head of its answer."""

    def __init__(self, deadline: asyncio.Timeout, first_byte: float, ends: float) -> None:
        self.is_connected = False
        self._deadline = deadline
        self._first_byte = first_byte
        self._ends = ends

    def connected(self) -> None:
        """The connection stands."""
        if not self._deadline.expired():
            self.is_connected = True
            now = asyncio.get_running_loop().time()
            self._deadline.reschedule(min(now + self._first_byte, self._ends))


class AiohttpExchange:
    """One aiohttp response as an Exchange."""

    __slots__ = ("_ends", "_idle", "_loop", "_response", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse, idle: float, ends: float) -> None:
        self._response = response
        self._idle = idle
        self._ends = ends
        self._loop = asyncio.get_running_loop()
        self.status = response.status
        self.headers = Fields((name.lower(), value) for name, value in response.headers.items())

    async def piece(self) -> bytes:
        """The next bytes that are there."""
        try:
            async with asyncio.timeout_at(min(self._loop.time() + self._idle, self._ends)):
                return await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise translate(error) from error

    def at_once(self) -> bytes | None:
        """Piece by piece."""
        return None

    async def pour(self, sink: Sink) -> None:
        """The rest of the body, piece by piece."""
        while piece := await self.piece():
            sink.push(piece)
            await sink.drained()

    def close(self) -> None:
        """Return the connection to its pool if the body is at its end; abort it otherwise."""
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


class _StaleError(Exception):
    """The connection died before the first byte of an answer, as an idle one does when its server closes it."""


def _is_stale(error: Exception) -> bool:
    """Whether this is how a dead connection looks: closed or reset, and not a byte of an answer."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return not _has_begun(error)
    if isinstance(error, aiohttp.ClientConnectorError):
        return False
    return isinstance(error, OSError) and (
        isinstance(error, ConnectionResetError | BrokenPipeError) or error.errno in _GONE
    )


def _has_begun(error: aiohttp.ServerDisconnectedError) -> bool:
    """Whether the connection closed in the middle of a head: aiohttp then gives what there was of it."""
    return not isinstance(error.message, str)


def translate(error: Exception) -> UpstreamFailure:
    """The one place where aiohttp's and the system's errors become ours."""
    if isinstance(error, aiohttp.ServerDisconnectedError) and _has_begun(error):
        return Broken("the connection closed in the middle of the head")
    for kinds, failure in _TRANSLATIONS:
        if isinstance(error, kinds):
            return failure(str(error) or type(error).__name__)
    return Broken(str(error) or type(error).__name__)


_TRANSLATIONS: tuple[tuple[tuple[type[Exception], ...], type[UpstreamFailure]], ...] = (
    ((aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError, aiohttp.InvalidURL), Unreachable),
    ((aiohttp.NonHttpUrlClientError, UnicodeError), Unreachable),  # UnicodeError: a name that DNS cannot hold
    ((TimeoutError,), TimedOut),
    ((aiohttp.ClientError, OSError), Broken),
)


def _session(
    timeouts: Timeouts, tls: ssl.SSLContext | None, *, keep_alive: bool, trust_env: bool
) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        limit=0,
        keepalive_timeout=_KEEP_ALIVE if keep_alive else None,
        force_close=not keep_alive,
        ssl=tls or True,
    )
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=timeouts.connect),
        auto_decompress=False,
        trust_env=trust_env,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=_OURS,
        requote_redirect_url=False,
        trace_configs=[_tracing()],
    )


def _tracing() -> aiohttp.TraceConfig:
    """Tells each call when it has its connection, new or not."""

    async def connected(_session: aiohttp.ClientSession, call: SimpleNamespace, _about: Any) -> None:
        call.trace_request_ctx.connected()

    made = aiohttp.TraceConfig()
    made.on_connection_create_end.append(connected)
    made.on_connection_reuseconn.append(connected)
    return made


def _payload(body: bytes) -> bytes | BytesIO | None:
    """A body as aiohttp likes it: large ones are written in pieces, so that the loop turns in between."""
    return BytesIO(body) if len(body) > _LARGE else body or None
