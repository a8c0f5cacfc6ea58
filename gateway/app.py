"""Wiring: the one place that knows every part."""

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import uvloop
from prometheus_client import CollectorRegistry

from gateway.door.bounds import Bounds
from gateway.door.door import Door
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
        gateway = Gateway(settings, pool, store, metrics, slots, Reader(settings))
        stack.push_async_callback(gateway.extractors.close)
        stack.push_async_callback(gateway.background.aclose)
        yield gateway


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; the process's exit code."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    for warning in settings.warnings:
        _LOG.warning("%s", warning)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    async with open_gateway(settings) as gateway:
        door = make_door(gateway)
        try:
            return await _listen(door, gateway)
        finally:
            await door.close()


async def _listen(door: Door, gateway: Gateway) -> int:
    wanted = gateway.settings
    try:
        address = await door.open(wanted.host, wanted.port)
    except OSError as error:
        print(f"scg: cannot listen on {wanted.host}:{wanted.port}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 2
    _LOG.info("listening on http://%s, base URL http://%s/v1", address, address)
    stop, hurry = _signals()
    await stop.wait()
    await _drain(gateway, door, hurry)
    return 0


def make_door(gateway: Gateway) -> Door:
    """How requests come in: through `Edge`, over HTTP/1.1. A client that leaves cancels its handler."""
    return Door(Edge(gateway), Bounds(max_body=gateway.settings.limits.max_body))


def _signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Set by the first SIGINT or SIGTERM, and by the second one."""
    stop, hurry = asyncio.Event(), asyncio.Event()

    def note() -> None:
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, note)
    return stop, hurry


async def _drain(gateway: Gateway, door: Door, hurry: asyncio.Event) -> None:
    """Refuse new requests, and let those in flight end, unless somebody is in a hurry."""
    gateway.is_draining = True
    door.drain()
    _LOG.info("draining: %s requests in flight", gateway.in_flight)
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN):
            while door.busy and not hurry.is_set():  # noqa: ASYNC110  a count, looked at only here
                await asyncio.sleep(_LOOK)
    if gateway.in_flight:
        _LOG.warning("%s requests are cut off", gateway.in_flight)
