"""Requests out of bytes. llhttp, through httptools, says where they begin and end; here they are put together and
bounded.
"""

from typing import Protocol

import httptools

from gateway.door.bounds import Bounds
from gateway.door.head import Head, read_head
from gateway.errors import BadRequest, ClientError, HeaderTooLarge, TooLarge
from gateway.heads import Heads


class Listener(Protocol):
    """Who is told of what was read."""

    def begun(self) -> None:
        """The first byte of a request is in."""

    def asked_to_continue(self) -> None:
        """A client waits to be told that it may send its body."""

    def take(self, head: Head, body: bytes, problem: ClientError | None = None) -> None:
        """A request is in, or enough of it to say what is wrong with its body."""

    def refuse(self, error: ClientError) -> None:
        """What came is no request. Nothing will be taken any more."""


class Reading:
    """The requests of one connection, as its bytes come in."""

    def __init__(self, listener: Listener, bounds: Bounds, heads: Heads[Head]) -> None:
        self.is_between = True  # no request has begun that has not ended
        self.is_over = False  # nothing more is read: the client said so, or what it sent cannot be followed
        self.is_cut = False  # it is over, and more may still come
        self._listener = listener
        self._bounds = bounds
        self._heads = heads
        self._parser = httptools.HttpRequestParser(self)
        self._head: Head | None = None
        self._target = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._body = bytearray()
        self._size = 0  # of the head's fields
        self._missing = 0  # bytes of the body of a request whose head was recognised
        self._begun = 0  # requests that began in these bytes; one that offers to upgrade begins twice
        self._quiet = 0  # bytes since anything was learnt from them
        self._is_quiet = False

    @property
    def is_in_body(self) -> bool:
        """Whether a body is on its way that somebody wants."""
        return not (self.is_between or self.is_over) and self._head is not None

    def give_up(self, error: ClientError) -> None:
        """Read no further, for this reason."""
        if not self.is_over:
            self.is_over = self.is_cut = True
            self._listener.refuse(error)

    def feed(self, data: bytes) -> None:
        """Read on."""
        while data and not self.is_over:
            if self._missing:
                data = self._read_body(data)
            elif self.is_between and (known := self._heads.find(data)):
                data = self._recognise(*known, data)
            else:
                self._begun = 0
                self._parse(data)
                return

    def _recognise(self, head: Head, end: int, data: bytes) -> bytes:
        """Begin a request whose head is known and ends here; what follows the request."""
        length = head.length or 0
        self._missing = length - len(data) + end
        if self._missing <= 0:
            self._missing = 0
            self._take(head, data[end : end + length])
            return data[end + length :]
        self.is_between = False
        self._head, self._body = head, bytearray(data[end:])
        self._listener.begun()
        if head.expects_continue:
            self._listener.asked_to_continue()
        return b""

    def _read_body(self, data: bytes) -> bytes:
        """More of the body of such a request; what follows the request."""
        piece, rest = data[: self._missing], data[self._missing :]
        self._body += piece
        self._missing -= len(piece)
        if not self._missing and self._head is not None:
            self._take_collected(self._head)
        return rest

    def _take_collected(self, head: Head) -> None:
        body, self._body = self._body, bytearray()
        self._take(head, bytes(body))

    def _take(self, head: Head, body: bytes) -> None:
        self.is_between = True
        self.is_over = not head.keep_alive
        self._listener.take(head, body)

    def _parse(self, data: bytes) -> None:
        is_first = self.is_between
        self._is_quiet = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as stopped:
            self._read_on(data[stopped.args[0] :])
        except httptools.HttpParserError as error:
            self.give_up(BadRequest(f"not HTTP/1.1: {error}"))
        if is_first and self._begun == 1 and not self.is_cut:
            self._remember(data)
        self._quiet = self._quiet + len(data) if self._is_quiet else 0
        if self._quiet > self._bounds.max_head:
            self.give_up(self._too_large())

    def _remember(self, data: bytes) -> None:
        """Know the head again with which these bytes begin, if then its body is a matter of counting."""
        if self._head is not None and self._head.length is not None:
            self._heads.keep(data, self._head)

    def _read_on(self, rest: bytes) -> None:
        """llhttp stops where another protocol would begin. None does here, so the request is read without the offer."""
        parser, self._parser = self._parser, httptools.HttpRequestParser(self)
        fields = [pair for pair in self._fields if pair[0].lower() != b"upgrade"]
        version = parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (parser.get_method(), self._target, version), *map(b": ".join, fields)]
        if not self.is_over:
            self._parse(b"\r\n".join(lines) + b"\r\n\r\n" + rest)

    def _cut(self, head: Head) -> None:
        self.is_over = self.is_cut = True
        limit = self._bounds.max_body
        self._listener.take(head, b"", TooLarge(f"the body is over limits.max_body, {limit} bytes"))

    def _too_large(self) -> HeaderTooLarge:
        return HeaderTooLarge(f"the header is over {self._bounds.max_head} bytes")

    # What the parser says. After the end of what is read it may still say more of the same bytes.

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._is_quiet = self.is_between = False
        self._begun += 1
        self._head, self._target, self._fields, self._body, self._size = None, b"", [], bytearray(), 0
        if not self.is_over:
            self._listener.begun()

    def on_url(self, part: bytes) -> None:
        """A part of the target."""
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head, or of the trailers, which nobody wants."""
        if self._head is None:
            self._fields.append((name, value))
            self._size += len(name) + len(value) + 4

    def on_headers_complete(self) -> None:
        """The head is in."""
        parser = self._parser
        if self.is_over or (parser.should_upgrade() and parser.get_method() != b"CONNECT"):
            return
        if self._size + len(self._target) > self._bounds.max_head:
            self.give_up(self._too_large())
            return
        try:
            head = self._head = read_head(
                parser.get_method(),
                self._target,
                parser.get_http_version(),
                self._fields,
                keep_alive=parser.should_keep_alive(),
            )
        except ClientError as error:
            self.give_up(error)
            return
        if head.length and head.length > self._bounds.max_body:
            self._cut(head)
        elif head.length != 0 and head.expects_continue:
            self._listener.asked_to_continue()

    def on_body(self, piece: bytes) -> None:
        """A piece of the body, without its chunk's frame."""
        self._is_quiet = False
        if self.is_over or self._head is None:
            return
        self._body += piece
        if len(self._body) > self._bounds.max_body:
            self._cut(self._head)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self.is_over or self._head is None:
            return
        self._take_collected(self._head)
