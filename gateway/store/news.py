"""What a vote tells before it has landed."""

from collections.abc import Awaitable, Callable

Watcher = Callable[[bytes], None]


class News:
    """That a first sample is in, and what of a live stream may be shown already.

    A watcher is called at once for each piece, and with no bytes for the first sample; one that comes late is
    first given all that was told before. Watchers raise nothing.
    """

    def __init__(self) -> None:
        self.is_elsewhere = False  # another process votes, and this one waits for its verdict
        # Returns once no other process waits for this vote.
        self.outlast: Callable[[], Awaitable[None]] | None = None
        self._has_sample = False
        self._told: list[bytes] = []
        self._watchers: list[Watcher] = []

    def watch(self, watcher: Watcher) -> None:
        """Tell this one, too."""
        self._watchers.append(watcher)
        if self._told:
            self._told = [b"".join(self._told)]
            watcher(self._told[0])
        elif self._has_sample:
            watcher(b"")

    def leave(self, watcher: Watcher) -> None:
        """Tell this one no more."""
        self._watchers.remove(watcher)

    def tell(self, piece: bytes) -> None:
        """Bytes that every watcher's client is to have next."""
        self._told.append(piece)
        for watcher in self._watchers:
            watcher(piece)

    def sample_came(self) -> None:
        """A usable sample is in."""
        if not (self._has_sample or self._told):
            for watcher in self._watchers:
                watcher(b"")
        self._has_sample = True
