"""The live page: the document, what it shows of the gateway, and the questions that are asked on it."""

import asyncio
from collections.abc import Coroutine
from functools import partial
from time import perf_counter
from typing import Any

import msgspec

from gateway import __version__
from gateway.core.record import RoundRecord
from gateway.door.answer import Answer
from gateway.door.request import Reply, Request
from gateway.door.stream import Stream
from gateway.errors import BadRequest, GatewayError, NotFound
from gateway.serving.access import require_admin
from gateway.serving.accounting import reservation
from gateway.serving.admission import identify
from gateway.serving.asking import sent_for
from gateway.serving.gateway import Gateway
from gateway.serving.landing import Landing
from gateway.serving.render import as_plain
from gateway.serving.responses import EVENT_STREAM, JSON, error_body, status_of
from gateway.serving.spectator import Spectator
from gateway.serving.summary import summarise
from gateway.serving.trace import Trace
from gateway.serving.voting import board, find_pin, key_of
from gateway.serving.wanted import Untouched, Wanted
from gateway.telemetry.logs import round_said
from gateway.web.page import load_page
from gateway.wire.forms.completions import CHAT
from gateway.wire.headers import describe
from gateway.wire.live_chunks import CHAT_LIVE
from gateway.wire.sse import encode_event

ASK_PATH = "/v1/consistency/ask"
EVENTS_PATH = "/events"  # not under /v1: to look on is no request in flight, and is not refused under load
_EVERY = 1.0  # seconds between two looks at the figures, and at whether the gateway is to end


async def page(gateway: Gateway, _request: Request, _trace: Trace) -> Answer:
    """GET /: the page, to anybody; what it shows is asked for by its script, and only an operator gets that."""
    _require_page(gateway)
    document = await asyncio.to_thread(load_page)
    fields = {
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": document.policy,
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "cache-control": "no-cache",
    }
    return Answer(200, fields.items(), document.html)


def events(gateway: Gateway, request: Request, trace: Trace) -> Coroutine[Any, Any, Reply]:
    """GET /events: figures every second in which they change, and each round as it ends.

    No prompt and no answer is in it. It ends with the process, and with the settings that it began under.
    """
    _require_page(gateway)
    if gateway.keyring is not None:
        identify(gateway.keyring, request, trace)
    require_admin(request, trace)
    return _feed(gateway, request)


async def _feed(gateway: Gateway, request: Request) -> Reply:
    stream = _begin(request)
    _tell(stream, "choices", _choices(gateway))

    def ended(told: RoundRecord) -> None:
        if not stream.is_full:  # a page that does not keep up misses rounds; its figures stay right
            _tell(stream, "round", round_said(told))

    shown, traffic = b"", gateway.traffic
    reloads = traffic.reloads
    with gateway.metrics.recent.watched(ended):
        while not traffic.is_draining and traffic.reloads == reloads:
            figures = msgspec.json.encode(await summarise(gateway))
            if figures != shown:
                shown = figures
                stream.push(encode_event(figures, b"summary"))
            await stream.drained()
            await asyncio.sleep(_EVERY)
    stream.end()
    return stream


def ask(gateway: Gateway, request: Request, trace: Trace) -> Coroutine[Any, Any, Reply]:
    """POST /v1/consistency/ask: a chat completion whose vote is told step by step, as events.

    It has `"stream": true`, and is voted on and pinned like any other.
    """
    _require_page(gateway)
    require_admin(request, trace)
    trace.endpoint = CHAT.label
    wanted = gateway.reader.read(CHAT, request.read(), request.headers, trace.key)
    trace.model = wanted.model
    if isinstance(wanted, Untouched):
        raise BadRequest(
            f"{wanted.reason}: such a request is passed through, so there is no vote to watch",
            param=wanted.reason,
        )
    if not wanted.streamed:
        raise BadRequest("stream: expected true, for the samples are watched while they come", param="stream")
    trace.policy = wanted.policy.name
    if trace.quota is not None:
        trace.quota.reserve = reservation(wanted)
    return _watch(gateway, request, trace, wanted)


async def _watch(gateway: Gateway, request: Request, trace: Trace, wanted: Wanted) -> Reply:
    key = await key_of(gateway, wanted)
    landing = await find_pin(gateway, wanted, key)
    if (quota := trace.quota) is not None:  # before the stream begins: nothing can be refused in it
        await (quota.allows_request() if landing else quota.allows_tokens())
    stream = _begin(request, trace)
    tell, began = partial(_tell, stream), perf_counter()
    tell("question", _describe_question(wanted, key))
    try:
        if landing is None:
            sent = sent_for(request.headers, trace.request_id, streamed=True)
            flight, is_joined = board(gateway, wanted, key, sent, Spectator(CHAT_LIVE, wanted.plan, tell))
            if is_joined:
                tell("joined", {})
            landing = await flight.landed()
            landing = landing._replace(source="joined") if is_joined else landing
        trace.note(landing)
        gateway.metrics.returned(landing.pin.returned, trace.tenant)
        tell("verdict", _describe_verdict(landing))
    except GatewayError as error:
        trace.status, trace.code = status_of(error), error.code or ""
        trace.upstream_seconds = perf_counter() - began
        stream.push(encode_event(error_body(CHAT, error), b"error"))
    stream.end()
    return stream


def _describe_question(wanted: Wanted, key: str) -> dict[str, Any]:
    policy = wanted.policy
    return {
        "key": key,
        "model": wanted.model,
        "policy": policy.name,
        "k": policy.k,
        "answer": wanted.plan.answer,
        "stop": policy.stop,
        "on_disagreement": policy.on_disagreement,
    }


def _describe_verdict(landing: Landing) -> dict[str, Any]:
    """What the response of a plain request would say, and what it would hold."""
    headers = describe(landing.pin, landing.source, landing.key)
    return {
        "headers": headers | {"cache-status": landing.cache_status},
        "content": CHAT.reply(as_plain(CHAT, landing.pin), JSON).shown,
    }


def _choices(gateway: Gateway) -> dict[str, Any]:
    """What a question can be asked with."""
    upstreams, settings = gateway.pool.upstreams, gateway.settings
    has_reference = any(upstream.lane == "reference" for upstream in settings.upstreams)
    seen = {model for upstream in upstreams for model in (*upstream.seen.models, *upstream.settings.models)}
    return {
        "version": __version__,
        "models": sorted(model for model in seen if not set(model) & set("*?[")),
        "policies": {name: policy.k for name, policy in settings.policies.items()},
        "no_lane_for": [
            name for name, policy in settings.policies.items() if policy.needs_reference and not has_reference
        ],
        "default_policy": settings.default_policy.name,
        "max_k": settings.limits.max_k,
    }


def _require_page(gateway: Gateway) -> None:
    if not gateway.settings.page:
        raise NotFound("the live page is switched off: page: off")


def _begin(request: Request, asked: Trace | None = None) -> Stream:
    fields = [("content-type", EVENT_STREAM), ("cache-control", "no-store")]
    if asked is not None:
        fields += [("x-request-id", asked.request_id)]
        fields = fields if asked.quota is None else asked.quota.told_with(fields)
    return request.begin(200, fields)


def _tell(stream: Stream, kind: str, told: dict[str, Any]) -> None:
    stream.push(encode_event(msgspec.json.encode(told), kind.encode()))
