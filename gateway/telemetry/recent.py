"""The latest rounds, for whoever looks on: a few remembered, and those that come told at once."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.core.record import RoundRecord

_REMEMBERED = 20

Watcher = Callable[[RoundRecord], None]


class RecentRounds:
    """Rounds as they end. Watchers raise nothing."""

    def __init__(self) -> None:
        self._latest: deque[RoundRecord] = deque(maxlen=_REMEMBERED)
        self._watchers: list[Watcher] = []

    def note(self, record: RoundRecord) -> None:
        """A round has ended."""
        self._latest.append(record)
        for watcher in self._watchers:
            watcher(record)

    @contextmanager
    def watched(self, watcher: Watcher) -> Iterator[None]:
        """Tell this one of the rounds remembered, oldest first, and of each that ends while it looks on."""
        for record in self._latest:
            watcher(record)
        self._watchers.append(watcher)
        try:
            yield
        finally:
            self._watchers.remove(watcher)
