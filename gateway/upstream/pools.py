"""The pool of a process, and the ones that take its place when the settings change."""

import asyncio
from contextlib import suppress

from gateway.settings.model import Settings, Timeouts, UpstreamSettings
from gateway.store.protocol import Store
from gateway.telemetry.metrics import Metrics
from gateway.upstream.client import Client
from gateway.upstream.clients import is_proxied, open_client
from gateway.upstream.pool import Pool
from gateway.upstream.slots import Slots
from gateway.upstream.upstream import Upstream, Watch

_FIRST_LOOK = 30.0  # seconds that new upstreams have to be looked at before they are used unseen

_Kind = tuple[Timeouts, str | None, str, bool]  # what tells one client from another


class Pools:
    """Makes pools, one after the other. What two of them have in common goes on as it is, connections included."""

    def __init__(self, metrics: Metrics, store: Store) -> None:
        self._metrics = metrics
        self._store = store
        self._clients: dict[_Kind, Client] = {}
        self._retired: list[Client] = []
        self._pool = Pool((), store)
        self._looking: dict[Pool, asyncio.Task[None]] = {}

    def open(self, settings: Settings) -> Pool:
        """The first pool, looking at its upstreams from now on."""
        pool = self._pool = self._make(settings)
        return pool

    async def prepare(self, settings: Settings) -> Pool:
        """A pool that can take the present one's place: it has looked at its upstreams, and goes on doing so."""
        pool = self._make(settings)
        with suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_LOOK):
                await pool.first_look.wait()
        pool.first_look.set()
        return pool

    def replace(self, pool: Pool) -> None:
        """Let this one take the present one's place, whose rounds under way go on undisturbed."""
        before, self._pool = self._pool, pool
        if (looking := self._looking.pop(before, None)) is not None:
            looking.cancel()
        for name in {each.name for each in before.upstreams} - {each.name for each in pool.upstreams}:
            self._metrics.upstreams.forget(name)
        self._retired = [client for client in self._retired if not client.is_over]
        used = {id(each.client) for each in pool.upstreams}
        for kind, client in [*self._clients.items()]:
            if id(client) not in used:
                client.retire()
                self._retired.append(self._clients.pop(kind))

    async def aclose(self) -> None:
        """Stop looking, and close every connection."""
        for looking in self._looking.values():
            looking.cancel()
        await asyncio.gather(*self._looking.values(), return_exceptions=True)
        for client in (*self._clients.values(), *self._retired):
            await client.aclose()

    def _make(self, settings: Settings) -> Pool:
        watch = Watch(settings.breaker, settings.health)
        upstreams = [self._upstream(each, settings.timeouts, watch) for each in settings.upstreams]
        pool = Pool(upstreams, self._store, interval=settings.health.interval)
        self._looking[pool] = asyncio.create_task(pool.keep_looking())
        return pool

    def _upstream(self, settings: UpstreamSettings, timeouts: Timeouts, watch: Watch) -> Upstream:
        """The one that is there already, with all that is known of it, unless something has changed."""
        client = self._client(settings, timeouts)
        for known in self._pool.upstreams:
            if known.settings == settings and known.client is client and known.watch == watch:
                return known
        return Upstream(settings, client, self._metrics, watch, self._slots(settings))

    def _slots(self, settings: UpstreamSettings) -> Slots | None:
        """Those of the same server with the same bound: calls under way count until they end, serial stays serial."""
        places = (settings.name, settings.url, settings.max_in_flight)
        for known in self._pool.upstreams:
            if places == (known.name, known.settings.url, known.settings.max_in_flight):
                return known.slots
        return None

    def _client(self, upstream: UpstreamSettings, timeouts: Timeouts) -> Client:
        proxied = is_proxied(upstream.url)
        kind = timeouts, upstream.ca_file, upstream.ca_digest, proxied
        if kind not in self._clients:
            self._clients[kind] = open_client(timeouts, upstream.ca_file, proxied=proxied)
        return self._clients[kind]
