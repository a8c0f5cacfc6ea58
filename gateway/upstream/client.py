"""The one seam to the network: a call in, an exchange of pieces out.

Whoever speaks HTTP to an upstream does it behind `Client`; nothing else in the project knows how.

* UpstreamFailure
  - Unreachable    no connection could be made; nothing was sent
  - TimedOut       nothing came in time, or the time of the whole call was over
  - Broken         the connection broke, or what came was not HTTP
    - Unheard      a new connection ended before the first byte of an answer
    - TooLong      a body over its bound
"""

from collections.abc import Callable, Sequence
from math import inf
from typing import ClassVar, NamedTuple, Protocol

from gateway.wire.fields import Fields

Headers = Sequence[tuple[str, str]]

LATE = "the answer was not whole in time"  # what a total time-out is told as


class UpstreamFailure(Exception):
    """No answer from an upstream. `reason` is one of the words that abstentions and metrics use."""

    reason: ClassVar[str] = "broken"


class Unreachable(UpstreamFailure):
    """No connection: refused, no such name, no TLS."""

    reason = "unreachable"


class TimedOut(UpstreamFailure):
    """A connection, but nothing on it for too long; or no time left for the call, with one or without."""

    reason = "timeout"


class Broken(UpstreamFailure):
    """The connection broke, or what came was not HTTP."""

    reason = "broken"


class Unheard(Broken):
    """The connection ended before the first byte of an answer."""


class TooLong(Broken):
    """A body over the bound that was set for it."""


class Call(NamedTuple):
    """One HTTP request. `url` is whole and already encoded."""

    method: str
    url: str
    headers: Headers  # `Fields` are written once, however often they are sent
    body: bytes = b""
    more: Headers = ()  # what no other call has
    # Seconds until all of its answer has to be there, if that is less than the time-outs allow.
    within: float = inf


class Sink(Protocol):
    """Where a body can go as it comes."""

    @property
    def is_full(self) -> bool:
        """Whether it should be given no more for now."""

    def push(self, piece: bytes, *, is_last: bool = False) -> None:
        """Take a piece, full or not. Where it is known to be the last one, that is said."""

    async def drained(self) -> None:
        """Wait until it is not full."""


class Exchange(Protocol):
    """An answer whose head is in. Close it in every case: before the end of its body that aborts it."""

    @property
    def status(self) -> int:
        """The status code."""

    @property
    def headers(self) -> Fields:
        """The header fields, names in lower case."""

    async def piece(self) -> bytes:
        """The next bytes of the body as they come, b"" at its end; UpstreamFailure otherwise."""

    def at_once(self) -> bytes | None:
        """The rest of the body if all of it is known to be there; None to be read piece by piece."""

    async def pour(self, sink: Sink) -> None:
        """The rest of the body into a sink, each piece as it comes, at the sink's pace; UpstreamFailure otherwise."""

    def close(self) -> None:
        """Give the connection back, or close it if the body is not at its end."""


class Client(Protocol):
    """Makes calls. One for the life of the process, with a pool of connections of its own."""

    async def send(self, call: Call) -> Exchange:
        """Send a call and wait for the head of its answer; UpstreamFailure if there is none."""

    def retire(self) -> None:
        """No new work is to come: keep no connection that nobody uses. What is under way goes on."""

    @property
    def is_over(self) -> bool:
        """Whether it is retired, and nothing is left to be closed."""

    async def aclose(self) -> None:
        """Close every connection."""


def body_at_once(exchange: Exchange, limit: int) -> bytes | None:
    """The whole body if it is there, at most `limit` bytes of it."""
    body = exchange.at_once()
    if body is not None and len(body) > limit:
        raise TooLong(f"a body of more than {limit} bytes")
    return body


async def read_all(
    exchange: Exchange, limit: int, tell: Callable[[bytes], None] | None = None, first: bytes = b""
) -> bytes:
    """The whole body, at most `limit` bytes of it. `tell` is given each piece as it comes, also one that came first."""
    pieces: list[bytes] = []
    size, piece = 0, first or await exchange.piece()
    while piece:
        size += len(piece)
        if size > limit:
            raise TooLong(f"a body of more than {limit} bytes")
        pieces.append(piece)
        if tell is not None:
            tell(piece)
        piece = await exchange.piece()
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def field(headers: Headers, name: str) -> str:
    """A header field's value, "" if it is not there. `name` in lower case."""
    return next((value for key, value in headers if key == name), "")
