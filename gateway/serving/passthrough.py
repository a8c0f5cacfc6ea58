"""Requests that go through as they are, streamed, to one upstream: everything that is not voted on."""

from collections.abc import Coroutine
from time import perf_counter
from typing import Any

from gateway.door.answer import BARE, Answer
from gateway.door.head import Headers
from gateway.door.request import Reply, Request
from gateway.errors import (
    BadRequest,
    DeadlineExceeded,
    GatewayError,
    NoQuorum,
    Overloaded,
    UpstreamUnreachable,
)
from gateway.serving.access import require_admin
from gateway.serving.gateway import Gateway
from gateway.serving.trace import Trace
from gateway.serving.wanted import Caller
from gateway.upstream.client import Call, Exchange, TimedOut, Unreachable, UpstreamFailure, read_all
from gateway.wire.headers import Pairs, passed_through

# What changes a server rather than asks it something.
_ADMIN = frozenset({"load_lora_adapter", "unload_lora_adapter"})

# The body was decoded on its way in; the id is the one that was taken or made.
_MADE_ANEW = frozenset({"content-encoding", "x-request-id"})

_SHORT = 1 << 20
_OURS = frozenset({"x-request-id", "date"})


def pass_through(gateway: Gateway, request: Request, trace: Trace) -> Coroutine[Any, Any, Reply]:
    """Any other path under /v1, /tokenize and /detokenize."""
    trace.endpoint = "other"
    if any(part in {".", ".."} for part in request.path.split("/")):
        raise BadRequest("the path goes up the tree")
    if not _ADMIN.isdisjoint(part.lower().partition(";")[0] for part in request.path.split("/")):
        require_admin(request, trace)
    return forward(gateway, request, trace, request.read(), model="")


async def forward(gateway: Gateway, request: Request, trace: Trace, body: bytes, model: str) -> Reply:
    """Send the request on, and its answer back as it comes. A dead upstream is skipped, if another is there."""
    trace.source = "passthrough"
    headers = [*request.headers.once(_sent_on), ("x-request-id", trace.request_id)]
    failure: UpstreamFailure = Unreachable("no upstream")
    for upstream in gateway.pool.turn(model):
        url = upstream.settings.url + request.target
        tenant = _tenant(request, trace) if upstream.settings.max_in_flight else ""
        if not await upstream.slots.take(gateway.settings.timeouts.first_byte, tenant=tenant):
            raise Overloaded("too many requests wait for the upstream", headers=(("retry-after", "1"),))
        upstream.meter.started()
        began, result = perf_counter(), "cancelled"
        try:
            exchange = await upstream.client.send(Call(request.method, url, upstream.dress(headers), body))
            try:
                response = await _relay(request, exchange, trace)
            finally:
                exchange.close()
            result = "ok" if exchange.status < 400 else "status"
        except UpstreamFailure as error:
            failure, result = error, error.reason
            if not isinstance(error, Unreachable):
                break
            upstream.mark(up=False)  # nothing was sent, so another one may be asked
        else:
            return response
        finally:
            seconds = perf_counter() - began
            trace.upstream_seconds += seconds
            upstream.meter.ended(result, seconds)
            upstream.slots.give()
    raise _told(failure) from failure


def _tenant(request: Request, trace: Trace) -> str:
    """In whose line it stands: that of the same client's samples."""
    return Caller(key=trace.key).tenant(request.headers)


def _sent_on(headers: Headers) -> Pairs:
    return [pair for pair in passed_through(headers.pairs) if pair[0] not in _MADE_ANEW]


async def _relay(request: Request, exchange: Exchange, trace: Trace) -> Reply:
    """The answer to the client, at once if it is short, else piece by piece."""
    fields = [pair for pair in passed_through(exchange.headers) if pair[0] not in _OURS]
    fields += (("x-request-id", trace.request_id), ("x-consistency-source", "passthrough"))
    said = dict(exchange.headers).get("content-length", "")
    length = int(said) if said.isdigit() else None
    has_body = request.method != "HEAD" and exchange.status not in BARE
    if has_body and length is not None and length <= _SHORT:
        return Answer(exchange.status, fields, await read_all(exchange, _SHORT))
    piece = await exchange.piece()
    stream = request.begin(exchange.status, fields, length=length, first=piece)
    try:
        await stream.drained()
        await exchange.pour(stream)
    except UpstreamFailure:
        trace.status = 502
        stream.abort()  # an answer cut short must not look whole
    else:
        stream.end()
    return stream


def _told(failure: UpstreamFailure) -> GatewayError:
    if isinstance(failure, Unreachable):
        return UpstreamUnreachable("no upstream could be reached")
    if isinstance(failure, TimedOut):
        return DeadlineExceeded("the upstream did not answer in time")
    return NoQuorum("the upstream's answer broke off")
