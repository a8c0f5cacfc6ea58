"""An answer as it comes in on a connection, for whoever waits for it or takes it at once."""

import asyncio
from collections import deque
from typing import Protocol

from gateway.upstream.client import Headers, Sink, UpstreamFailure

LOW = 64 << 10  # bytes that wait for their reader, below which more may come


class Channel(Protocol):
    """The connection that an answer comes in on."""

    def hold(self) -> None:
        """The reader has enough for now."""

    def read_on(self) -> None:
        """The reader has caught up."""

    def done(self, exchange: "HttpExchange") -> None:
        """The exchange is closed."""


class HttpExchange:
    """An answer as it comes in. `idle` is how long the next bytes may take, in seconds."""

    __slots__ = (
        "_channel", "_error", "_pieces", "_sink", "_waiter", "has_head", "headers", "idle", "is_head_only",
        "is_whole", "size", "status",
    )  # fmt: skip

    def __init__(self, channel: Channel, idle: float, *, is_head_only: bool) -> None:
        self.status = 0
        self.headers: Headers = []
        self.idle = idle
        self.is_head_only = is_head_only
        self.has_head = False
        self.is_whole = False
        self.size = 0  # bytes that wait in `_pieces`
        self._pieces: deque[bytes] = deque()
        self._channel = channel
        self._sink: Sink | None = None  # takes what comes at once
        self._error: UpstreamFailure | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def head(self) -> None:
        """Wait for the head."""
        while not self.has_head:
            await self._news()

    async def piece(self) -> bytes:
        """The next bytes as they came, b"" at the end."""
        while not self._pieces:
            if self.is_whole:
                return b""
            await self._news()
        piece = self._pieces.popleft()
        self.size -= len(piece)
        if self.size < LOW:
            self._channel.read_on()
        return piece

    async def pour(self, sink: Sink) -> None:
        """The rest into a sink, each piece in the moment in which it comes. Nobody wakes up unless the sink is full."""
        while self._pieces:
            sink.push(self._pieces.popleft())
        self.size = 0
        self._sink = sink
        try:
            while not self.is_whole:
                if sink.is_full:
                    self._channel.hold()
                    await sink.drained()
                self._channel.read_on()
                await self._news()
        finally:
            self._sink = None

    def close(self) -> None:
        """Give the connection back if the answer is whole, cut it off otherwise."""
        self._channel.done(self)

    def add(self, piece: bytes) -> None:
        """Bytes of the body."""
        if self._sink is None:
            self._pieces.append(piece)
            self.size += len(piece)
            self.wake()
            return
        self._sink.push(piece)
        if self._sink.is_full:
            self._channel.hold()
            self.wake()

    def end(self, error: UpstreamFailure | None = None) -> None:
        """Nothing more will come: because that was all, or because something broke."""
        if not self.is_whole and self._error is None:
            self._error = error
            self.is_whole = error is None
            self.wake()

    def wake(self) -> None:
        """There is news for whoever waits."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _news(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
