"""An answer as it comes in on a connection, for whoever waits for it or takes it at once."""

import asyncio
from collections import deque
from typing import Protocol

from gateway.upstream.client import Sink, UpstreamFailure
from gateway.wire.fields import Fields

LOW = 64 << 10  # bytes that wait for their reader, below which more may come

_NONE = Fields()


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
        "_channel", "_error", "_loop", "_pieces", "_sink", "_waiter", "has_head", "headers", "idle", "is_head_only",
        "is_whole", "size", "status",
    )  # fmt: skip

    def __init__(
        self, channel: Channel, loop: asyncio.AbstractEventLoop, idle: float, *, is_head_only: bool
    ) -> None:
        self.status = 0
        self.headers = _NONE
        self.idle = idle
        self.is_head_only = is_head_only
        self.has_head = False
        self.is_whole = False
        self.size = 0  # bytes that wait in `_pieces`
        self._pieces: deque[bytes] = deque()
        self._channel = channel
        self._loop = loop
        self._sink: Sink | None = None  # takes what comes at once
        self._error: UpstreamFailure | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def piece(self) -> bytes:
        """The next bytes as they came, b"" at the end."""
        while not self._pieces:
            if self.is_whole:
                return b""
            await self.news()
        piece = self._pieces.popleft()
        self.size -= len(piece)
        if self.size < LOW:
            self._channel.read_on()
        return piece

    def at_once(self) -> bytes | None:
        """The rest of the body, if all of it is there."""
        if not self.is_whole:
            return None
        pieces, self._pieces, self.size = self._pieces, deque(), 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def pour(self, sink: Sink) -> None:
        """The rest into a sink, each piece in the moment in which it comes. Nobody wakes up unless the sink is full."""
        while self._pieces:
            piece = self._pieces.popleft()
            sink.push(piece, is_last=self.is_whole and not self._pieces)
        self.size = 0
        self._sink = sink
        try:
            while not self.is_whole:
                if sink.is_full:
                    self._channel.hold()
                    await sink.drained()  # meanwhile the rest may come
                else:
                    self._channel.read_on()
                    await self.news()
        finally:
            self._sink = None

    def close(self) -> None:
        """Give the connection back if the answer is whole, cut it off otherwise."""
        self._channel.done(self)

    def begin(self, status: int, headers: Fields) -> None:
        """The head is in."""
        self.status, self.headers, self.has_head = status, headers, True
        self._wake()

    def came(self, piece: bytes, *, is_last: bool) -> None:
        """Bytes of the body, if there are any, and whether that was all."""
        self.is_whole = is_last
        sink = self._sink
        if sink is None:
            if piece:
                self._pieces.append(piece)
                self.size += len(piece)
        elif piece:
            sink.push(piece, is_last=is_last)
            if sink.is_full:
                self._channel.hold()
            elif not is_last:
                return
        self._wake()

    def break_off(self, error: UpstreamFailure) -> None:
        """Nothing more will come."""
        if not self.is_whole and self._error is None:
            self._error = error
            self._wake()

    def _wake(self) -> None:
        """There is news for whoever waits."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def news(self) -> "asyncio.Future[None]":
        """Done when there is more of the answer, or something is wrong with it, which is raised the next time."""
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        return self._waiter
