"""The connection to Redis: a few calls, each whole under one time-out, and one error for all that can fail.

    PREFIX:pin:KEY    a pin
    PREFIX:lease:KEY  who leads the key
    PREFIX:rate:TENANT  when each of a tenant's buckets will be full
    PREFIX:NAME       a short text
    PREFIX:changed    the channel on which keys are announced whose pin is new, replaced or deleted, or whose
                      lease was given back

A change and its announcement are one transaction, so that neither is ever without the other. Bytes take their
time: what is large has a second more for every 8 MiB.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, suppress
from time import monotonic
from typing import Any
from uuid import uuid4

from redis.asyncio import Connection, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError, WatchError

from gateway.core.pin import Pin
from gateway.core.rate import Draw, Level
from gateway.settings.model import CacheSettings
from gateway.store import replies, shared_rates
from gateway.store.announcements import Announcements, subscribe
from gateway.store.away import Away, limit
from gateway.store.codec import encode_pin
from gateway.store.pipe import Lookups, Reply
from gateway.store.protocol import Found

_TRIES = 3
_PACE = 8 << 20  # bytes a second that any line carries


_CLAIM = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_RELEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', ARGV[2], ARGV[3])
return 1
"""


class Link:
    """One process's connections to Redis: `at_once` for calls, one for look-ups, one for announcements."""

    def __init__(self, settings: CacheSettings) -> None:
        self._timeout = settings.timeout
        self._prefix = settings.prefix
        self._channel = f"{settings.prefix}:changed"
        self._me = uuid4().hex
        self._redis = _connect(settings)
        pool = self._redis.connection_pool
        # TLS and other transports are redis-py's.
        is_plain = pool.connection_class is Connection
        self._lookups = Lookups(pool.connection_kwargs, settings.timeout) if is_plain else None
        self.at_once = max(1, pool.max_connections - 2)

    @property
    def is_open(self) -> bool:
        """Whether `glance` can be called."""
        return self._lookups is not None and self._lookups.is_open

    async def glance(self, key: str) -> Found | None:
        """The pin under this key, if it lives, over the connection that stands; Large if it does not fit there."""
        assert self._lookups is not None
        began = monotonic()
        try:
            stored, left = await self._lookups.ask(self._name(key))
        except OSError as error:
            raise Away(str(error)) from error
        return replies.small(stored, left, began)

    async def fetch(self, key: str) -> Found | None:
        """As `glance`, after connecting if need be."""
        async with limit(self._timeout):
            if self._lookups is not None:
                await self._lookups.open()
                return await self.glance(key)
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.getrange(self._name(key), 0, Lookups.most - 1)
            return replies.small(*await self._look_up(key, pipeline))

    async def fetch_large(self, key: str) -> Found | None:
        """The pin under this key, if it lives, however large it is."""
        async with limit(self._timeout):
            size = await self._redis.strlen(self._name(key))
        async with self._limit(size):
            return await self._fetch(key)

    async def pin(self, key: str, pin: Pin, ttl: float) -> Found:
        """Pin by SET NX; the pin that holds, whichever process made it."""
        began, stored = monotonic(), encode_pin(pin)
        async with self._limit(len(stored)):
            for _ in range(_TRIES):
                if await self._change(key, lambda to: to.set(self._name(key), stored, nx=True, px=_ms(ttl))):
                    return Found(pin, ttl - (monotonic() - began), "redis")
                if found := await self._fetch(key):
                    return found
                await self._remove_unreadable(key)
        raise Away("the pin neither stays nor goes")

    async def replace(self, key: str, pin: Pin, ttl: float) -> Found:
        """Pin whatever was there before."""
        began, stored = monotonic(), encode_pin(pin)
        async with self._limit(len(stored)):
            await self._change(key, lambda to: to.set(self._name(key), stored, px=_ms(ttl)))
        return Found(pin, ttl - (monotonic() - began), "redis")

    async def delete(self, key: str) -> bool:
        """Remove a pin; whether there was one."""
        async with self._limit():
            return bool(await self._change(key, lambda to: to.delete(self._name(key))))

    async def claim(self, key: str, owner: str, seconds: float) -> bool:
        """Take or renew the lease of a key; whether `owner` has it."""
        async with self._limit():
            return bool(await self._redis.eval(_CLAIM, 1, self._lease(key), owner, str(_ms(seconds))))

    async def release(self, key: str, owner: str) -> None:
        """Give the lease back if `owner` has it, and announce that."""
        async with self._limit():
            told = f"{self._me} {key}"
            await self._redis.eval(_RELEASE, 1, self._lease(key), owner, self._channel, told)

    async def lease_left(self, key: str) -> float:
        """Seconds that somebody still has the lease; 0 if nobody has."""
        async with self._limit():
            return replies.seconds(await self._redis.pttl(self._lease(key)))

    async def write(self, name: str, text: str) -> None:
        """Keep a text under a name."""
        async with self._limit():
            await self._redis.set(f"{self._prefix}:{name}", text)

    async def read(self, name: str) -> str | None:
        """The text under this name."""
        async with self._limit():
            found = replies.value(await _get(self._redis, f"{self._prefix}:{name}"))
        with suppress(UnicodeDecodeError):
            return None if found is None else found.decode()
        return None

    async def draw(self, tenant: str, draws: Sequence[Draw]) -> list[Level]:
        """Draw from a tenant's buckets."""
        name = f"{self._prefix}:rate:{tenant}"
        async with self._limit():
            told = await self._redis.eval(shared_rates.SCRIPT, 1, name, *shared_rates.words(draws))
        return shared_rates.levels(draws, told)

    def listen(self) -> AbstractAsyncContextManager[Announcements]:
        """A subscription to what other processes change."""
        return subscribe(self._redis, self._channel, self._timeout, self._me)

    def hang_up(self) -> None:
        """Begin look-ups anew on a new connection: this one did not answer in time."""
        if self._lookups is not None:
            self._lookups.close()

    async def aclose(self) -> None:
        """Close every connection."""
        self.hang_up()
        with suppress(Away):
            async with self._limit():
                await self._redis.aclose()

    async def _fetch(self, key: str) -> Found | None:
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.get(self._name(key))
        return replies.found(*await self._look_up(key, pipeline))

    async def _look_up(self, key: str, pipeline: Pipeline) -> tuple[Reply, Reply, float]:
        """What a pipeline that asks for the value brings, the time to live, and when it was asked."""
        began = monotonic()
        pipeline.pttl(self._name(key))
        stored, left = await pipeline.execute(raise_on_error=False)
        return stored, left, began

    async def _change(self, key: str, change: Any) -> Any:
        """Change something and announce it; what came of the change."""
        transaction = self._redis.pipeline()
        change(transaction)
        transaction.publish(self._channel, f"{self._me} {key}")
        return (await transaction.execute())[0]

    async def _remove_unreadable(self, key: str) -> None:
        """Take away what bars a key without being a pin, unless somebody has done so by now."""
        name = self._name(key)
        with suppress(WatchError):
            async with self._redis.pipeline() as transaction:
                await transaction.watch(name)
                if replies.decoded(await _get(transaction, name)) is None:
                    transaction.multi()  # type: ignore[no-untyped-call]
                    transaction.delete(name)
                    await transaction.execute()

    def _limit(self, size: int = 0) -> AbstractAsyncContextManager[None]:
        """One time-out, and more for many bytes, for all that is done inside."""
        return limit(self._timeout + size / _PACE)

    def _lease(self, key: str) -> str:
        return f"{self._prefix}:lease:{key}"

    def _name(self, key: str) -> str:
        return f"{self._prefix}:pin:{key}"


def _connect(settings: CacheSettings) -> Redis:
    return Redis.from_url(
        settings.url,
        protocol=2,  # push messages between replies would keep redis-py from noticing stale ones
        driver_info=None,  # looks its version up on disk for each connection
        max_connections=64,
        socket_timeout=None,  # whole calls are timed; and redis-py's time-outs can swallow a cancellation
        socket_connect_timeout=None,
        retry=Retry(NoBackoff(), 0),
        socket_keepalive=True,
    )


async def _get(client: Redis, name: str) -> Reply:
    try:
        return await client.get(name)
    except ResponseError as error:
        return error


def _ms(ttl: float) -> int:
    return max(1, round(ttl * 1000))
