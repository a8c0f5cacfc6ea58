"""One connection to Redis for the question that every request asks: what is under this key?

Questions are written as they come (uvloop sends those of one turn of the loop in one system call) and their
answers come back in order (RESP2 pipelining): a hit costs a fraction of a system call instead of four.
Everything else Redis is asked goes through redis-py.
"""

import asyncio
from collections import deque
from typing import Any, Final, cast

import hiredis

from gateway.store.servers import Entrance

Reply = Any
Pair = tuple[Reply, Reply]

_PARTS = 4  # of the time-out; a question ends in the last of them
_NONE: Final = object()


class PipeBroken(ConnectionError):
    """The connection ended, or what came over it was no answer to what was asked."""


class Pipe(asyncio.Protocol):
    """A pipelined connection. Nobody waits longer than `timeout` seconds, then the connection is closed.

    A question is two commands, and its answer both replies, errors among them as hiredis.ReplyError. One clock
    watches over all questions: it ticks while there are any, and the first one is always the oldest. A process
    that was held up sees one tick, however long it stood still, and then the answers that came meanwhile.
    """

    def __init__(self, timeout: float) -> None:
        self.is_open = False
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._reader = hiredis.Reader()
        self._asked: deque[tuple[asyncio.Future[Pair], int]] = deque()  # with the tick that they came after
        self._first: Reply = _NONE  # of a pair whose second half is under way
        self._part = timeout / _PARTS
        self._ticks = 0
        self._clock: asyncio.TimerHandle | None = None

    def ask(self, commands: bytes) -> asyncio.Future[Pair]:
        """Send two encoded commands; their replies, or PipeBroken. Who stops waiting disturbs nobody."""
        if not self.is_open:
            raise PipeBroken("the connection is closed")
        self._transport.write(commands)
        answer: asyncio.Future[Pair] = self._loop.create_future()
        self._asked.append((answer, self._ticks))
        if self._clock is None:
            self._clock = self._loop.call_later(self._part, self._tick)
        return answer

    def close(self) -> None:
        """End the connection and everybody's wait."""
        self._end("the connection was closed")

    def retire(self) -> None:
        """End once everybody who asked is answered; nobody asks any more."""
        if self.is_open:
            self.ask(encode("PING") * 2).add_done_callback(self._ended)

    def _ended(self, answer: asyncio.Future[Pair]) -> None:
        answer.exception()  # read, so that it is not reported as lost
        self.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        """Replies, in the order of the commands."""
        reader = self._reader
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not False:
                if self._first is _NONE:
                    self._first = reply
                    continue
                answer, _ = self._asked.popleft()
                if not answer.done():
                    answer.set_result((self._first, reply))
                self._first = _NONE
        except (hiredis.ProtocolError, IndexError) as error:
            self._end(f"no answer to a question: {error}")
        if self._first is not _NONE and not self._asked:
            self._end("an answer to no question")

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody will be answered any more."""
        self._end(str(exc) if exc else "Redis closed the connection")

    def _tick(self) -> None:
        self._ticks += 1
        self._clock = None
        if self._asked:
            if self._ticks - self._asked[0][1] >= _PARTS:
                self._end("no answer in time")
            else:
                self._clock = self._loop.call_later(self._part, self._tick)

    def _end(self, why: str) -> None:
        if self.is_open:
            self.is_open = False
            self._transport.abort()
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
        while self._asked:
            answer, _ = self._asked.popleft()
            if not answer.done():
                answer.set_exception(PipeBroken(why))


async def open_pipe(to: Entrance, patience: float) -> Pipe:
    """Connect and log in; OSError if that fails."""
    loop = asyncio.get_running_loop()
    _, pipe = await loop.create_connection(lambda: Pipe(patience), to.host, to.port, ssl=to.tls)
    try:
        await _log_in(pipe, to)
    except BaseException:  # cancelled, too
        pipe.close()
        raise
    return pipe


async def _log_in(pipe: Pipe, to: Entrance) -> None:
    steps = []
    if to.password:
        steps.append(("AUTH", *filter(None, (to.username, to.password))))
    if to.db:
        steps.append(("SELECT", str(to.db)))
    if to.to_master:
        steps.append(("ROLE",))
    for step in steps:
        reply, _ = await pipe.ask(encode(*step) + encode("PING"))
        if isinstance(reply, hiredis.ReplyError):
            raise PipeBroken(str(reply))
        if step[0] == "ROLE" and (not isinstance(reply, list) or reply[:1] != [b"master"]):
            raise PipeBroken("it is no master")


def encode(*words: str) -> bytes:
    """One command in RESP."""
    parts = [word.encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
