"""The ways to Redis: one server, the master that sentinels name, or the nodes of a cluster."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError

from gateway.settings.cache_url import CacheUrl, read_cache_url
from gateway.settings.model import CacheSettings
from gateway.store.sentinels import Sentinels
from gateway.store.servers import CONNECTIONS, Entrance, Servers, entrance_of, options_of, tls_of

_GUESSES = 32  # a master, at names that it has
_CLUSTER_RETRIES = 2  # of a call whose node is gone: on the one that took its place


def open_servers(settings: CacheSettings) -> Servers:
    """The way that the URL names. Nothing is connected yet."""
    url = read_cache_url(settings.url)
    if url.kind == "sentinel":
        return _Watched(url, settings)
    return _Spread(url, settings) if url.kind == "cluster" else _One(url, settings)


class _Whole:
    """All keys are on one server at a time."""

    is_spread = False
    client: Redis

    def spots(self, stem: str) -> list[str]:
        return [stem]

    @asynccontextmanager
    async def subscriber(self) -> AsyncIterator[Redis]:
        yield self.client

    async def reconnect(self) -> None:
        await self.client.connection_pool.disconnect(inuse_connections=False)

    async def aclose(self) -> None:
        await self.client.aclose()


class _One(_Whole):
    def __init__(self, url: CacheUrl, settings: CacheSettings) -> None:
        (self._place,) = url.hosts
        options, self._entrance = (
            options_of(url, settings),
            entrance_of(url, tls_of(url, settings), *self._place),
        )
        host, port = self._place
        retry = Retry(NoBackoff(), 0)
        self.client = Redis(
            host=host, port=port, db=url.db, retry=retry, max_connections=CONNECTIONS, **options
        )

    def owner(self, name: str) -> tuple[str, int]:  # noqa: ARG002  whatever it is
        return self._place

    async def entrance(self, name: str) -> Entrance:  # noqa: ARG002  likewise
        return self._entrance


class _Watched(_Whole):
    def __init__(self, url: CacheUrl, settings: CacheSettings) -> None:
        self._url = url
        self._tls = tls_of(url, settings)
        options = options_of(url, settings)
        logins = {"username", "password"}
        to_sentinels = {name: value for name, value in options.items() if name not in logins}
        self._sentinels = Sentinels(
            url.hosts,
            patience=settings.timeout / (len(url.hosts) + 1),
            sentinel_kwargs=to_sentinels | dict(url.sentinel_login) | {"retry": Retry(NoBackoff(), 0)},
            **options,
        )
        self.client = self._sentinels.master_for(
            url.master, db=url.db, retry=Retry(NoBackoff(), 0), max_connections=CONNECTIONS
        )

    def owner(self, name: str) -> None:
        """The sentinels know, and have to be asked."""

    async def entrance(self, name: str) -> Entrance:  # noqa: ARG002  whatever it is
        host, port = await self._sentinels.discover_master(self._url.master)
        return entrance_of(self._url, self._tls, host, port)

    async def aclose(self) -> None:
        await super().aclose()
        await self._sentinels.aclose()


class _Spread:
    is_spread = True

    def __init__(self, url: CacheUrl, settings: CacheSettings) -> None:
        self._url = url
        self._tls = tls_of(url, settings)
        self._options = options_of(url, settings)
        self.client = RedisCluster(
            startup_nodes=[ClusterNode(host, port) for host, port in url.hosts],
            retry=Retry(NoBackoff(), _CLUSTER_RETRIES),
            max_connections=CONNECTIONS,
            **self._options,
        )

    def owner(self, name: str) -> tuple[str, int] | None:
        with suppress(RedisError, RedisClusterException):  # a slot that no node is known to have
            if node := self.client.get_node_from_key(name):
                return node.host, int(node.port)
        return None

    def spots(self, stem: str) -> list[str]:
        found: dict[tuple[str, int] | None, str] = {}
        masters = len(self.client.get_primaries())
        # One without slots is never hit, nor more than one where the prefix is in braces.
        for name in (f"{stem}:{number}" for number in range(_GUESSES * masters)):
            found.setdefault(self.owner(name), name)
            if len(found) == masters:
                break
        return list(found.values())

    async def entrance(self, name: str) -> Entrance:
        place = self.owner(name)
        if place is None:
            await self.client.nodes_manager.initialize()
            place = self.owner(name)
        if place is None:
            raise ConnectionError("no node of the cluster has this key's slot")
        return entrance_of(self._url, self._tls, *place)

    @asynccontextmanager
    async def subscriber(self) -> AsyncIterator[Redis]:
        """Any node will do: each passes on what any other one publishes. All have to be there: no key is without."""
        await self.client.nodes_manager.initialize()
        nodes = self.client.get_primaries()
        for node in nodes:
            state = await node.execute_command("CLUSTER INFO")
            if state.get("cluster_state") != "ok":
                raise ConnectionError("the cluster is down")
        node = random.choice(nodes)  # noqa: S311  no secret
        client = Redis(host=node.host, port=int(node.port), retry=Retry(NoBackoff(), 0), **self._options)
        try:
            yield client
        finally:
            with suppress(RedisError, OSError):
                await client.aclose()

    async def reconnect(self) -> None:
        for node in self.client.get_nodes():
            await node.disconnect_free_connections()

    async def aclose(self) -> None:
        await self.client.aclose()
        nodes = self.client.nodes_manager  # redis-py leaves some open: those it has not asked for a key yet
        for node in (*self.client.startup_nodes, *nodes.startup_nodes.values(), *nodes.nodes_cache.values()):
            await node.disconnect()
