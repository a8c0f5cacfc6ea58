"""Whose turn it is: for each sample of a round another replica, and of those the less loaded one of two.

What goes first:

1. a replica that failed in this round is not asked again, as long as there is another one;
2. a sample goes to another replica than its neighbours, and to one that the round has asked least: copies on one
   server share its batch and agree with each other rather than with tomorrow's copy;
3. of the replicas that are left, two are drawn, each as likely as its weight says, and the one with less under way
   for its weight is asked.
"""

from collections.abc import Callable, Collection, Sequence
from itertools import accumulate
from typing import Protocol

from gateway.core.choice import draw_two
from gateway.upstream.upstream import Upstream


class Table:
    """Who may be asked, until a time at which somebody may come back."""

    __slots__ = ("cumulative", "until", "upstreams")

    def __init__(self, upstreams: Sequence[Upstream], until: float) -> None:
        self.upstreams = upstreams
        self.until = until
        self.cumulative = [*accumulate(upstream.settings.weight for upstream in upstreams)]


class Turn(Protocol):
    """Who is asked for the samples of one round, or for one request."""

    def pick(self, index: int = 0, tried: Collection[Upstream] = ()) -> Upstream | None:
        """Whom to ask for sample `index`, of those not tried for it if there are such; None if there is nobody."""

    def keep(self, index: int, upstream: Upstream) -> None:
        """Sample `index` stays with this one: whoever was picked for it last was not asked."""

    def avoid(self, upstream: Upstream) -> None:
        """No sample came of this one."""


class LoneTurn:
    """The turns of a pool of one: decided once."""

    __slots__ = ("_upstream",)

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    def pick(self, index: int = 0, tried: Collection[Upstream] = ()) -> Upstream | None:  # noqa: ARG002  Turn's
        """The only one, whatever it did: a pool's last upstream is never taken away."""
        return self._upstream

    def keep(self, index: int, upstream: Upstream) -> None:
        """They all do."""

    def avoid(self, upstream: Upstream) -> None:
        """There is no other."""


class RoundTurn:
    """The turns of one round. `table` gives who may be asked now, `random` draws from [0, 1)."""

    __slots__ = ("_asked", "_failed", "_random", "_table")

    def __init__(self, table: Callable[[], Table], random: Callable[[], float]) -> None:
        self._table = table
        self._random = random
        self._asked: dict[int, Upstream] = {}  # by sample, the one that was asked last
        self._failed: set[Upstream] = set()

    def pick(self, index: int = 0, tried: Collection[Upstream] = ()) -> Upstream | None:
        """Whom to ask for sample `index`, of those not tried for it if there are such; None if there is nobody."""
        table = self._table()
        upstreams, cumulative = table.upstreams, table.cumulative
        if self._asked or tried:
            upstreams = self._apart(index, upstreams, tried)
            cumulative = [*accumulate(upstream.settings.weight for upstream in upstreams)]
        if not upstreams:
            return None
        chosen = upstreams[0] if len(upstreams) == 1 else self._less_loaded(upstreams, cumulative)
        self._asked[index] = chosen
        return chosen

    def keep(self, index: int, upstream: Upstream) -> None:
        """Sample `index` stays with this one: whoever was picked for it last was not asked."""
        self._asked[index] = upstream

    def avoid(self, upstream: Upstream) -> None:
        """No sample came of this one: others go first."""
        self._failed.add(upstream)

    def _less_loaded(self, upstreams: Sequence[Upstream], cumulative: Sequence[float]) -> Upstream:
        one, other = draw_two(cumulative, self._random(), self._random())
        first, second = upstreams[one], upstreams[other]
        return second if second.load < first.load else first

    def _apart(
        self, index: int, upstreams: Sequence[Upstream], tried: Collection[Upstream]
    ) -> Sequence[Upstream]:
        """Those that keep the samples of the round apart: who was not asked yet, as long as there is one."""
        used = {*self._asked.values(), *self._failed, *tried}
        if fresh := [each for each in upstreams if each not in used]:
            return fresh
        neighbours = (self._asked.get(index - 1), self._asked.get(index + 1))
        left = [each for each in upstreams if each not in tried] or upstreams
        left = [each for each in left if each not in self._failed] or left
        left = [each for each in left if each not in neighbours] or left
        times = [sum(asked is each for asked in self._asked.values()) for each in left]
        fewest = min(times, default=0)
        return [each for each, number in zip(left, times, strict=True) if number == fewest]
