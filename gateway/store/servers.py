"""How Redis is reached, whichever way: what a way gives, and what every connection needs.

Each way has a client of redis-py's for calls, says where the look-ups' own connections go, and gives a client to
subscribe with. What fails raises redis-py's errors or an OSError. The ways are in `gateway.store.ways`.
"""

import ssl
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.connection import RedisSSLContext

from gateway.settings.cache_url import CacheUrl
from gateway.settings.model import CacheSettings

CONNECTIONS = 64  # to one server

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

    def spots(self, stem: str) -> list[str]:
        """Names that begin so, of which each server has one that has anything, as far as that is known."""

    async def entrance(self, name: str) -> Entrance:
        """To that server, once it is known."""

    def subscriber(self) -> AbstractAsyncContextManager[Redis]:
        """Whom to subscribe with; what is known of a cluster is learnt anew."""

    async def reconnect(self) -> None:
        """Use no idle connection again: Redis is about to close one, or another server is asked by now."""

    async def aclose(self) -> None:
        """Close every connection."""


def entrance_of(url: CacheUrl, tls: ssl.SSLContext | None, host: str, port: int) -> Entrance:
    """To a server at this place."""
    return Entrance(
        host=host,
        port=port,
        username=url.username,
        password=url.password,
        db=url.db,
        tls=tls,
        to_master=url.kind == "sentinel",
    )


def options_of(url: CacheUrl, settings: CacheSettings) -> dict[str, Any]:
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


def tls_of(url: CacheUrl, settings: CacheSettings) -> ssl.SSLContext | None:
    """What redis-py makes of the same options."""
    if not url.is_tls:
        return None
    defaults: dict[str, Any] = {"cert_reqs": "required", "check_hostname": True}
    named = {name.removeprefix("ssl_"): value for name, value in _tls_options(url, settings).items()}
    return RedisSSLContext(**(defaults | named)).get()
