"""How Redis is reached: one server, the master that sentinels name, or the nodes of a cluster.

Each way has a client of redis-py's for calls, says where the look-ups' own connections go, and gives a client to
subscribe with. What fails raises redis-py's errors or an OSError.
"""

import random
import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import RedisSSLContext
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from gateway.settings.cache_url import CacheUrl, read_cache_url
from gateway.settings.model import CacheSettings
from gateway.store.sentinels import Sentinels

CONNECTIONS = 64  # to one server
_CLUSTER_RETRIES = 2  # of a call whose node is gone: on the one that took its place

Client = Redis | RedisCluster


@dataclass(frozen=True, slots=True)
class Entrance:
    """Where a server listens, and how to get in."""

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    db: int = 0
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    to_master: bool = False  # and to no other: what sentinels say may be out of date


class Servers(Protocol):
    """One way to Redis. It is spread if different names are on different servers."""

    is_spread: bool

    @property
    def client(self) -> Client:
        """Whom calls are made with."""

    def owner(self, name: str) -> tuple[str, int] | None:
        """The server that has what is under this name, as far as that is known; None if not."""

    async def entrance(self, name: str) -> Entrance:
        """To that server, once it is known."""

    def subscriber(self) -> AbstractAsyncContextManager[Redis]:
        """Whom to subscribe with; what is known of a cluster is learnt anew."""

    async def reconnect(self) -> None:
        """Use no idle connection again: Redis is about to close one, after what it would not take."""

    async def aclose(self) -> None:
        """Close every connection."""


def open_servers(settings: CacheSettings) -> Servers:
    """The way that the URL names. Nothing is connected yet."""
    url = read_cache_url(settings.url)
    if url.kind == "sentinel":
        return _Watched(url, settings)
    return _Spread(url, settings) if url.kind == "cluster" else _One(url, settings)


class _One:
    is_spread = False

    def __init__(self, url: CacheUrl, settings: CacheSettings) -> None:
        (self._place,) = url.hosts
        options, self._entrance = (
            _options(url, settings),
            _entrance(url, _tls_context(url, settings), *self._place),
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

    @asynccontextmanager
    async def subscriber(self) -> AsyncIterator[Redis]:
        yield self.client

    async def reconnect(self) -> None:
        await self.client.connection_pool.disconnect(inuse_connections=False)

    async def aclose(self) -> None:
        await self.client.aclose()


class _Watched:
    is_spread = False

    def __init__(self, url: CacheUrl, settings: CacheSettings) -> None:
        self._url = url
        self._tls = _tls_context(url, settings)
        options = _options(url, settings)
        logins = {"username", "password"}
        to_sentinels = {name: value for name, value in options.items() if name not in logins}
        self._sentinels = Sentinels(
            url.hosts,
            patience=settings.timeout / (len(url.hosts) + 1),
            sentinel_kwargs=to_sentinels | dict(url.sentinel_login) | {"retry": Retry(NoBackoff(), 0)},
            **options,
        )
        self.client: Redis = self._sentinels.master_for(
            url.master, db=url.db, retry=Retry(NoBackoff(), 0), max_connections=CONNECTIONS
        )

    def owner(self, name: str) -> None:
        """The sentinels know, and have to be asked."""

    async def entrance(self, name: str) -> Entrance:  # noqa: ARG002  whatever it is
        host, port = await self._sentinels.discover_master(self._url.master)
        return _entrance(self._url, self._tls, host, port)

    @asynccontextmanager
    async def subscriber(self) -> AsyncIterator[Redis]:
        yield self.client

    async def reconnect(self) -> None:
        await self.client.connection_pool.disconnect(inuse_connections=False)

    async def aclose(self) -> None:
        await self.client.aclose()
        await self._sentinels.aclose()


class _Spread:
    is_spread = True

    def __init__(self, url: CacheUrl, settings: CacheSettings) -> None:
        self._url = url
        self._tls = _tls_context(url, settings)
        self._options = _options(url, settings)
        self.client = RedisCluster(
            startup_nodes=[ClusterNode(host, port) for host, port in url.hosts],
            retry=Retry(NoBackoff(), _CLUSTER_RETRIES),
            max_connections=CONNECTIONS,
            **self._options,
        )

    def owner(self, name: str) -> tuple[str, int] | None:
        with suppress(RedisError):  # a slot that no node is known to have
            if node := self.client.get_node_from_key(name):
                return node.host, int(node.port)
        return None

    async def entrance(self, name: str) -> Entrance:
        place = self.owner(name)
        if place is None:
            await self.client.nodes_manager.initialize()
            place = self.owner(name)
        if place is None:
            raise ConnectionError("no node of the cluster has this key's slot")
        return _entrance(self._url, self._tls, *place)

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


def _entrance(url: CacheUrl, tls: ssl.SSLContext | None, host: str, port: int) -> Entrance:
    return Entrance(
        host=host,
        port=port,
        username=url.username,
        password=url.password,
        db=url.db,
        tls=tls,
        to_master=url.kind == "sentinel",
    )


def _options(url: CacheUrl, settings: CacheSettings) -> dict[str, Any]:
    """redis-py's, of every connection to a server."""
    return {
        "username": url.username,
        "password": url.password,
        "protocol": 2,  # push messages between replies would keep redis-py from noticing stale ones
        "driver_info": None,  # looks its version up on disk for each connection
        "socket_timeout": None,  # whole calls are timed; and redis-py's time-outs can swallow a cancellation
        "socket_connect_timeout": None,
        "socket_keepalive": True,
        **({"ssl": True} | _tls_options(url, settings) if url.is_tls else {}),
    }


def _tls_options(url: CacheUrl, settings: CacheSettings) -> dict[str, Any]:
    options: dict[str, Any] = dict(url.tls)
    if "ssl_check_hostname" in options:
        options["ssl_check_hostname"] = options["ssl_check_hostname"].lower() == "true"
    if settings.ca_file:
        options["ssl_ca_certs"] = settings.ca_file
    return options


def _tls_context(url: CacheUrl, settings: CacheSettings) -> ssl.SSLContext | None:
    """What redis-py makes of the same options."""
    if not url.is_tls:
        return None
    defaults: dict[str, Any] = {"cert_reqs": "required", "check_hostname": True}
    named = {name.removeprefix("ssl_"): value for name, value in _tls_options(url, settings).items()}
    return RedisSSLContext(**(defaults | named)).get()
