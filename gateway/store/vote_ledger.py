"""The vote ledger: entries go to Redis behind everybody's back, or are dropped and counted. Nobody waits for it."""

import asyncio
from collections import deque
from itertools import islice

import msgspec

from gateway.core.ledger import Entry
from gateway.store.protocol import Store
from gateway.telemetry.metrics import Metrics

_MOST = 10_000  # entries that wait; each is about 1 KiB
_AT_ONCE = 100
_LAST = 2.0  # seconds that a process that ends spends on what still waits


class VoteLedger:
    """Appends entries to a stream of `length` entries, about, in the order in which rounds ended."""

    def __init__(self, store: Store, metrics: Metrics, length: int) -> None:
        self._store = store
        self._metrics = metrics
        self._length = length
        self._waiting: deque[Entry] = deque()
        self._writing: asyncio.Task[None] | None = None

    def note(self, entry: Entry) -> None:
        """Write this when there is time."""
        if len(self._waiting) >= _MOST:
            self._metrics.ledger_dropped.inc()
            return
        self._waiting.append(entry)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())

    async def aclose(self) -> None:
        """Write what waits, if that does not take long."""
        if (writing := self._writing) is not None:
            await asyncio.wait([writing], timeout=_LAST)
            writing.cancel()
            await asyncio.wait([writing])
        self._metrics.ledger_dropped.inc(len(self._waiting))

    async def _write(self) -> None:
        try:
            while self._waiting:
                entries = list(islice(self._waiting, _AT_ONCE))
                encoded = [*filter(None, map(_encoded, entries))]
                is_written = await self._store.append(encoded, self._length)
                for _ in entries:
                    self._waiting.popleft()
                written = len(encoded) if is_written else 0
                self._metrics.ledger_written.inc(written)
                self._metrics.ledger_dropped.inc(len(entries) - written)
        finally:
            self._writing = None


def _encoded(entry: Entry) -> bytes:
    """Nothing if it cannot be encoded, such as half a surrogate: what waits behind it is written all the same."""
    try:
        return msgspec.json.encode(entry)
    except (msgspec.MsgspecError, ValueError):
        return b""
