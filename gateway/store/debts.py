"""What Redis is still to be told: what was pinned, replaced, deleted and remembered without it."""

import logging
from collections import OrderedDict
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import NamedTuple

from redis.exceptions import ResponseError

from gateway.store.away import Away
from gateway.store.link import Link
from gateway.store.memory import MemoryStore

_LOG = logging.getLogger(__name__)

_TRIES = 3
_LARGE = 1 << 20  # no server can be told to take less, nor does less take long
_MOST = 65_536
_PASSING = 4096  # texts with an end


@dataclass(slots=True, eq=False)
class _Debt:
    """What Redis is to be told of a key: to take a pin if it has none, or the pin or its absence anyway."""

    is_forced: bool
    tries: int = 0


class _Text(NamedTuple):
    """A text, and when it ends, by `monotonic`."""

    text: str
    ends: float


class Debts:
    """By key, the oldest first; a bounded number of them. The pins themselves are in memory."""

    def __init__(self, link: Link, memory: MemoryStore) -> None:
        self._link = link
        self._memory = memory
        # Ordered: a dict looks for its first entry past deleted ones.
        self._by_key: OrderedDict[str, _Debt] = OrderedDict()
        self._texts: dict[str, _Text] = {}
        self._passing: OrderedDict[str, _Text] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_key)

    def __contains__(self, key: str) -> bool:
        return key in self._by_key

    def oldest(self) -> str:
        """The key that Redis has not been told of for longest, nor was tried to be told of."""
        return next(iter(self._by_key))

    def offer(self, key: str) -> None:
        """Redis is to take our pin if it has none."""
        self._by_key.setdefault(key, _Debt(is_forced=False))
        self._forget_some()

    def force(self, key: str) -> None:
        """Redis is to have what we have, a pin or none."""
        self._by_key[key] = _Debt(is_forced=True)
        self._forget_some()

    def forgive(self, key: str) -> None:
        """Redis knows all of this key."""
        self._by_key.pop(key, None)

    def write(self, name: str, text: str, ttl: float = inf) -> None:
        """Redis is to be told a text, which ends in so many seconds."""
        if ttl == inf:
            self._passing.pop(name, None)
            self._texts[name] = _Text(text, inf)
            return
        self._texts.pop(name, None)
        self._passing[name] = _Text(text, monotonic() + ttl)
        if len(self._passing) > _PASSING:
            self._passing.popitem(last=False)

    def text(self, name: str) -> str | None:
        """The text that Redis is still to be told."""
        told = self._texts.get(name) or self._passing.get(name)
        return told.text if told and told.ends > monotonic() else None

    async def settle_texts(self) -> None:
        """Tell Redis the texts; Away if that fails."""
        for texts in (self._texts, self._passing):
            for name, told in [*texts.items()]:
                left = told.ends - monotonic()
                if left > 0:
                    await self._link.write(name, told.text, left)
                if texts.get(name) is told:
                    del texts[name]

    async def settle(self, key: str) -> None:
        """Tell Redis what it missed of this key. Away if that fails: the others are told first then."""
        debt = self._by_key.get(key)
        if debt is None:
            return
        try:
            await self._tell(key, debt)
        except Away:
            if self._by_key.get(key) is debt:
                self._by_key.move_to_end(key)
            raise
        if self._by_key.get(key) is debt:
            del self._by_key[key]

    async def _tell(self, key: str, debt: _Debt) -> None:
        here = self._memory.look_up(key)
        if here is None and debt.is_forced:
            await self._link.delete(key)
        elif here is not None and debt.is_forced:
            await self._link.replace(key, here.pin, here.ttl)
        elif here is not None:
            found = await self._link.pin(key, here.pin, here.ttl)
            self._memory.put(key, found.pin, found.ttl)

    def is_doubtful(self, key: str, away: Away) -> bool:
        """Whether this failure may be one of the pin itself: Redis said so, or it is large."""
        here = self._memory.look_up(key)
        is_large = here is not None and len(here.pin.body) >= _LARGE
        return is_large or isinstance(away.__cause__, ResponseError)

    def doubt(self, key: str) -> None:
        """It failed while Redis took all else. After a few times Redis is spared it."""
        debt = self._by_key.get(key)
        if debt is None:
            return
        debt.tries += 1
        if debt.tries >= _TRIES:
            _LOG.warning("Redis does not take what was pinned without it under %s", key)
            del self._by_key[key]

    def _forget_some(self) -> None:
        while len(self._by_key) > _MOST:
            self._by_key.popitem(last=False)
