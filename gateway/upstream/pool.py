"""The upstreams of a process: which are there, which serve a model, who may be asked now."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from math import inf
from random import random
from time import monotonic

from gateway.memo import LONGEST
from gateway.store.protocol import Store
from gateway.upstream.fingerprints import Fingerprints
from gateway.upstream.holders import Holders
from gateway.upstream.turns import LoneTurn, RoundTurn, Table, Turn
from gateway.upstream.upstream import Upstream

_LOG = logging.getLogger(__name__)

_MODELS = 1000  # names for which it is kept who may be asked: models are few, made-up names are not


class Pool:
    """All upstreams of a process. `clock` counts seconds and never goes back, `random` draws from [0, 1)."""

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        store: Store,
        *,
        interval: float = 5.0,
        clock: Callable[[], float] = monotonic,
        random: Callable[[], float] = random,
    ) -> None:
        self.upstreams = tuple(upstreams)
        self.first_look = asyncio.Event()  # set once it and its probes have ended for all, well or badly
        self._interval = interval  # seconds between two looks at an upstream
        self._clock = clock
        self._random = random
        self.holders = Holders(store, self.upstreams)
        self._fingerprints = Fingerprints(store, self.upstreams, self.candidates)
        self._tables: dict[tuple[str, str], Table] = {}  # by model and lane
        self._lone = LoneTurn(self.upstreams[0]) if len(self.upstreams) == 1 else None
        for upstream in self.upstreams:
            upstream.followers.add(self)

    @property
    def down(self) -> list[str]:
        """Names of the upstreams that cannot be reached."""
        return [upstream.name for upstream in self.upstreams if not upstream.is_up]

    @property
    def ejected(self) -> list[str]:
        """Names of the upstreams that keep failing, and are kept from requests where others are there."""
        return [upstream.name for upstream in self.upstreams if not upstream.breaker.is_closed]

    @property
    def doubted(self) -> dict[str, str]:
        """Reference lanes that are not used as such: name and reason."""
        return {each.name: each.trust.doubt for each in self.upstreams if each.trust.doubt}

    @property
    def unknown(self) -> list[str]:
        """Names of the upstreams that are there and of which nobody can say what they serve."""
        return [
            each.name
            for each in self.upstreams
            if each.is_up and not each.seen.models and not each.settings.revision
        ]

    def candidates(self, model: str) -> Sequence[Upstream]:
        """Who may answer for a model: those that serve it, else all (one of them will say that it is unknown)."""
        if len(self.upstreams) == 1:
            return self.upstreams
        return [upstream for upstream in self.upstreams if upstream.serves(model)] or self.upstreams

    def turn(self, model: str, lane: str = "fast") -> Turn:
        """Who is asked for the samples of one round, among a lane's candidates.

        Left out are those that are down, whose breaker is open, or who asked for a rest, unless that were all: a
        pool's last upstream is never taken away. Without a fast upstream the reference lane serves all; a reference
        lane that is not trusted serves nobody as such.
        """
        if self._lone is not None and lane == "fast":
            return self._lone
        return RoundTurn(partial(self._table, model, lane), self._random)

    def known_fingerprint(self, model: str) -> str | None:
        """`fingerprint` without waiting: None unless it was asked for since the pool last changed."""
        return self._fingerprints.known(model)

    async def fingerprint(self, model: str) -> str | None:
        """What the pool is for this model; None while no candidate was ever seen, by any process.

        It is remembered in the store, so that what is pinned is served while every upstream is down.
        """
        return self._fingerprints.known(model) or await self._fingerprints.make(model)

    def changed(self) -> None:
        """Somebody may have to be asked, or not to be asked, who was not before."""
        self._tables.clear()

    async def look(self) -> None:
        """Look at every upstream at once."""
        await asyncio.gather(*map(self._look_at, self.upstreams))
        self._fingerprints.tell_changes()

    async def keep_looking(self) -> None:
        """Look for ever, every few seconds, at each upstream in its own time: a slow one delays no other.

        A slow probe delays no look, and a bug in one of them does not end the others.
        """
        waited_for = set(self.upstreams)

        async def probe(upstream: Upstream) -> None:
            with _whatever_happens(upstream):
                await upstream.probe()
            waited_for.discard(upstream)
            if not waited_for:
                self.first_look.set()
                self._fingerprints.tell_changes()

        async def keep(upstream: Upstream) -> None:
            with _whatever_happens(upstream):
                await self._fingerprints.recall(upstream)
            probing: asyncio.Task[None] | None = None
            while True:
                with _whatever_happens(upstream):
                    await self._look_at(upstream)
                if probing is None or probing.done():
                    probing = group.create_task(probe(upstream))
                await asyncio.sleep(self._interval * (0.9 + 0.2 * self._random()))

        async with asyncio.TaskGroup() as group:
            for upstream in self.upstreams:
                group.create_task(keep(upstream))

    async def _look_at(self, upstream: Upstream) -> None:
        before = upstream.seen
        await upstream.look()
        await self._fingerprints.share(upstream, before)

    def _table(self, model: str, lane: str) -> Table:
        """Who may be asked now."""
        table, now = self._tables.get((model, lane)), self._clock()
        if table is None or table.until <= now:
            table = _table(_in_lane(self.candidates(model), lane), now)
            if len(self._tables) >= _MODELS:
                self._tables.clear()
            if len(model) <= LONGEST:
                self._tables[model, lane] = table
        return table


@contextmanager
def _whatever_happens(upstream: Upstream) -> Iterator[None]:
    """Go on after a bug."""
    try:
        yield
    except Exception:  # noqa: BLE001  any: nobody else would see that nobody looks any more
        _LOG.exception("a bug in what watches upstream %s", upstream.name)


def _table(candidates: Sequence[Upstream], now: float) -> Table:
    """Those that may be asked; if there are none, those that are up; if there are none, all."""
    returns = [upstream.returns(now) for upstream in candidates]
    ready = [upstream for upstream, ends in zip(candidates, returns, strict=True) if not ends]
    until = min((ends for ends in returns if ends), default=inf)
    return Table(ready or [each for each in candidates if each.is_up] or candidates, until)


def _in_lane(candidates: Sequence[Upstream], lane: str) -> Sequence[Upstream]:
    if lane == "reference":
        return [each for each in candidates if each.settings.lane == "reference" and each.trust.is_given]
    if len(candidates) == 1:
        return candidates
    return [each for each in candidates if each.settings.lane == "fast"] or candidates
