"""Wiring: the one place that knows every part."""

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import uvloop
from aiohttp import web
from prometheus_client import CollectorRegistry

from gateway.serving.edge import Edge
from gateway.serving.gateway import Gateway
from gateway.serving.reader import Reader
from gateway.settings.model import Settings
from gateway.store.open import open_store
from gateway.telemetry.metrics import Metrics
from gateway.upstream.pool import open_pool
from gateway.upstream.slots import Slots

_LOG = logging.getLogger("gateway")
_DRAIN = 30.0  # seconds for requests in flight to finish
_LOOK = 0.02
_CUT_OFF = 0.5  # seconds, after that, for handlers to notice
_LINGER = 2.0  # seconds to read on after a refusal, so that the client sees it


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
    async with open_gateway(settings) as gateway:
        runner = make_runner(gateway)
        await runner.setup()
        try:
            return await _listen(runner, gateway)
        finally:
            await runner.cleanup()


async def _listen(runner: web.ServerRunner, gateway: Gateway) -> int:
    wanted = gateway.settings
    try:
        await web.TCPSite(runner, wanted.host, wanted.port).start()
    except OSError as error:
        print(f"scg: cannot listen on {wanted.host}:{wanted.port}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 2
    host, port = runner.addresses[0][:2]
    _LOG.info("listening on http://%s:%s, base URL http://%s:%s/v1", host, port, host, port)
    stop, hurry = _signals()
    await stop.wait()
    await _drain(gateway, hurry)
    return 0


def make_runner(gateway: Gateway) -> web.ServerRunner:
    """How requests are served: by `Edge`, straight from aiohttp's server. A client that leaves cancels its handler."""
    loop, max_body = asyncio.get_running_loop(), gateway.settings.limits.max_body

    def request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=max_body)

    server = web.Server(
        Edge(gateway),
        request_factory=request,
        handler_cancellation=True,
        access_log=None,
        lingering_time=_LINGER,
    )
    return web.ServerRunner(server, shutdown_timeout=_CUT_OFF)


def _signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Set by the first SIGINT or SIGTERM, and by the second one."""
    stop, hurry = asyncio.Event(), asyncio.Event()

    def note() -> None:
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, note)
    return stop, hurry


async def _drain(gateway: Gateway, hurry: asyncio.Event) -> None:
    """Refuse new requests on open connections, and let those in flight end, unless somebody is in a hurry."""
    gateway.is_draining = True
    _LOG.info("draining: %s requests in flight", gateway.in_flight)
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN):
            while gateway.in_flight and not hurry.is_set():  # noqa: ASYNC110  a plain counter, looked at only here
                await asyncio.sleep(_LOOK)
    if gateway.in_flight:
        _LOG.warning("%s requests are cut off", gateway.in_flight)
