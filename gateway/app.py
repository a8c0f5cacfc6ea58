"""Wiring: the one place that knows every part."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from prometheus_client import CollectorRegistry

from gateway.door.bounds import Bounds
from gateway.door.door import Door
from gateway.serving.accounts import Accounts
from gateway.serving.edge import Edge
from gateway.serving.gateway import Gateway
from gateway.serving.keyring import keyring_of
from gateway.serving.reader import Reader
from gateway.serving.summary import SUMMARY, encode_summary
from gateway.settings.model import Settings
from gateway.store.open import open_store
from gateway.store.vote_ledger import VoteLedger
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.open import open_spans
from gateway.telemetry.siblings import METRICS, Answers, Siblings
from gateway.telemetry.totals import encode_totals
from gateway.upstream.pools import Pools
from gateway.upstream.retries import Retries
from gateway.upstream.slots import Slots


class Succession:
    """The gateway that new requests meet. Settings that change make a new one of it, in one assignment.

    Pins, metrics, votes under way and upstreams that stay the same are handed on; a request that is being
    answered ends with the gateway that it met.
    """

    def __init__(self, gateway: Gateway, pools: Pools) -> None:
        self.gateway = gateway
        self._pools = pools

    @property
    def answers(self) -> Answers:
        """What the other workers may ask this one."""
        return {
            METRICS: lambda: encode_totals(self.gateway.metrics.totals),
            SUMMARY: lambda: encode_summary(self.gateway),
        }

    async def renew(self, settings: Settings) -> None:
        """Let these settings take effect, once what is new among the upstreams has been looked at."""
        pool = await self._pools.prepare(settings)
        before = self.gateway
        before.metrics.meet(_policies(settings))
        keyring = keyring_of(settings.keys, before.metrics)
        most = settings.limits.max_samples_in_flight
        is_same = most == before.settings.limits.max_samples_in_flight
        slots = before.slots if is_same else Slots(most)
        is_as_before = settings.retries == before.settings.retries
        self.gateway = replace(
            before,
            settings=settings,
            pool=pool,
            slots=slots,
            reader=Reader(settings),
            retries=before.retries if is_as_before else Retries(settings.retries, before.metrics),
            keyring=keyring,
        )
        before.traffic.reloads += 1
        self._pools.replace(pool)


@asynccontextmanager
async def open_succession(settings: Settings, siblings: Siblings | None = None) -> AsyncIterator[Succession]:
    """Every part, connected; `siblings` are the other workers, where there are any."""
    async with AsyncExitStack() as stack:
        spans = open_spans()
        stack.push_async_callback(spans.aclose)
        metrics = Metrics(CollectorRegistry(), _policies(settings))
        store = open_store(settings.cache, metrics)
        stack.push_async_callback(store.aclose)
        ledger = VoteLedger(store, metrics, settings.ledger.length) if settings.ledger.stream else None
        if ledger is not None:
            stack.push_async_callback(ledger.aclose)
        pools = Pools(metrics, store)
        stack.push_async_callback(pools.aclose)
        slots = Slots(settings.limits.max_samples_in_flight)
        keyring = keyring_of(settings.keys, metrics)
        retries = Retries(settings.retries, metrics)
        accounts = Accounts(store)
        stack.push_async_callback(accounts.aclose)
        pool, reader = pools.open(settings), Reader(settings)
        gateway = Gateway(
            settings,
            pool,
            store,
            metrics,
            slots,
            reader,
            retries,
            accounts,
            keyring,
            siblings=siblings,
            spans=spans,
            ledger=ledger,
        )
        metrics.in_flight.set_function(lambda: gateway.in_flight)
        stack.push_async_callback(gateway.extractors.close)
        stack.push_async_callback(gateway.background.aclose)
        stack.push_async_callback(gateway.flights.aclose)
        succession = Succession(gateway, pools)
        if siblings is not None:
            await siblings.open(succession.answers)
            stack.push_async_callback(siblings.aclose)
        yield succession


@asynccontextmanager
async def open_gateway(settings: Settings) -> AsyncIterator[Gateway]:
    """A gateway whose settings never change."""
    async with open_succession(settings) as succession:
        yield succession.gateway


def make_door(gateway: Gateway) -> Door:
    """How requests come in: through `Edge`, over HTTP/1.1. A client that leaves cancels its handler."""
    return door_of(make_edge(gateway))


def make_edge(gateway: Gateway) -> Edge:
    """What surrounds every request, with spans where they are wanted."""
    if not gateway.spans.is_on:
        return Edge(gateway)
    from gateway.serving.traced import TracedEdge  # imports OpenTelemetry

    return TracedEdge(gateway)


def door_of(edge: Edge) -> Door:
    """The same for an edge whose gateway may change."""
    return Door(edge, bounds_of(edge.gateway.settings))


def bounds_of(settings: Settings) -> Bounds:
    """What a client may send."""
    return Bounds(max_body=settings.limits.max_body)


def _policies(settings: Settings) -> list[str]:
    """The names of the policies that requests meet without asking for one."""
    return [settings.default_policy.name, *(route.policy.name for route in settings.routes)]
