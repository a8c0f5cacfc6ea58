"""One connection to Redis for the question that every request asks: what is under this key?

Questions are written as they come (uvloop sends those of one turn of the loop in one system call) and their
answers come back in order (RESP2 pipelining): a hit costs a fraction of a system call instead of four.
Everything else Redis is asked goes through redis-py.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, cast

import hiredis

Reply = Any
Pair = tuple[Reply, Reply]

_MOST = 65_536  # bytes of a value that are asked for
_LOOKUP = (
    b"*4\r\n$8\r\nGETRANGE\r\n$%%d\r\n%%b\r\n$1\r\n0\r\n$5\r\n%d\r\n*2\r\n$4\r\nPTTL\r\n$%%d\r\n%%b\r\n"
    % (_MOST - 1)
)
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


class Lookups:
    """What is under a name, asked over one pipe that is opened when it is needed.

    Of a value no more than its beginning is asked for, so that a pin of many megabytes holds up nobody's
    answer: what is longer has to be fetched by other means. `options` are redis-py's for a connection.
    """

    most = _MOST

    def __init__(self, options: Mapping[str, Any], timeout: float) -> None:
        self._options = options
        self._timeout = timeout
        self._pipe: Pipe | None = None
        self._opening = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        """Whether `ask` can be called."""
        return self._pipe is not None and self._pipe.is_open

    def ask(self, name: str) -> asyncio.Future[Pair]:
        """The value's first `most` bytes and its time to live in milliseconds, as Redis replies; or OSError."""
        if self._pipe is None:
            raise PipeBroken("there is no connection")
        key = name.encode()
        return self._pipe.ask(_LOOKUP % (len(key), key, len(key), key))

    async def open(self) -> None:
        """Connect, unless that is done; OSError if it fails."""
        async with self._opening:
            if not self.is_open:
                self._pipe = await open_pipe(self._options, self._timeout)

    def close(self) -> None:
        """Close the pipe."""
        if self._pipe is not None:
            self._pipe.close()


async def open_pipe(options: Mapping[str, Any], patience: float) -> Pipe:
    """Connect and log in, by redis-py's options for a connection; OSError if that fails."""
    loop = asyncio.get_running_loop()
    host, port = options.get("host", "localhost"), options.get("port", 6379)
    _, pipe = await loop.create_connection(lambda: Pipe(patience), host, port)
    try:
        await _log_in(pipe, options)
    except BaseException:  # cancelled, too
        pipe.close()
        raise
    return pipe


async def _log_in(pipe: Pipe, options: Mapping[str, Any]) -> None:
    steps = []
    if options.get("password"):
        steps.append(("AUTH", *filter(None, (options.get("username"), options["password"]))))
    if options.get("db"):
        steps.append(("SELECT", str(options["db"])))
    for step in steps:
        reply, _ = await pipe.ask(encode(*step) + encode("PING"))
        if isinstance(reply, hiredis.ReplyError):
            raise PipeBroken(str(reply))


def encode(*words: str) -> bytes:
    """One command in RESP."""
    parts = [word.encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
