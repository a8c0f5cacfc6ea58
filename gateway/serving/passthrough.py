"""Requests that go through as they are, streamed, to one upstream: everything that is not voted on."""

import asyncio
from collections.abc import Coroutine
from time import perf_counter
from typing import Any, NamedTuple

from gateway.door.answer import BARE, Answer, field_lines
from gateway.door.head import Headers
from gateway.door.request import Reply, Request
from gateway.door.stream import Stream
from gateway.errors import (
    DeadlineExceeded,
    GatewayError,
    NoQuorum,
    Overloaded,
    UpstreamUnreachable,
)
from gateway.serving.access import require_admin
from gateway.serving.gateway import Gateway
from gateway.serving.quota import prompt_tokens
from gateway.serving.sequels import Listener, Sequel, of_path
from gateway.serving.targets import is_for_admin, require_plain
from gateway.serving.trace import Trace
from gateway.serving.wanted import Caller
from gateway.upstream.attempts import Attempts
from gateway.upstream.client import (
    Call,
    Exchange,
    TimedOut,
    Unreachable,
    UpstreamFailure,
    body_at_once,
    field,
    read_all,
)
from gateway.upstream.retries import Failed, refused, unanswered
from gateway.wire.fields import Fields
from gateway.wire.headers import passed_on, passed_through
from gateway.wire.usage import usage_of

# The body was decoded on its way in; the id is the one that was taken or made.
_MADE_ANEW = frozenset({"content-encoding", "x-request-id"})

_SHORT = 1 << 20
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_OURS = frozenset({"x-request-id", "date"})


def pass_through(gateway: Gateway, request: Request, trace: Trace) -> Coroutine[Any, Any, Reply]:
    """Any other path under /v1, /tokenize and /detokenize."""
    trace.endpoint = "other"
    require_plain(request.path)
    if is_for_admin(request.path):
        require_admin(request, trace)
    body = request.read()
    if trace.quota is not None:
        trace.quota.reserve = prompt_tokens(len(body))
    return forward(gateway, request, trace, Passing(body, sequel=of_path(request.method, request.path, body)))


class Passing(NamedTuple):
    """What is sent on."""

    body: bytes
    model: str = ""  # that it asks for, where that is known
    sequel: Sequel | None = None  # only one upstream may be able to answer, or to answer what follows


def forward(gateway: Gateway, request: Request, trace: Trace, passing: Passing) -> Coroutine[Any, Any, Reply]:
    """Send the request on, and its answer back as it comes; RateLimited if its client has no tokens left for that.

    Another upstream is asked where that is safe: nothing was sent, or the server refused to begin.
    """
    trace.source = "passthrough"
    ask = _forward if trace.key is None else _forward_charged
    return gateway.spans.passed(ask(gateway, request, trace, passing), passing.model)


async def _forward_charged(gateway: Gateway, request: Request, trace: Trace, passing: Passing) -> Reply:
    if trace.quota is not None:
        await trace.quota.allows_tokens()
    try:
        reply = await _forward(gateway, request, trace, passing)
    except asyncio.CancelledError:  # the client left, with as much of the answer as it wanted
        _charge(gateway, trace, len(passing.body), None)
        raise
    if reply.status < 400:
        _charge(gateway, trace, len(passing.body), reply)
    return reply


async def _forward(gateway: Gateway, request: Request, trace: Trace, passing: Passing) -> Reply:
    pool, sequel = gateway.pool, passing.sequel
    turn = pool.turn(passing.model) if sequel is None else await sequel.turn(pool, passing.model)
    upstream = turn.pick()
    assert upstream is not None  # who is asked for in no lane of its own is always there
    attempts = Attempts(turn, gateway.retries.allow(), upstream)
    while True:
        reply = await _attempt(gateway, request, trace, passing, attempts)
        if reply is not None:
            return reply
        await asyncio.sleep(attempts.pause)


