"""One client's requests: read ahead a little, answered one after the other."""

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine
from math import inf
from typing import Any

from gateway.door.answer import BARE, Answer, encode_head
from gateway.door.head import Head
from gateway.door.line import Line
from gateway.door.reading import Reading
from gateway.door.request import Reply, Request
from gateway.door.site import Site
from gateway.door.stream import Stream
from gateway.errors import ClientError, RequestTimeout

_LOG = logging.getLogger("gateway")
_TOGETHER = 64 << 10  # bytes up to which head and body are joined rather than written one after the other


class Connection(Line):
    """Takes requests off a line and gives them to the application, one at a time."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.max_body = site.bounds.max_body
        self.task: asyncio.Task[None] | None = None  # that makes the answer, if it takes time
        self._application = site.application
        self._reading = Reading(self, site.bounds, site.heads)
        self._waiting: deque[Request] = deque()
        self._request: Request | None = None  # that is being answered
        self._stream: Stream | None = None  # its answer, if that has begun
        self._refusal: ClientError | None = None  # to be told once all that came before is answered
        self._owes_continue = False
        self._stays = True  # whether the connection outlives the answer

    @property
    def is_busy(self) -> bool:
        """Whether there is something to answer or to send."""
        return self._request is not None or self.unsent > 0

    def drain(self) -> None:
        """End it if it is idle; otherwise its next answer is the last."""
        if self._request is None and self._reading.is_between and not self.is_closing:
            self.hang_up(is_heard=True)

    def expire(self) -> None:
        """The deadline has passed."""
        if self.gets_on():
            return
        if self.is_closing or self.is_full:
            self.abort()
        elif self._request is not None:
            self.deadline = inf
        elif self._reading.is_between:
            self.hang_up(is_heard=True)
        else:
            self._reading.give_up(RequestTimeout("the request did not come in time"))
            self._advance()

    # What the transport says.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        super().connection_made(transport)
        self._site.connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of requests; after the last one nobody listens."""
        reading = self._reading
        if reading.is_over:
            return
        reading.feed(data)
        if self._waiting or self._owes_continue or self._refusal is not None:
            self._advance()
        if reading.is_in_body and self._request is None:
            self.deadline = self._site.now + self._bounds.body

    def resume_writing(self) -> None:
        """The client has caught up: the next one, if nobody else waited for that."""
        super().resume_writing()
        if self._request is None:
            self._advance()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody waits for an answer any more."""
        super().connection_lost(exc)
        self._site.connections.discard(self)
        self._waiting.clear()
        if self.task is not None:  # not before its first step, without which nothing in it would ever run
            self._site.loop.call_soon(self.task.cancel)

    # What was read.

    def begun(self) -> None:
        """A request has begun."""
        self.deadline = self._site.now + self._bounds.head

    def asked_to_continue(self) -> None:
        """Its client waits for a word before it sends the body."""
        self._owes_continue = True

    def take(self, head: Head, body: bytes, problem: ClientError | None = None) -> None:
        """It is in."""
        self._owes_continue = False
        self._waiting.append(Request(head, body, problem, self))

    def refuse(self, error: ClientError) -> None:
        """It is none."""
        self._refusal = error

    # Answering.

    def begin(self, request: Request, status: int, lines: str, length: int | None, first: bytes) -> Stream:
        """Send the head of an answer whose body is to come, and what of it is there."""
        is_bare = request.method == "HEAD" or status in BARE
        is_chunked = length is None and status not in BARE and request.head.is_http11
        is_delimited = is_bare or is_chunked or length is not None
        lines += self._connection_line(request, is_delimited=is_delimited)
        if is_chunked:
            lines += "transfer-encoding: chunked\r\n"
        elif length is not None and status not in BARE:
            lines += f"content-length: {length}\r\n"
        stream = self._stream = Stream(self, status, length, chunked=is_chunked, bare=is_bare)
        self.send(encode_head(status, lines, self._site.date) + stream.framed(first))
        return stream

    def _advance(self) -> None:
        """Answer what waits, as far as that can be done at once, and see what is next."""
        waiting = self._waiting
        while waiting and self._request is None and not (self.is_full or self.is_closing):
            self._serve(waiting.popleft())
        if self.is_closing:
            return
        if waiting:
            self.pause()
        elif self._request is None and not self.is_full:
            self._hear_on()

    def _hear_on(self) -> None:
        """All is answered: it is the client's turn, unless there is something else to be told."""
        if self._refusal is not None:
            self._send_whole(self._application.refuse(self._refusal), "", "connection: close\r\n")
            self.hang_up(is_heard=False)
            return
        bounds = self._bounds
        self.deadline = self._site.now + (bounds.idle if self._reading.is_between else bounds.head)
        self.listen()
        if self._owes_continue:
            self._owes_continue = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _serve(self, request: Request) -> None:
        reply = self._application(request)
        if isinstance(reply, Answer):
            self._finish(request, reply)
        else:
            self._request = request
            self.deadline = inf
            self.task = self._site.loop.create_task(self._wait_for(request, reply))

    async def _wait_for(self, request: Request, coming: Coroutine[Any, Any, Reply]) -> None:
        try:
            reply = await coming
            self._request = self.task = None
            if isinstance(reply, Answer) and self._stream is None:
                self._finish(request, reply)
            else:
                self._finish_stream()
        except Exception:  # noqa: BLE001  the application raises none, but what it answers may be unfit to send
            _LOG.exception("an answer to %s %s could not be sent", request.method, request.path)
            self.abort()
        else:
            self._advance()

    def _finish(self, request: Request, answer: Answer) -> None:
        self._send_whole(answer, request.method, self._connection_line(request))
        if not self._stays:
            self._say_goodbye()

    def _finish_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is None or not stream.is_ended:
            self.abort()  # an answer cut short must not look whole
        elif not self._stays:
            self._say_goodbye()

    def _say_goodbye(self) -> None:
        self._waiting.clear()
        self.hang_up(is_heard=self._reading.is_between and not self._reading.is_cut)
        self._reading.is_over = True

    def _send_whole(self, answer: Answer, method: str, connection: str) -> None:
        body, lines = answer.body, answer.lines
        if answer.status in BARE:
            body = b""
        else:
            lines = f"{lines}content-length: {len(body)}\r\n"
            if method == "HEAD":
                body = b""
        head = encode_head(answer.status, lines + connection, self._site.date)
        if self._transport.is_closing():
            return  # the client has left
        if len(body) <= _TOGETHER:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)

    def _connection_line(self, request: Request, *, is_delimited: bool = True) -> str:
        """The field that says whether the connection stays; noted for the end of the answer."""
        head = request.head
        self._stays = is_delimited and head.keep_alive and not (self._site.is_draining or request.is_broken)
        if self._stays:
            return "" if head.is_http11 else "connection: keep-alive\r\n"
        return "connection: close\r\n"
