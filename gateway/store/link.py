"""The connection to Redis: a few calls, each whole under one time-out, and one error for all that can fail.

    PREFIX:pin1:{KEY}   a pin, in the first format
    PREFIX:lease:{KEY}  who leads the key
    PREFIX:waits:{KEY}  who waits for its verdict elsewhere
    PREFIX:told:{KEY}   what they are told where nothing could be pinned
    PREFIX:rate:TENANT  when each of a tenant's buckets will be full
    PREFIX:ledger       a stream of what was voted
    PREFIX:proof        gone as soon as it is written: whether writes are taken; on a cluster one for each master
    PREFIX:NAME         a short text, such as which upstream holds a response
    PREFIX:changed      the channel on which keys are announced whose pin is new, replaced or deleted, or whose
                        lease was given back

All that belongs to one key is on one node of a cluster, by the braces. Processes with another format of pins have
others under another name: neither takes, nor destroys, what it cannot read. Bytes take their time: what is large
has a second more for every 8 MiB.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from hashlib import sha1
from math import inf
from time import monotonic
from typing import Any
from uuid import uuid4

from redis.exceptions import ResponseError

from gateway.core.pin import Pin
from gateway.core.rate import Draw, Level
from gateway.settings.model import CacheSettings
from gateway.store import replies, scripts, shared_rates
from gateway.store.announcements import Announcements, subscribe
from gateway.store.away import Away, Refused, is_refusal, limit, mapped
from gateway.store.codec import FORMAT, encode_pin
from gateway.store.lookups import open_lookups
from gateway.store.pipe import Reply
from gateway.store.protocol import Found
from gateway.store.replies import Elsewhere
from gateway.store.servers import CONNECTIONS
from gateway.store.ways import open_servers

_TRIES = 3
_PACE = 8 << 20  # bytes a second that any line carries


class Link:
    """One process's connections to Redis: `at_once` for calls, one for look-ups, one for announcements."""

    at_once = CONNECTIONS - 2

    def __init__(self, settings: CacheSettings) -> None:
        self._timeout = settings.timeout
        self._prefix = settings.prefix
        self._channel = f"{settings.prefix}:changed"
        self._me = uuid4().hex
        self._servers = open_servers(settings)
        self._lookups = open_lookups(self._servers, settings.timeout)

    def is_open(self, key: str) -> bool:
        """Whether `glance` can be called."""
        return self._lookups.is_open(self._name(key))

    async def glance(self, key: str) -> Found | None:
        """The pin under this key, if it lives, over the connection that stands; Elsewhere if it cannot be had there."""
        began = monotonic()
        try:
            stored, left = await self._lookups.ask(self._name(key))
        except OSError as error:
            raise Away(str(error)) from error
        return replies.small(stored, left, began)

    async def fetch(self, key: str) -> Found | None:
        """As `glance`, after connecting if need be."""
        async with limit(self._timeout):
            await self._lookups.open(self._name(key))
            return await self.glance(key)

    async def fetch_whole(self, key: str) -> Found | None:
        """The pin under this key, if it lives, however large it is and wherever it has gone."""
        async with self._limit_for(key):
            found, _ = await self._fetch(key)
            return found

    async def unbar(self, key: str) -> None:
        """Remove what is under this key without being a pin: nobody would be given the lease, nor find a verdict."""
        async with self._limit_for(key):
            await self._fetch_or_remove(key)

    async def pin(self, key: str, pin: Pin, ttl: float, leader: str = "") -> Found:
        """Pin by SET NX, and give the leader's lease back; the pin that holds, whichever process made it."""
        began, stored = monotonic(), encode_pin(pin)
        async with self._limit(len(stored)):
            for _ in range(_TRIES):
                names = [self._name(key), self._lease(key), self._waits(key)]
                told = (stored, _ms(ttl), *self._announcing(key), leader)
                try:
                    if await self._run(scripts.PIN, names, *told):
                        return Found(pin, ttl - (monotonic() - began), "redis")
                except Refused:
                    if (found := (await self._fetch(key))[0]) is None:
                        raise
                    return found
                if found := await self._fetch_or_remove(key):
                    return found
        raise Away("the pin neither stays nor goes")

    async def replace(self, key: str, pin: Pin, ttl: float) -> Found:
        """Pin whatever was there before."""
        began, stored = monotonic(), encode_pin(pin)
        async with self._limit(len(stored)):
            await self._run(scripts.REPLACE, self._name(key), stored, _ms(ttl), *self._announcing(key))
        return Found(pin, ttl - (monotonic() - began), "redis")

    async def delete(self, key: str) -> bool:
        """Remove a pin; whether there was one."""
        async with self._limit():
            return bool(await self._run(scripts.DELETE, self._name(key), *self._announcing(key)))

    async def claim(self, key: str, owner: str, seconds: float) -> bool:
        """Take or renew the lease of a key; whether `owner` has it. If not, he waits, unless there is a pin."""
        names = [self._lease(key), self._waits(key), self._name(key), self._told(key)]
        async with self._limit():
            return bool(await self._run(scripts.CLAIM, names, owner, _ms(seconds)))

    async def release(self, key: str, owner: str, seconds: float, told: bytes) -> None:
        """Give the lease back if `owner` has it, announce that, and tell those who wait."""
        names = [self._lease(key), self._waits(key), self._told(key)]
        async with self._limit(len(told)):
            await self._run(scripts.RELEASE, names, owner, _ms(seconds), *self._announcing(key), told)

    async def wait(self, key: str, owner: str, seconds: float) -> tuple[float, bytes | None]:
        """Note that `owner` waits; how long somebody still leads, in seconds, and if nobody does what was told."""
        names = [self._lease(key), self._waits(key), self._told(key)]
        async with self._limit():
            left, told = await self._run(scripts.WAIT, names, owner, _ms(seconds))
        return replies.seconds(left), told

    async def leave(self, key: str, owner: str) -> None:
        """`owner` waits no more."""
        async with self._limit():
            await self._run(scripts.LEAVE, self._waits(key), owner, *self._announcing(key))

    async def waiting(self, key: str) -> int:
        """How many wait."""
        async with self._limit():
            return int(await self._run(scripts.WAITING, self._waits(key)))

    async def write(self, name: str, text: str, ttl: float = inf) -> None:
        """Keep a text under a name, for so many seconds."""
        ends = () if ttl == inf else (_ms(ttl),)
        async with self._limit():
            await self._run(scripts.WRITE, f"{self._prefix}:{name}", text, *ends)

    async def read(self, name: str) -> str | None:
        """The text under this name."""
        async with self._limit():
            found = replies.value(await self._run(scripts.READ, f"{self._prefix}:{name}"))
        with suppress(UnicodeDecodeError):
            return None if found is None else found.decode()
        return None

    async def append(self, entries: Sequence[bytes], length: int) -> None:
        """Put these at the end of the ledger, and cut it to about so many entries."""
        async with self._limit(sum(map(len, entries))):
            await self._run(scripts.APPEND, f"{self._prefix}:ledger", length, *entries)

    async def draw(self, tenant: str, draws: Sequence[Draw]) -> list[Level]:
        """Draw from a tenant's buckets: over the pipe, in one write with the look-up that is asked beside it."""
        name, words = f"{self._prefix}:rate:{tenant}", shared_rates.words(draws)
        if not self._lookups.is_open(name):
            async with self._limit():
                await self._lookups.open(name)
        with mapped():
            told, _ = await self._lookups.run(name, shared_rates.commands(name, words))
        if isinstance(
            told, Exception
        ):  # the script is not known there yet, or the buckets are on another node
            async with self._limit():
                told = await self._run(shared_rates.SCRIPT, name, *words)
        return shared_rates.levels(draws, told)

    async def prove(self) -> None:
        """See every server write and answer as requests have it, or raise; Refused if it only answers."""
        refused: Refused | None = None
        with mapped():
            names = self._servers.spots(f"{self._prefix}:proof")
        for name in names:
            async with self._limit():
                try:
                    await self._run(scripts.PROVE, name)
                except Refused as error:
                    refused = error
                await self._lookups.open(name)
                with suppress(Elsewhere):
                    replies.small(*await self._lookups.ask(name), monotonic())
        if refused:
            raise refused

    async def begin_anew(self) -> None:
        """Use no connection again, since another server may be the master by now. Nobody is cut off."""
        self._lookups.retire()
        with suppress(Away):
            async with self._limit():
                await self._servers.reconnect()

    def listen(self) -> AbstractAsyncContextManager[Announcements]:
        """A subscription to what other processes change."""
        return subscribe(self._servers, self._channel, self._timeout, self._me)

    def hang_up(self) -> None:
        """Begin look-ups anew on new connections: one did not answer in time."""
        self._lookups.close()

    async def aclose(self) -> None:
        """Close every connection."""
        self.hang_up()
        with suppress(Away):
            async with self._limit():
                await self._servers.aclose()

    async def _fetch_or_remove(self, key: str) -> Found | None:
        """The pin; what is there without being one goes, and nothing is announced: nobody has it."""
        found, there = await self._fetch(key)
        if found is None:
            await self._run(scripts.REMOVE, self._name(key), sha1(there or b"").hexdigest())  # noqa: S324  a checksum
        return found

    async def _fetch(self, key: str) -> tuple[Found | None, bytes | None]:
        """The pin, and what is there, a pin or not."""
        began = monotonic()
        stored, left = await self._run(scripts.FETCH, self._name(key))
        return replies.found(stored, left, began), replies.value(stored)

    async def _run(self, script: str, names: str | list[str], *arguments: Any) -> Reply:
        keys = [names] if isinstance(names, str) else names
        try:
            return await self._servers.client.eval(script, len(keys), *keys, *arguments)
        except ResponseError as error:
            if str(error).startswith("Protocol error"):
                await self._servers.reconnect()
            if is_refusal(error):
                raise Refused(str(error)) from error
            raise

    def _announcing(self, key: str) -> tuple[str, str]:
        """The channel, and what is said on it of a key."""
        return self._channel, f"{self._me} {key}"

    @asynccontextmanager
    async def _limit_for(self, key: str) -> AsyncIterator[None]:
        """The time that it takes to have all of what is under this key."""
        async with self._limit():
            size = await self._run(scripts.SIZE, self._name(key))
        async with self._limit(size):
            yield

    def _limit(self, size: int = 0) -> AbstractAsyncContextManager[None]:
        """One time-out, and more for many bytes, for all that is done inside."""
        return limit(self._timeout + size / _PACE)

    def _lease(self, key: str) -> str:
        return f"{self._prefix}:lease:{{{key}}}"

    def _waits(self, key: str) -> str:
        return f"{self._prefix}:waits:{{{key}}}"

    def _told(self, key: str) -> str:
        return f"{self._prefix}:told:{{{key}}}"

    def _name(self, key: str) -> str:
        return f"{self._prefix}:pin{FORMAT}:{{{key}}}"


def _ms(ttl: float) -> int:
    return max(1, round(ttl * 1000))
