"""The embedded store: this process's memory, bounded in bytes, the least recently used pin goes first."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import TypeVar

from gateway.core.pin import Pin
from gateway.core.rate import Draw, Level
from gateway.store.protocol import LEASE, Found
from gateway.store.rates import Rates

Kept = TypeVar("Kept")

# What an entry costs beside its body: the pin, its key, the table's slot. Measured on CPython 3.11 as 0.9 KiB.
_ENTRY = 1024
_TEXTS = 4096  # that are remembered; each is short
_PASSING = 16_384  # those with an end, which must not drive out the others


@dataclass(slots=True)
class _Entry:
    pin: Pin
    ends: float
    size: int


class MemoryStore:
    """Pins in a dictionary. `clock` counts seconds and never goes back."""

    is_degraded = False
    is_shared = False
    lease = LEASE

    def __init__(self, limit: int, clock: Callable[[], float] = monotonic) -> None:
        self.limit = limit
        self.size = 0
        self._clock = clock
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._texts: OrderedDict[str, str] = OrderedDict()
        self._passing: OrderedDict[str, tuple[str, float]] = OrderedDict()  # and when each ends
        self._rates = Rates(clock)

    def __len__(self) -> int:
        return len(self._entries)

    def look_up(self, key: str) -> Found | None:
        """`get` without waiting, which memory never has to."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        left = entry.ends - self._clock()
        if left <= 0:
            self.drop(key)
            return None
        self._entries.move_to_end(key)
        return Found(entry.pin, left, "memory")

    def put(self, key: str, pin: Pin, ttl: float) -> None:
        """Keep a pin, at the cost of those unused for longest. One larger than the bound is not kept."""
        self.drop(key)
        size = len(pin.body) + _ENTRY
        if size > self.limit or ttl <= 0:
            return
        self._entries[key] = _Entry(pin, self._clock() + ttl, size)
        self.size += size
        while self.size > self.limit:
            self.drop(next(iter(self._entries)))

    def drop(self, key: str) -> bool:
        """Forget a pin; whether there was one."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return False
        self.size -= entry.size
        return True

    def clear(self) -> None:
        """Forget every pin."""
        self._entries.clear()
        self.size = 0

    async def get(self, key: str) -> Found | None:
        """The pin under this key, if it lives."""
        return self.look_up(key)

    async def pin(self, key: str, pin: Pin, ttl: float, leader: str = "") -> Pin:  # noqa: ARG002  the protocol's
        """Pin unless something is pinned already; the pin that holds."""
        found = self.look_up(key)
        if found is not None:
            return found.pin
        self.put(key, pin, ttl)
        return pin

    async def replace(self, key: str, pin: Pin, ttl: float) -> None:
        """Pin whatever was there before."""
        self.put(key, pin, ttl)

    async def delete(self, key: str) -> bool:
        """Remove a pin; whether there was a living one."""
        return self.look_up(key) is not None and self.drop(key)

    async def claim(self, key: str, owner: str) -> bool:  # noqa: ARG002  the protocol's
        """Granted unless there is a pin: this process's flights let nobody else ask."""
        return self.look_up(key) is None

    async def release(self, key: str, owner: str, told: bytes = b"") -> None:
        """Nobody waits."""

    async def follow(self, key: str, owner: str) -> Found | None:  # noqa: ARG002  the protocol's
        """The pin under this key, if it lives: nobody else leads."""
        return self.look_up(key)

    async def leave(self, key: str, owner: str) -> None:
        """Nobody leads."""

    async def outlast(self, key: str) -> None:
        """Nobody waits."""

    async def remember(self, name: str, value: str, ttl: float = inf) -> None:
        """Keep a short text under a name; of very many, the ones told last."""
        if ttl == inf:
            self._passing.pop(name, None)
            _put(self._texts, name, value, _TEXTS)
        else:
            self._texts.pop(name, None)
            _put(self._passing, name, (value, self._clock() + ttl), _PASSING)

    async def recall(self, name: str) -> str | None:
        """The text under this name."""
        text, ends = self._passing.get(name, (None, 0.0))
        return text if ends > self._clock() else self._texts.get(name)

    async def append(self, entries: Sequence[bytes], length: int) -> bool:  # noqa: ARG002  the protocol's
        """There is no ledger here."""
        return False

    async def draw(self, tenant: str, draws: Sequence[Draw]) -> list[Level]:
        """Draw from a tenant's buckets."""
        return self._rates.draw(tenant, draws)

    def sizes(self) -> dict[str, int]:
        """Entries, bytes and the bound."""
        return {"entries": len(self._entries), "bytes": self.size, "limit": self.limit}

    async def aclose(self) -> None:
        """Nothing to let go of."""


def _put(texts: OrderedDict[str, Kept], name: str, kept: Kept, most: int) -> None:
    texts[name] = kept
    texts.move_to_end(name)
    if len(texts) > most:
        texts.popitem(last=False)
