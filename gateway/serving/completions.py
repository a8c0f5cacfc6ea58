"""The voted endpoints."""

import asyncio
import logging
from collections.abc import Coroutine
from time import perf_counter
from typing import Any

from gateway.door.answer import Answer
from gateway.door.request import Reply, Request
from gateway.errors import GatewayError
from gateway.serving.gateway import Gateway
from gateway.serving.landing import Landing
from gateway.serving.passthrough import forward
from gateway.serving.render import as_plain, as_stream
from gateway.serving.responses import EVENT_STREAM, JSON, error_event, landing_response
from gateway.serving.trace import Trace
from gateway.serving.voting import board, find_pin, key_of, pin_at_hand
from gateway.serving.wanted import Untouched, Wanted
from gateway.store.flights import Flight
from gateway.wire.forms.form import Form
from gateway.wire.headers import describe, sent_on
from gateway.wire.sse import encode_comment

_LOG = logging.getLogger(__name__)

# A held stream answers 200 when a usable sample is in, or after this long; then says every so often that it lives.
_HOLD_HEAD = 10.0
_KEEP_ALIVE = 5.0


def complete(
    endpoint: Form, gateway: Gateway, request: Request, trace: Trace
) -> Answer | Coroutine[Any, Any, Reply]:
    """POST to any endpoint whose answers are voted on."""
    trace.endpoint = endpoint.label
    body = request.read()
    wanted = gateway.reader.read(endpoint, body, request.headers)
    trace.model = wanted.model
    if isinstance(wanted, Untouched):
        if "consistency" in wanted.body.members:
            body = wanted.body.forwarded({"consistency"}, {})
        return forward(gateway, request, trace, body, wanted.model)
    trace.policy = wanted.policy.name
    landing = pin_at_hand(gateway, wanted)
    if landing is not None:
        return _whole(landing, wanted, trace, gateway)
    return _find_or_vote(gateway, request, trace, wanted)


async def _find_or_vote(gateway: Gateway, request: Request, trace: Trace, wanted: Wanted) -> Reply:
    key = await key_of(gateway, wanted)
    landing = await find_pin(gateway, wanted, key)
    if landing is not None:
        return _whole(landing, wanted, trace, gateway)
    headers = sent_on(request.headers, trace.request_id, streamed=wanted.streamed)
    flight, is_joined = board(gateway, wanted, key, headers)
    if wanted.streamed:
        return await _hold(gateway, request, trace, flight, wanted, is_joined=is_joined)
    landing = _seen_by(await flight.landed(), is_joined=is_joined)
    return _whole(landing, wanted, trace, gateway)


def _seen_by(landing: Landing, *, is_joined: bool) -> Landing:
    if not is_joined:
        return landing
    return Landing(landing.pin, "joined", "scg; fwd=miss; collapsed", landing.key, landing.upstream_seconds)


def _whole(landing: Landing, wanted: Wanted, trace: Trace, gateway: Gateway) -> Answer:
    """The whole answer at once."""
    trace.note(landing)
    gateway.metrics.returned(landing.pin.returned)
    if not wanted.streamed:
        seconds = perf_counter() - trace.began
        return landing_response(
            landing, trace.request_id, JSON, as_plain(wanted.endpoint, landing.pin), seconds
        )
    body = as_stream(wanted.endpoint, landing.pin, include_usage=wanted.include_usage)
    seconds = perf_counter() - trace.began
    gateway.metrics.first_chunk(landing.source, seconds)
    return landing_response(landing, trace.request_id, EVENT_STREAM, body, seconds)


async def _hold(
    gateway: Gateway,
    request: Request,
    trace: Trace,
    flight: Flight[Landing],
    wanted: Wanted,
    *,
    is_joined: bool,
) -> Reply:
    """Wait for the verdict with the connection kept alive, then replay the winner."""
    landed = asyncio.ensure_future(flight.landed())
    try:
        await _first_of(landed, flight.first_sample)
        if landed.done():
            return _whole(_seen_by(landed.result(), is_joined=is_joined), wanted, trace, gateway)
        trace.source = "joined" if is_joined else "vote"
        known = {"x-consistency-source": trace.source, "x-consistency-policy": wanted.policy.name}
        headers = {**known, "content-type": EVENT_STREAM, "x-request-id": trace.request_id}
        stream = request.begin(200, (headers | {"cache-control": "no-cache"}).items())
        gateway.metrics.first_chunk(trace.source, perf_counter() - trace.began)
        while not (await asyncio.wait({landed}, timeout=_KEEP_ALIVE))[0]:
            await stream.write(encode_comment("waiting for the verdict"))
        await stream.write(_ending(landed, wanted, trace, gateway))
        stream.end()
    finally:
        landed.cancel()
    return stream


async def _first_of(landed: asyncio.Future[Landing], first_sample: asyncio.Event) -> None:
    sampled = asyncio.ensure_future(first_sample.wait())
    either: set[asyncio.Future[Any]] = {landed, sampled}
    try:
        await asyncio.wait(either, timeout=_HOLD_HEAD, return_when=asyncio.FIRST_COMPLETED)
    finally:
        sampled.cancel()


def _ending(landed: asyncio.Future[Landing], wanted: Wanted, trace: Trace, gateway: Gateway) -> bytes:
    """What follows in a stream whose header is out: the answer, or the error as an event."""
    try:
        landing = landed.result()
        trace.note(landing, source=trace.source)
        told = describe(landing.pin, trace.source, landing.key)
        ending = as_stream(wanted.endpoint, landing.pin, include_usage=wanted.include_usage, told=told)
    except GatewayError as error:
        trace.status = error.status
        return error_event(wanted.endpoint, error)
    except Exception:  # noqa: BLE001  a response has begun: whatever goes wrong has to be said inside it
        _LOG.exception("a bug in the gateway, request %s", trace.request_id)
        trace.status = 500
        return error_event(wanted.endpoint, GatewayError("internal error; the gateway's log has more"))
    gateway.metrics.returned(landing.pin.returned)
    return ending
