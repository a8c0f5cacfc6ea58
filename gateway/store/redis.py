"""Pins shared by all processes through Redis, with this process's memory in front.

A process answers from memory only while it hears announcements, so that a pin that was deleted or replaced
elsewhere is forgotten here. Three states:

    listening   memory, then Redis
    deaf        the subscription is lost: Redis decides, memory only helps out
    alone       Redis does not answer: memory only, and nobody waits for a time-out

A call that fails makes the process alone; a subscription that stands makes it listening again. What was
pinned alone is then offered to Redis by SET NX, and the stored answer wins.
"""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import TypeVar

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from gateway.core.pin import Pin
from gateway.settings.model import CacheSettings
from gateway.store.codec import decode_pin, encode_pin
from gateway.store.memory import MemoryStore
from gateway.store.protocol import Found
from gateway.telemetry.metrics import Metrics

T = TypeVar("T")

_AWAY = (RedisError, OSError, TimeoutError)
_RETRY_EVERY = 0.25
_CHECK_EVERY = 1.0


class RedisStore:
    """Pins in Redis under `PREFIX:pin:KEY`; announcements on the channel `PREFIX:dropped`."""

    def __init__(self, settings: CacheSettings, metrics: Metrics) -> None:
        self.memory = MemoryStore(settings.memory)
        self._timeout = settings.timeout
        self._prefix = settings.prefix
        self._channel = f"{settings.prefix}:dropped"
        self._metrics = metrics
        self._redis = _connect(settings)
        self._is_listening = False
        self._is_alone = False
        self._pinned_alone: dict[str, None] = {}  # in order
        self._keeper = asyncio.create_task(self._keep_listening())

    @property
    def is_degraded(self) -> bool:
        """Whether Redis does not answer."""
        return self._is_alone

    async def get(self, key: str) -> Found | None:
        """The pin under this key, if it lives."""
        if self._is_listening or self._is_alone:
            found = self.memory.look_up(key)
            if found is not None or self._is_alone:
                return found
        try:
            found = await self._fetch(key)
        except _AWAY:
            self._lose_redis()
            return self.memory.look_up(key)
        if found is None:
            self.memory.drop(key)
        else:
            self.memory.put(key, found.pin, found.ttl)
        return found

    async def pin(self, key: str, pin: Pin, ttl: float) -> Pin:
        """Pin by SET NX; the pin that holds, whichever process made it."""
        if not self._is_alone:
            try:
                return await self._pin_shared(key, pin, ttl)
            except _AWAY:
                self._lose_redis()
        self._pinned_alone[key] = None
        return await self.memory.pin(key, pin, ttl)

    async def replace(self, key: str, pin: Pin, ttl: float) -> None:
        """Pin whatever was there before, and tell the others."""
        if not self._is_alone:
            try:
                await self._within(self._redis.set(self._name(key), encode_pin(pin), px=_milliseconds(ttl)))
                await self._announce(key)
            except _AWAY:
                self._lose_redis()
        self.memory.put(key, pin, ttl)

    async def delete(self, key: str) -> bool:
        """Remove a pin everywhere; whether there was one."""
        was_here = self.memory.drop(key)
        self._pinned_alone.pop(key, None)
        if self._is_alone:
            return was_here
        try:
            deleted = await self._within(self._redis.delete(self._name(key)))
            await self._announce(key)
        except _AWAY:
            self._lose_redis()
            return was_here
        return bool(deleted) or was_here

    async def remember(self, name: str, value: str) -> None:
        """Keep a short text under a name, without an end."""
        if not self._is_alone:
            try:
                await self._within(self._redis.set(f"{self._prefix}:{name}", value))
            except _AWAY:
                self._lose_redis()

    async def recall(self, name: str) -> str | None:
        """The text under this name."""
        if self._is_alone:
            return None
        try:
            found = await self._within(self._redis.get(f"{self._prefix}:{name}"))
        except _AWAY:
            self._lose_redis()
            return None
        return found.decode() if isinstance(found, bytes) else found

    def sizes(self) -> dict[str, int]:
        """What memory in front of Redis holds."""
        return self.memory.sizes()

    async def aclose(self) -> None:
        """Stop listening and close every connection."""
        await _end(self._keeper)
        await self._redis.aclose()

    async def _fetch(self, key: str) -> Found | None:
        async with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.get(self._name(key))
            pipeline.pttl(self._name(key))
            stored, left = await self._within(pipeline.execute())
        pin = None if stored is None else decode_pin(stored)
        return None if pin is None or left <= 0 else Found(pin, left / 1000, "redis")

    async def _pin_shared(self, key: str, pin: Pin, ttl: float) -> Pin:
        stored, name = encode_pin(pin), self._name(key)
        if not await self._within(self._redis.set(name, stored, nx=True, px=_milliseconds(ttl))):
            found = await self._fetch(key)
            if found is not None:
                self.memory.put(key, found.pin, found.ttl)
                return found.pin
            # It ended in this moment, or was written by another version, which cannot be read.
            await self._within(self._redis.set(name, stored, px=_milliseconds(ttl)))
        self.memory.put(key, pin, ttl)
        return pin

    async def _announce(self, key: str) -> None:
        await self._within(self._redis.publish(self._channel, key))

    def _lose_redis(self) -> None:
        """A call failed: stop asking until a subscription stands again."""
        if not self._is_alone:
            self._note(listening=False, alone=True)
            self._keeper.cancel()
            self._keeper = asyncio.create_task(self._keep_listening())

    def _note(self, *, listening: bool, alone: bool) -> None:
        self._is_listening, self._is_alone = listening, alone
        self._metrics.cache_up.set(not alone)

    async def _keep_listening(self) -> None:
        while True:
            with suppress(*_AWAY):
                async with self._redis.pubsub() as subscription:
                    await self._within(subscription.subscribe(self._channel))
                    await self._within(subscription.get_message(timeout=self._timeout))
                    await self._return(subscription)
                    await self._listen(subscription)
            was_listening = self._is_listening
            self._note(listening=False, alone=not was_listening)
            if not was_listening:
                await asyncio.sleep(_RETRY_EVERY)

    async def _return(self, subscription: PubSub) -> None:
        """Offer what was pinned alone; forget everything else, since it may be out of date."""
        if not subscription.subscribed:
            raise ConnectionError("not subscribed")
        while self._pinned_alone:
            key = next(iter(self._pinned_alone))
            if found := self.memory.look_up(key):
                await self._pin_shared(key, found.pin, found.ttl)
            self._pinned_alone.pop(key, None)
        self.memory.clear()
        self._note(listening=True, alone=False)

    async def _listen(self, subscription: PubSub) -> None:
        while True:
            message = await subscription.get_message(ignore_subscribe_messages=True, timeout=_CHECK_EVERY)
            if message is None:
                await self._within(self._redis.ping())
            else:
                self.memory.drop(message["data"].decode())

    async def _within(self, call: Awaitable[T]) -> T:
        async with asyncio.timeout(self._timeout):
            return await call

    def _name(self, key: str) -> str:
        return f"{self._prefix}:pin:{key}"


def _connect(settings: CacheSettings) -> Redis:
    return Redis.from_url(
        settings.url,
        socket_timeout=settings.timeout,
        socket_connect_timeout=settings.timeout,
        retry=Retry(NoBackoff(), 0),
        socket_keepalive=True,
    )


def _milliseconds(ttl: float) -> int:
    return max(1, round(ttl * 1000))


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
