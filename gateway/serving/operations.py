"""What operators and probes ask: health, readiness, metrics, models, pins."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgspec
from prometheus_client.exposition import choose_encoder

from gateway.door.answer import Answer
from gateway.door.request import Reply, Request
from gateway.errors import BadRequest, NotFound, UpstreamUnreachable
from gateway.serving.access import require_admin
from gateway.serving.asking import sent_for
from gateway.serving.gateway import Gateway
from gateway.serving.passthrough import Passing, forward
from gateway.serving.responses import JSON
from gateway.serving.summary import summarise
from gateway.serving.trace import Trace
from gateway.telemetry.totals import Exposed

PIN_PATH = "/v1/consistency/cache/"


def healthz(_gateway: Gateway, _request: Request, _trace: Trace) -> Answer:
    """200 while the process lives."""
    return _json({"status": "ok"})


def readyz(gateway: Gateway, _request: Request, _trace: Trace) -> Answer:
    """200 once requests make sense, even if degraded: hits are served with everything else down."""
    is_leaving = gateway.traffic.is_leaving
    if is_leaving or not gateway.pool.first_look.is_set():
        return _json({"status": "draining" if is_leaving else "starting", "reasons": []}, status=503)
    reasons = [f"upstream {name} is down" for name in gateway.pool.down]
    reasons += [
        f"upstream {name} keeps failing and is left alone for a while" for name in gateway.pool.ejected
    ]
    reasons += [
        f"upstream {name} lists no models: nothing that it answers is pinned; set its api_key or revision"
        for name in gateway.pool.unknown
    ]
    reasons += [
        f"upstream {name} is no reference lane: {doubt}" for name, doubt in gateway.pool.doubted.items()
    ]
    if gateway.store.is_degraded:
        reasons.append("redis is down: verdicts are pinned in memory only")
    return _json({"status": "degraded" if reasons else "ok", "reasons": reasons})


def metrics(gateway: Gateway, request: Request, _trace: Trace) -> Answer | Coroutine[Any, Any, Reply]:
    """The metrics of all workers, in the text format that the scraper prefers."""
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    fields = [("content-type", content_type)]
    siblings = gateway.siblings
    if siblings is None:
        return Answer(200, fields, encode(gateway.metrics.registry))

    async def of_all() -> Answer:
        return Answer(200, fields, encode(Exposed(await siblings.totals())))

    return of_all()


async def models(gateway: Gateway, request: Request, trace: Trace) -> Reply:
    """GET /v1/models: the upstream's own answer, or those of all upstreams, each model once."""
    trace.endpoint, trace.source = "models", "passthrough"
    if len(gateway.pool.upstreams) == 1:
        return await forward(gateway, request, trace, Passing(b""))
    if trace.quota is not None:
        await trace.quota.allows_request()
    sent = sent_for(request.headers, trace.request_id, streamed=False)
    headers = (*sent.fields, ("x-request-id", sent.request_id))
    asked = [upstream for upstream in gateway.pool.upstreams if upstream.is_up] or gateway.pool.upstreams
    lists = await asyncio.gather(*(upstream.list_models(headers) for upstream in asked))
    if all(listed is None for listed in lists):
        raise UpstreamUnreachable("no upstream could be reached")
    found: dict[str, Any] = {}
    for listed in lists:
        for model in listed or ():
            found.setdefault(model["id"], model)
    return _json({"object": "list", "data": list(found.values())})


async def get_pin(gateway: Gateway, request: Request, trace: Trace) -> Answer:
    """GET /v1/consistency/cache/{key}: what is pinned, and what was said of it."""
    require_admin(request, trace)
    key = _key(request)
    found = await gateway.store.get(key)
    if found is None:
        raise NotFound(f"nothing is pinned under {key}")
    pin = found.pin._asdict()
    pin["body"] = found.pin.body.decode(errors="replace")
    return _json({"key": key, "ttl": round(found.ttl, 3), "where": found.where, **pin})


async def delete_pin(gateway: Gateway, request: Request, trace: Trace) -> Answer:
    """DELETE /v1/consistency/cache/{key}: the next request votes again."""
    require_admin(request, trace)
    key = _key(request)
    if not await gateway.store.delete(key):
        raise NotFound(f"nothing is pinned under {key}")
    return _json({"key": key, "deleted": True})


async def summary(gateway: Gateway, request: Request, trace: Trace) -> Answer:
    """GET /v1/consistency/summary: how often results agree, in short, over all workers."""
    require_admin(request, trace)
    return _json(await summarise(gateway))


def _key(request: Request) -> str:
    key = request.path.removeprefix(PIN_PATH)
    if len(key) != 64 or not all(digit in "0123456789abcdef" for digit in key):
        raise BadRequest("a key is 64 hex digits, as in x-consistency-key", param="key")
    return key


def _json(value: object, status: int = 200) -> Answer:
    return Answer(status, [("content-type", JSON)], msgspec.json.encode(value))
