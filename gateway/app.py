"""Wiring: the one place that knows every part."""

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import uvloop
from aiohttp import web
from prometheus_client import CollectorRegistry

from gateway.serving import completions, operations
from gateway.serving.edge import edge
from gateway.serving.gateway import GATEWAY, Gateway
from gateway.serving.passthrough import pass_through
from gateway.serving.reader import Reader
from gateway.settings.model import Settings
from gateway.store.open import open_store
from gateway.telemetry.metrics import Metrics
from gateway.upstream.pool import open_pool
from gateway.upstream.slots import Slots

_LOG = logging.getLogger("gateway")
_DRAIN = 30.0  # seconds for requests in flight to finish
_LINGER = 2.0  # seconds to read on after a refusal, so that the client sees it


def make_app(settings: Settings) -> web.Application:
    """The application; its parts come up and go down with it."""
    app = web.Application(middlewares=[edge], client_max_size=settings.limits.max_body)

    async def parts(app: web.Application) -> AsyncIterator[None]:
        async with open_gateway(settings) as app[GATEWAY]:
            yield

    app.cleanup_ctx.append(parts)
    app.add_routes(
        [
            web.post("/v1/chat/completions", completions.chat_completions),
            web.post("/v1/completions", completions.completions),
            web.get("/v1/models", operations.models, allow_head=False),
            web.get("/healthz", operations.healthz),
            web.get("/readyz", operations.readyz),
            web.get("/metrics", operations.metrics),
            web.get("/v1/consistency/summary", operations.summary),
            web.get("/v1/consistency/cache/{key}", operations.get_pin, allow_head=False),
            web.delete("/v1/consistency/cache/{key}", operations.delete_pin),
            web.route("*", "/v1/{path:.+}", pass_through),
            web.post("/tokenize", pass_through),
            web.post("/detokenize", pass_through),
        ]
    )
    return app


@asynccontextmanager
async def open_gateway(settings: Settings) -> AsyncIterator[Gateway]:
    """Every part, connected."""
    async with AsyncExitStack() as stack:
        policies = [settings.default_policy.name, *(route.policy.name for route in settings.routes)]
        metrics = Metrics(CollectorRegistry(), policies)
        store = open_store(settings.cache, metrics)
        stack.push_async_callback(store.aclose)
        pool = await stack.enter_async_context(open_pool(settings, metrics, store))
        slots = Slots(settings.limits.max_samples_in_flight)
        yield Gateway(settings, pool, store, metrics, slots, Reader(settings))


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; the process's exit code."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    for warning in settings.warnings:
        _LOG.warning("%s", warning)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    app = make_app(settings)
    runner = make_runner(app)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, settings.host, settings.port).start()
        except OSError as error:
            print(f"scg: cannot listen on {settings.host}:{settings.port}: {error.strerror}", file=sys.stderr)  # noqa: T201
            return 2
        _LOG.info("listening on http://%s:%s, base URL http://%s:%s/v1", *(settings.host, settings.port) * 2)
        await _stop_signal()
        app[GATEWAY].is_draining = True  # new requests on open connections get a 503
        _LOG.info("draining: %s requests in flight", app[GATEWAY].in_flight)
    finally:
        await runner.cleanup()
    return 0


def make_runner(app: web.Application) -> web.AppRunner:
    """How the application is run: a client that leaves cancels its handler."""
    return web.AppRunner(
        app, handler_cancellation=True, access_log=None, lingering_time=_LINGER, shutdown_timeout=_DRAIN
    )


async def _stop_signal() -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
