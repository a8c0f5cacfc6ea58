"""What operators and probes ask: health, readiness, metrics, models, pins."""

import asyncio
from collections.abc import Coroutine, Iterable
from itertools import chain
from typing import Any

import msgspec
from prometheus_client.exposition import choose_encoder

from gateway.door.answer import Answer, Fields
from gateway.door.request import Reply, Request
from gateway.errors import BadRequest, GatewayError, NotFound, UpstreamUnreachable
from gateway.serving.access import require_admin
from gateway.serving.asking import sent_for
from gateway.serving.failures import answered
from gateway.serving.gateway import Gateway
from gateway.serving.passthrough import Passing, forward
from gateway.serving.responses import JSON
from gateway.serving.summary import summarise
from gateway.serving.trace import Trace
from gateway.telemetry.totals import Exposed
from gateway.upstream.looks import Listing
from gateway.upstream.upstream import Upstream

PIN_PATH = "/v1/consistency/cache/"


def healthz(_gateway: Gateway, _request: Request, trace: Trace) -> Answer:
    """200 while the process lives."""
    return _json(trace, {"status": "ok"})


def readyz(gateway: Gateway, _request: Request, trace: Trace) -> Answer:
    """200 once requests make sense, even if degraded: hits are served with everything else down."""
    is_leaving = gateway.traffic.is_leaving
    if is_leaving or not gateway.pool.first_look.is_set():
        return _json(trace, {"status": "draining" if is_leaving else "starting", "reasons": []}, status=503)
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
        reasons.append("redis is down or takes no writes: verdicts are pinned in memory only")
    return _json(trace, {"status": "degraded" if reasons else "ok", "reasons": reasons})


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
    listings = await asyncio.gather(*(upstream.list_models(headers) for upstream in asked))
    lists = [listing.models for listing in listings if listing and listing.status == 200]
    if not lists:
        raise _not_listed(zip(asked, listings, strict=True))
    found: dict[str, Any] = {}
    for model in chain.from_iterable(lists):
        found.setdefault(model["id"], model)
    whence = [("x-consistency-source", trace.source)]
    return _json(trace, {"object": "list", "data": list(found.values())}, fields=whence)


def _not_listed(listings: Iterable[tuple[Upstream, Listing | None]]) -> GatewayError:
    """Why there is no list: the first upstream's refusal, if one refused."""
    for upstream, listing in listings:
        if listing and listing.status >= 400:
            return answered(upstream.name, listing.status, listing.body, listing.headers)
    return UpstreamUnreachable("no upstream could be reached")


async def get_pin(gateway: Gateway, request: Request, trace: Trace) -> Answer:
    """GET /v1/consistency/cache/{key}: what is pinned, and what was said of it."""
    require_admin(request, trace)
    key = _key(request)
    found = await gateway.store.get(key)
    if found is None:
        raise NotFound(f"nothing is pinned under {key}")
    pin = found.pin._asdict()
    pin["body"] = found.pin.body.decode(errors="replace")
    return _json(trace, {"key": key, "ttl": round(found.ttl, 3), "where": found.where, **pin})


async def delete_pin(gateway: Gateway, request: Request, trace: Trace) -> Answer:
    """DELETE /v1/consistency/cache/{key}: the next request votes again."""
    require_admin(request, trace)
    key = _key(request)
    if not await gateway.store.delete(key):
        raise NotFound(f"nothing is pinned under {key}")
    return _json(trace, {"key": key, "deleted": True})


async def summary(gateway: Gateway, request: Request, trace: Trace) -> Answer:
    """GET /v1/consistency/summary: how often results agree, in short, over all workers."""
    require_admin(request, trace)
    return _json(trace, await summarise(gateway))


def _key(request: Request) -> str:
    key = request.path.removeprefix(PIN_PATH)
    if len(key) != 64 or not all(digit in "0123456789abcdef" for digit in key):
        raise BadRequest("a key is 64 hex digits, as in x-consistency-key", param="key")
    return key


def _json(trace: Trace, value: object, status: int = 200, fields: Fields = ()) -> Answer:
    told = [("content-type", JSON), ("x-request-id", trace.request_id), *fields]
    return Answer(status, told, msgspec.json.encode(value))
