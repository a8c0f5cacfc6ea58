"""A request, as whoever answers it sees it."""

from collections.abc import Coroutine
from typing import Any, Protocol

from gateway.door.answer import Answer, Fields, field_lines
from gateway.door.decoding import decode
from gateway.door.head import Head
from gateway.door.stream import Stream
from gateway.errors import ClientError, GatewayError


class Origin(Protocol):
    """The connection that a request came on."""

    remote: str  # the client's address, "" if it has none
    max_body: int  # bytes that a body may have once it is decoded

    def begin(self, request: "Request", status: int, lines: str, length: int | None, first: bytes) -> Stream:
        """Send the head of an answer whose body is to come, and what of it is there."""


class Request:
    """One request, whole: nothing of it is still to come."""

    __slots__ = ("_body", "_origin", "_problem", "head", "headers", "method", "path")

    def __init__(self, head: Head, body: bytes, problem: ClientError | None, origin: Origin) -> None:
        self.head = head
        self.method = head.method
        self.path = head.path  # decoded, without the query
        self.headers = head.headers
        self._body = body
        self._problem = problem
        self._origin = origin

    @property
    def is_broken(self) -> bool:
        """Whether its body could not be taken, so that nothing can follow it."""
        return self._problem is not None

    @property
    def target(self) -> str:
        """Path and query as they came."""
        return self.head.target

    @property
    def host(self) -> str:
        """Whom the request is for, with the port where there is one."""
        return self.head.host

    @property
    def remote(self) -> str:
        """The client's address."""
        return self._origin.remote

    def read(self) -> bytes:
        """The body, decoded; a ClientError says what is wrong with it."""
        if self._problem is not None:
            raise self._problem
        coding = self.head.coding
        return self._body if coding is None else decode(self._body, coding, self._origin.max_body)

    def begin(
        self,
        status: int,
        fields: Fields = (),
        *,
        lines: str = "",
        length: int | None = None,
        first: bytes = b"",
    ) -> Stream:
        """Begin an answer whose body is still to come, of `length` bytes if that is known, `first` what is there of it.

        `lines` are fields that are written already, by `field_lines`.
        From here on nothing but the stream can be answered.
        """
        return self._origin.begin(self, status, lines + field_lines(fields), length, first)


Reply = Answer | Stream


class Application(Protocol):
    """Answers requests. Raises nothing."""

    def __call__(self, request: Request) -> Answer | Coroutine[Any, Any, Reply]:
        """The answer at once, or a reply, which will be waited for, and is cancelled if the client leaves."""

    def refuse(self, error: GatewayError) -> Answer:
        """The answer to what is no request."""
