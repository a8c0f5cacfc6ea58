"""One HTTP/1.1 connection (RFC 9112): a request out, an answer in, as an Exchange.

The parser is llhttp, Node's, through httptools. It says where messages begin and end; what this file adds is
who waits for what, and what it means when the connection ends.
"""

import asyncio
from collections.abc import Callable
from math import inf
from typing import NamedTuple, cast

import httptools

from gateway.heads import Heads
from gateway.upstream.client import LATE, Broken, TimedOut, Unheard, UpstreamFailure, field
from gateway.upstream.exchange import HttpExchange
from gateway.wire.fields import Fields

# Bytes of an answer that wait for their reader before the connection is told to wait too.
_HIGH = 256 << 10
_TOGETHER = 64 << 10  # bytes up to which head and body of a request are joined rather than written one by one
_LONGEST_HEAD = 64 << 10


class KnownHead(NamedTuple):
    """What the head of an answer says.

    `length` is that of a body which is a matter of counting, and after which the connection can be used again.
    """

    status: int
    fields: Fields
    length: int | None


KnownHeads = Heads[KnownHead]


class Connection(asyncio.Protocol):
    """A connection, in use by one exchange at a time. `release` takes it back when it can be used again."""

    def __init__(
        self,
        heads: KnownHeads,
        release: Callable[["Connection"], None],
        forget: Callable[["Connection"], None],
    ) -> None:
        self.deadline = inf  # by the loop's clock: when to give up, or when it has been idle for too long
        self._ends = inf  # by the same clock: when the answer has to be whole
        self.is_open = False
        self._heads = heads
        self._release = release
        self._forget = forget
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._exchange: HttpExchange | None = None
        self._parser: httptools.HttpResponseParser | None = None  # from the first byte of an answer on
        self._rest = _Rest(self)
        self._fields: list[tuple[str, str]] = []  # of the head that is being read
        self._pieces: list[bytes] = []  # of the body, in what is being read
        self._received = 0
        self._is_announced = False  # another head (1xx) came before that of the answer
        self._is_at_end = False
        self._is_paused = False
        self._is_reusable = False

    def start(self, request: bytes, body: bytes, exchange: HttpExchange, begins: float, ends: float) -> None:
        """Send a request; its answer, which begins and ends by these times, goes to the exchange."""
        self._exchange = exchange
        self._parser = None
        self._received = 0
        self._is_announced = self._is_at_end = self._is_reusable = False
        self.deadline = min(begins, ends)
        self._ends = ends
        if len(body) <= _TOGETHER:
            self._transport.write(request + body)
        else:
            self._transport.write(request)
            self._transport.write(body)

    def done(self, exchange: HttpExchange) -> None:
        """The exchange is closed: back to the pool, or off."""
        if self._exchange is not exchange:
            return
        self._exchange = None
        is_sent = not self._transport.get_write_buffer_size()
        if exchange.is_whole and self._is_reusable and self.is_open and is_sent:
            self.read_on()
            self._release(self)
        else:
            self.abort()

    def give_up(self) -> None:
        """The deadline has passed."""
        if self._exchange is None:
            self.abort()
        elif self.deadline >= self._ends:
            self.fail(TimedOut(LATE))
        else:
            self.fail(TimedOut("nothing came in time"))

    def fail(self, error: UpstreamFailure) -> None:
        """Tell whoever waits, and end the connection."""
        if self._exchange is not None:
            self._exchange.break_off(error)
        self.abort()

    def abort(self) -> None:
        """End the connection at once; what is not sent yet never will be."""
        self.is_open = False
        self._transport.abort()

    def hold(self) -> None:
        """The reader has enough for now."""
        if not self._is_paused and self.is_open:
            self._is_paused = True
            self._transport.pause_reading()
            self.deadline = self._ends

    def read_on(self) -> None:
        """The reader has caught up."""
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()
            self._expect_more()

    # What the transport says.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own are no subclass of it
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        """Bytes of an answer; without a question they are nothing that this connection can be trusted with."""
        exchange = self._exchange
        if exchange is None or exchange.is_whole:
            self._is_reusable = False
            if exchange is None:
                self.abort()
            return
        self._received += len(data)
        body = self._begin(data, exchange) if self._parser is None else None
        if body is None:
            self._read(data, exchange)
        else:
            exchange.came(body, is_last=True)

    def connection_lost(self, exc: Exception | None) -> None:
        """The end of the connection is the end of an answer that has no other (RFC 9112, section 6.3).

        Unless it was we who ended it.
        """
        was_open, self.is_open = self.is_open, False
        self._forget(self)
        exchange = self._exchange
        if exchange is None or exchange.is_whole:
            return
        if not self._received:
            exchange.break_off(Unheard(str(exc) if exc else "the server closed the connection"))
        elif exc is None and was_open and exchange.has_head and _ends_with_connection(exchange):
            exchange.came(b"", is_last=True)
        else:
            exchange.break_off(Broken(str(exc) if exc else "the answer broke off"))

    def _read(self, data: bytes, exchange: HttpExchange) -> None:
        error = self._parse(data, exchange)
        if self._pieces or self._is_at_end:
            exchange.came(self._body(), is_last=self._is_at_end)
        if error is not None:
            self._is_reusable = False
            if not exchange.is_whole:
                self.fail(Broken(f"not HTTP: {error}"))
        elif not exchange.has_head:
            if self._received > _LONGEST_HEAD:
                self.fail(Broken(f"a head of more than {_LONGEST_HEAD} bytes"))
        elif exchange.size > _HIGH:
            self.hold()
        elif not (self._is_paused or self._is_at_end):  # all of the head has to be in by the first deadline
            self._expect_more()

    def _parse(self, data: bytes, exchange: HttpExchange) -> Exception | None:
        """Let the parser say what these bytes are; what is wrong with them."""
        parser = self._parser
        assert parser is not None
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            return error
        is_first = self._received == len(data)
        if is_first and self._fields and exchange.has_head and not self._is_announced:
            length = _counted(exchange) if self._is_reusable else None
            self._heads.keep(data, KnownHead(exchange.status, exchange.headers, length))
        return None

    def _begin(self, data: bytes, exchange: HttpExchange) -> bytes | None:
        """Get ready for an answer that begins so; its body, if its head is known and nothing but that is there.

        Otherwise a parser is needed, which need not tell what a known head says.
        """
        self._fields = []
        found = None if exchange.is_head_only else self._heads.find(data)
        if found is None:
            self._parser = httptools.HttpResponseParser(self)
            return None
        head, end = found
        exchange.begin(head.status, head.fields)
        if head.length == len(data) - end:
            self._is_at_end = self._is_reusable = True
            return data[end:]
        self._parser = httptools.HttpResponseParser(self._rest)
        return None

    def _body(self) -> bytes:
        """What came of the body with what was read last: one piece, so that it goes on as one."""
        pieces = self._pieces
        if not pieces:
            return b""
        self._pieces = []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    # What the parser says.

    def on_message_begin(self) -> None:
        """Another answer after the end of ours: one too many."""
        if self._is_at_end:
            self._is_reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head, or of the trailers, which nobody wants."""
        if self._exchange is not None and not self._exchange.has_head:
            self._fields.append((name.lower().decode("latin-1"), value.decode("utf-8", "surrogateescape")))

    def on_headers_complete(self) -> None:
        """The head is in, unless it only announces another one (1xx)."""
        exchange, parser = self._exchange, self._parser
        if exchange is None or parser is None or exchange.has_head:
            return
        status = parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            self._is_announced = True
            self._fields = []
            return
        exchange.begin(status, Fields(self._fields))
        if exchange.is_head_only:  # the parser cannot know that no body follows, so it is not asked again
            self.on_message_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body, without its chunk's frame."""
        if not self._is_at_end:
            self._pieces.append(body)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        exchange, parser = self._exchange, self._parser
        if exchange is not None and parser is not None and exchange.has_head and not self._is_at_end:
            self._is_reusable = parser.should_keep_alive()
            self._is_at_end = True

    def _expect_more(self) -> None:
        if self._exchange is not None:
            deadline = self._loop.time() + self._exchange.idle
            self.deadline = min(self._ends, deadline)


class _Rest:
    """What a parser tells of an answer whose head is known."""

    def __init__(self, connection: Connection) -> None:
        self.on_message_begin = connection.on_message_begin
        self.on_body = connection.on_body
        self.on_message_complete = connection.on_message_complete


def _counted(exchange: HttpExchange) -> int | None:
    """How long a body is that is as long as its head says (RFC 9112, section 6.3)."""
    length = field(exchange.headers, "content-length")
    is_counted = length.isdigit() and not field(exchange.headers, "transfer-encoding")
    has_body = exchange.status >= 200 and exchange.status not in {204, 304}
    return int(length) if is_counted and has_body else None


def _ends_with_connection(exchange: HttpExchange) -> bool:
    return not {name for name, _ in exchange.headers} & {"content-length", "transfer-encoding"}
