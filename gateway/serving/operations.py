"""What operators and probes ask: health, readiness, metrics, models, pins."""

import asyncio
from dataclasses import asdict
from typing import Any

import msgspec
from aiohttp import web
from prometheus_client.exposition import choose_encoder

from gateway import __version__
from gateway.errors import BadRequest, NotFound, UpstreamUnreachable
from gateway.serving.access import require_admin
from gateway.serving.gateway import Gateway
from gateway.serving.passthrough import forward
from gateway.serving.responses import JSON
from gateway.serving.trace import Trace
from gateway.wire.headers import sent_on

PIN_PATH = "/v1/consistency/cache/"


async def healthz(_gateway: Gateway, _request: web.BaseRequest, _trace: Trace) -> web.Response:
    """200 while the process lives."""
    return _json({"status": "ok"})


async def readyz(gateway: Gateway, _request: web.BaseRequest, _trace: Trace) -> web.Response:
    """200 once requests make sense, even if degraded: hits are served with everything else down."""
    if gateway.is_draining or not gateway.pool.first_look.is_set():
        return _json({"status": "draining" if gateway.is_draining else "starting", "reasons": []}, status=503)
    reasons = [f"upstream {name} is down" for name in gateway.pool.down]
    reasons += [
        f"upstream {name} lists no models: nothing that it answers is pinned; set its api_key or revision"
        for name in gateway.pool.unknown
    ]
    if gateway.store.is_degraded:
        reasons.append("redis is down: verdicts are pinned in memory only")
    return _json({"status": "degraded" if reasons else "ok", "reasons": reasons})


async def metrics(gateway: Gateway, request: web.BaseRequest, _trace: Trace) -> web.Response:
    """The metrics, in the text format that the scraper prefers."""
    gateway.metrics.in_flight.set(gateway.in_flight)
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return web.Response(body=encode(gateway.metrics.registry), headers={"content-type": content_type})


async def models(gateway: Gateway, request: web.BaseRequest, trace: Trace) -> web.StreamResponse:
    """GET /v1/models: the upstream's own answer, or those of all upstreams, each model once."""
    trace.endpoint, trace.source = "models", "passthrough"
    if len(gateway.pool.upstreams) == 1:
        return await forward(gateway, request, trace, b"", model="")
    headers = sent_on(request.headers, trace.request_id, streamed=False)
    asked = [upstream for upstream in gateway.pool.upstreams if upstream.is_up] or gateway.pool.upstreams
    lists = await asyncio.gather(*(upstream.list_models(headers) for upstream in asked))
    if all(listed is None for listed in lists):
        raise UpstreamUnreachable("no upstream could be reached")
    found: dict[str, Any] = {}
    for listed in lists:
        for model in listed or ():
            found.setdefault(model["id"], model)
    return _json({"object": "list", "data": list(found.values())})


async def get_pin(gateway: Gateway, request: web.BaseRequest, _trace: Trace) -> web.Response:
    """GET /v1/consistency/cache/{key}: what is pinned, and what was said of it."""
    require_admin(request)
    key = _key(request)
    found = await gateway.store.get(key)
    if found is None:
        raise NotFound(f"nothing is pinned under {key}")
    pin = asdict(found.pin)
    pin["body"] = found.pin.body.decode(errors="replace")
    return _json({"key": key, "ttl": round(found.ttl, 3), "where": found.where, **pin})


async def delete_pin(gateway: Gateway, request: web.BaseRequest, _trace: Trace) -> web.Response:
    """DELETE /v1/consistency/cache/{key}: the next request votes again."""
    require_admin(request)
    key = _key(request)
    if not await gateway.store.delete(key):
        raise NotFound(f"nothing is pinned under {key}")
    return _json({"key": key, "deleted": True})


async def summary(gateway: Gateway, request: web.BaseRequest, _trace: Trace) -> web.Response:
    """GET /v1/consistency/summary: how often results agree, in short."""
    require_admin(request)
    return _json(
        {
            "version": __version__,
            "consistency": gateway.metrics.consistency(),
            "cache": {"degraded": gateway.store.is_degraded, **gateway.store.sizes()},
            "upstreams": {
                upstream.name: "up" if upstream.is_up else "down" for upstream in gateway.pool.upstreams
            },
            "in_flight": gateway.in_flight,
            "flights": len(gateway.flights),
        }
    )


def _key(request: web.BaseRequest) -> str:
    key = request.path.removeprefix(PIN_PATH)
    if len(key) != 64 or not all(digit in "0123456789abcdef" for digit in key):
        raise BadRequest("a key is 64 hex digits, as in x-consistency-key", param="key")
    return key


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(value), headers={"content-type": JSON})