async def _attempt(
    gateway: Gateway, request: Request, trace: Trace, passing: Passing, attempts: Attempts
) -> Reply | None:
    """The answer of one upstream; None if another one is to be asked."""
    upstream, sequel = attempts.upstream, passing.sequel
    tenant = _tenant(request, trace) if upstream.settings.max_in_flight else ""
    patience = gateway.settings.timeouts.first_byte
    if not (upstream.slots.take_at_once() or await upstream.slots.take(patience, tenant=tenant)):
        raise Overloaded("too many requests wait for the upstream", headers=(("retry-after", "1"),))
    ticket, began = upstream.began(), perf_counter()
    ends = attempts.ends = attempts.ends or began + gateway.settings.timeouts.total
    result, status, failed = "cancelled", 0, None
    try:
        url = upstream.settings.url + request.target
        sent = _sent_on if sequel is None or not sequel.is_stored else _sent_to_read
        headers = upstream.dress(gateway.spans.carry(request.headers.once(sent)))
        call = Call(
            request.method, url, headers, passing.body, (("x-request-id", trace.request_id),), ends - began
        )
        exchange = await upstream.client.send(call)
        try:
            status, failed = exchange.status, refused(exchange.status, exchange.headers)
            if _is_safe(request, failed) and attempts.go_on(failed, within=ends - perf_counter()):
                result = "status"
                return None
            listener = None
            if sequel is not None and status < 400:
                listener = await sequel.answered(gateway.pool, upstream, exchange)
            reply, broken = await _relay(request, exchange, trace, listener)
            result = broken.reason if broken else "ok" if status < 400 else "status"
            return reply
        finally:
            exchange.close()
    except UpstreamFailure as error:
        result, failed = error.reason, unanswered(error)
        if _is_safe(request, failed) and attempts.go_on(failed, within=ends - perf_counter()):
            return None
        raise _told(error, sequel) from error
    finally:
        seconds = perf_counter() - began
        trace.upstream_seconds += seconds
        upstream.ended(ticket, result, seconds, status, failed.retry_after if failed else None)
        upstream.slots.give()


def _is_safe(request: Request, failed: Failed | None) -> bool:
    """Whether the request may be sent once more: nothing was begun, or it has no effects (RFC 9110, 9.2.1)."""
    return failed is not None and (failed.is_certain or request.method in _SAFE)


def _tenant(request: Request, trace: Trace) -> str:
    """In whose line it stands: that of the same client's samples."""
    return Caller(key=trace.key).tenant(request.headers)


def _sent_on(headers: Headers) -> Fields:
    return Fields(pair for pair in passed_on(headers.pairs) if pair[0] not in _MADE_ANEW)


def _sent_to_read(headers: Headers) -> Fields:
    """The same where we read the answer as well: it is not to be compressed."""
    kept = (pair for pair in _sent_on(headers) if pair[0] != "accept-encoding")
    return Fields((*kept, ("accept-encoding", "identity")))


class _Passed(NamedTuple):
    """What of an answer's head goes to the client."""

    lines: str  # fields as lines
    length: int | None  # of the body, where it is told


def _passed(headers: Fields) -> _Passed:
    length = field(headers, "content-length")
    lines = field_lines(pair for pair in passed_through(headers) if pair[0] not in _OURS)
    return _Passed(lines, int(length) if length.isdigit() else None)


async def _relay(
    request: Request, exchange: Exchange, trace: Trace, listener: Listener | None
) -> tuple[Reply, UpstreamFailure | None]:
    """The answer to the client, at once if it is short, else piece by piece; and what cut it short."""
    lines, length = exchange.headers.once(_passed)
    lines += f"x-request-id: {trace.request_id}\r\nx-consistency-source: passthrough\r\n"
    has_body = request.method != "HEAD" and exchange.status not in BARE
    if has_body and length is not None and length <= _SHORT:
        body = body_at_once(exchange, _SHORT)
        if body is None:
            body = await read_all(exchange, _SHORT)
        if listener is not None:
            await listener.hear(body, b"")
        return Answer(exchange.status, body=body, lines=lines), None
    piece = await exchange.piece()
    if listener is not None:
        await listener.hear(piece)
    if trace.quota is not None:
        lines = trace.quota.told_in(lines)
    stream = request.begin(exchange.status, lines=lines, length=length, first=piece)
    try:
        await stream.drained()
        if listener is not None:
            await _pass_heard(exchange, stream, listener)
        await exchange.pour(stream)
    except UpstreamFailure as error:
        trace.status = 502
        stream.abort()  # an answer cut short must not look whole
        return stream, error
    stream.end()
    return stream, None


async def _pass_heard(exchange: Exchange, stream: Stream, listener: Listener) -> None:
    """Piece by piece while there is something to listen for."""
    while not listener.is_over:
        piece = await exchange.piece()
        await listener.hear(piece)
        if piece:
            stream.push(piece)
            await stream.drained()


def _charge(gateway: Gateway, trace: Trace, size: int, reply: Reply | None) -> None:
    """Have a tenant pay for what its request has spent: as the answer tells, else as was reserved for it."""
    if trace.key is None:
        return
    tokens = usage_of(reply.body) if isinstance(reply, Answer) else None
    if tokens is None:
        tokens = trace.quota.reserve if trace.quota else prompt_tokens(size)
    gateway.metrics.spent(trace.key.name, tokens)
    gateway.accounts.charge(trace.key, tokens)


def _told(failure: UpstreamFailure, sequel: Sequel | None) -> GatewayError:
    if isinstance(failure, Unreachable):
        said = sequel.failed(failure) if sequel else ""
        return UpstreamUnreachable(said or "no upstream could be reached")
    if isinstance(failure, TimedOut):
        return DeadlineExceeded("the upstream did not answer in time")
    return NoQuorum("the upstream's answer broke off")
