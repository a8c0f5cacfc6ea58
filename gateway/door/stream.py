"""An answer that has begun, and whose body comes piece by piece."""

from typing import Protocol

_END = b"0\r\n\r\n"  # of a chunked body


class Line(Protocol):
    """Where the bytes go."""

    @property
    def is_full(self) -> bool:
        """Whether the client has not read what was sent before."""

    def send(self, data: bytes) -> None:
        """Send bytes, to nobody if the client has left."""

    async def drained(self) -> None:
        """Wait until the client has caught up; ConnectionResetError if it leaves, or has left."""

    def abort(self) -> None:
        """End the connection at once."""


class Stream:
    """The body of an answer whose head is out: of known length, in chunks, or up to the connection's end."""

    __slots__ = ("_is_bare", "_is_chunked", "_left", "_line", "is_ended", "status")

    def __init__(self, line: Line, status: int, length: int | None, *, chunked: bool, bare: bool) -> None:
        self.status = status
        self.is_ended = False
        self._line = line
        self._left = length
        self._is_chunked = chunked
        self._is_bare = bare  # HEAD, 204, 304: what is written goes nowhere

    @property
    def is_full(self) -> bool:
        """Whether the client has not read what was sent before."""
        return self._line.is_full

    def push(self, piece: bytes, *, is_last: bool = False) -> None:
        """Send a piece at once, however slowly the client reads. After the last one nothing but the end may come."""
        framed = self.framed(piece)
        if is_last and framed and self._is_chunked:
            self.is_ended = True
            framed += _END
        if framed:
            self._line.send(framed)

    def framed(self, piece: bytes) -> bytes:
        """A piece as the line carries it, for whoever sends it."""
        if not piece or self._is_bare:
            return b""
        if self._left is not None:
            self._left -= len(piece)
        return b"%x\r\n%b\r\n" % (len(piece), piece) if self._is_chunked else piece

    async def drained(self) -> None:
        """Wait while the client reads slowly; ConnectionResetError if it leaves, or has left."""
        await self._line.drained()

    async def write(self, piece: bytes) -> None:
        """Send a piece at once, then wait while the client reads slowly; ConnectionResetError if it has left."""
        self.push(piece)
        await self._line.drained()

    def end(self) -> None:
        """That was all."""
        if self.is_ended:
            return
        if self._left and not self._is_bare:
            self.abort()  # it promised more, or less
            return
        if self._is_chunked and not self._is_bare:
            self._line.send(_END)
        self.is_ended = True

    def abort(self) -> None:
        """Break off: what was cut short must not look whole."""
        self._line.abort()
