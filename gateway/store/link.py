"""The connection to Redis: a few calls, each whole under one time-out, and one error for all that can fail.

    PREFIX:pin:KEY    a pin
    PREFIX:NAME       a short text
    PREFIX:changed    the channel on which keys are announced whose pin is new, replaced or deleted

A change and its announcement are one transaction, so that neither is ever without the other.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from time import monotonic
from typing import Any
from uuid import uuid4

from hiredis import ReplyError
from redis.asyncio import Connection, Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError, WatchError

from gateway.core.pin import Pin
from gateway.settings.model import CacheSettings
from gateway.store.codec import decode_pin, encode_pin
from gateway.store.pipe import Lookups
from gateway.store.protocol import Found

# Beside its own errors redis-py lets through what uvloop raises for a connection that was just reset
# (RuntimeError), and what it stumbles over itself when a server speaks something else than Redis does.
_FAILURES = (
    RedisError,
    OSError,
    TimeoutError,
    RuntimeError,
    AttributeError,
    TypeError,
    ValueError,
    LookupError,
)

_TRIES = 3
_NO_END = 86_400_000  # milliseconds that a pin without an end is taken to last: it is asked for again then


class Away(Exception):
    """Redis did not do what it was asked, for whatever reason."""


class Link:
    """One process's connections to Redis: `at_once` for calls, one for announcements and one in reserve."""

    def __init__(self, settings: CacheSettings) -> None:
        self._timeout = settings.timeout
        self._prefix = settings.prefix
        self._channel = f"{settings.prefix}:changed"
        self._me = uuid4().hex
        self._redis = _connect(settings)
        pool = self._redis.connection_pool
        # TLS and other transports are redis-py's.
        self._lookups = Lookups(pool.connection_kwargs) if pool.connection_class is Connection else None
        self.at_once = max(1, self._redis.connection_pool.max_connections - 2)

    async def fetch(self, key: str) -> Found | None:
        """The pin under this key, if it lives."""
        async with self._limit():
            return await self._fetch(key)

    async def pin(self, key: str, pin: Pin, ttl: float) -> Found:
        """Pin by SET NX; the pin that holds, whichever process made it."""
        began, stored = monotonic(), encode_pin(pin)
        async with self._limit():
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
        async with self._limit():
            await self._change(key, lambda to: to.set(self._name(key), stored, px=_ms(ttl)))
        return Found(pin, ttl - (monotonic() - began), "redis")

    async def delete(self, key: str) -> bool:
        """Remove a pin; whether there was one."""
        async with self._limit():
            return bool(await self._change(key, lambda to: to.delete(self._name(key))))

    async def write(self, name: str, text: str) -> None:
        """Keep a text under a name."""
        async with self._limit():
            await self._redis.set(f"{self._prefix}:{name}", text)

    async def read(self, name: str) -> str | None:
        """The text under this name."""
        async with self._limit():
            found = _bytes(await _get(self._redis, f"{self._prefix}:{name}"))
        with suppress(UnicodeDecodeError):
            return None if found is None else found.decode()
        return None

    @asynccontextmanager
    async def listen(self) -> AsyncIterator["Announcements"]:
        """A subscription that Redis has confirmed: from now on no announcement goes unheard."""
        subscription = self._redis.pubsub()
        try:
            async with self._limit():
                await subscription.subscribe(self._channel)
                answer = await subscription.get_message(timeout=None)
            if answer is None or answer["type"] != "subscribe":
                raise Away("Redis does not confirm the subscription")
            yield Announcements(subscription, self._limit, self._me)
        finally:
            with _mapped():
                await subscription.aclose()  # type: ignore[no-untyped-call]

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
        began = monotonic()
        stored, left = await self._look_up(self._name(key))
        pin = _decoded(stored)
        if pin is None:
            return None
        milliseconds = _NO_END if left == -1 else max(0, left)
        return Found(pin, milliseconds / 1000 - (monotonic() - began), "redis")

    async def _look_up(self, name: str) -> list[Any]:
        """A value and its milliseconds to live, or the errors in their places."""
        if self._lookups is not None:
            replies = await self._lookups.get(name)
            return [
                ResponseError(str(reply)) if isinstance(reply, ReplyError) else reply for reply in replies
            ]
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.get(name)
        pipeline.pttl(name)
        replies = await pipeline.execute(raise_on_error=False)
        return list(replies)

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
                if _decoded(await _get(transaction, name)) is None:
                    transaction.multi()  # type: ignore[no-untyped-call]
                    transaction.delete(name)
                    await transaction.execute()

    @asynccontextmanager
    async def _limit(self, more: float = 0.0) -> AsyncIterator[None]:
        """One time-out, or more, for all that is done inside, in two halves.

        A process that was held up, by its own work or by its machine, finds answers waiting beside timers
        that are due. The second half starts when the first one is over for the process, too.
        """
        loop, half = asyncio.get_running_loop(), (self._timeout + more) / 2
        with _mapped():
            async with asyncio.timeout(None) as limit:
                first_half = loop.call_later(half, lambda: limit.reschedule(loop.time() + half))
                try:
                    yield
                finally:
                    first_half.cancel()

    def _name(self, key: str) -> str:
        return f"{self._prefix}:pin:{key}"


class Announcements:
    """A standing subscription."""

    def __init__(
        self, subscription: PubSub, limit: Callable[..., AbstractAsyncContextManager[None]], me: str
    ) -> None:
        self._subscription = subscription
        self._limit = limit
        self._me = me

    async def next(self, patience: float) -> str | None:
        """The next key that another process changed; None if none was announced for a while.

        Silence is checked on the subscription's own connection, for another one would prove nothing.
        """
        async with self._limit(patience):
            message = await self._subscription.get_message(timeout=patience)
        if message is None:
            async with self._limit():
                await self._subscription.ping()
                message = await self._subscription.get_message(timeout=None)
        if message is None or message["type"] != "message":
            return None
        sender, _, key = message["data"].decode(errors="replace").partition(" ")
        return None if sender == self._me else key


@contextmanager
def _mapped() -> Iterator[None]:
    try:
        yield
    except _FAILURES as error:
        raise Away(f"{type(error).__name__}: {error}") from error


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


async def _get(client: Redis, name: str) -> Any:
    try:
        return await client.get(name)
    except ResponseError as error:
        return error


def _bytes(answer: Any) -> bytes | None:
    """What GET answered; a value of another type counts as none."""
    if isinstance(answer, ResponseError) and not str(answer).startswith("WRONGTYPE"):
        raise answer
    return answer if isinstance(answer, bytes) else None


def _decoded(answer: Any) -> Pin | None:
    """The pin in what GET answered."""
    stored = _bytes(answer)
    return None if stored is None else decode_pin(stored)


def _ms(ttl: float) -> int:
    return max(1, round(ttl * 1000))
