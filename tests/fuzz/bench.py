"""A real gateway between a raw upstream and a raw client, in a loop of its own thread, for thousands of cases."""

import asyncio
import json
import logging
import os
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256
from typing import Any, TypeVar

import httptools
from hypothesis import HealthCheck, settings

from gateway.core.policy import PRESETS
from gateway.settings.model import RetrySettings, Settings, Timeouts, UpstreamSettings
from gateway.upstream.http_client import HttpClient
from tests.doubles.gateway import Client, open_gateway_for
from tests.doubles.upstream import MODELS, plain

PATIENCE = 60.0  # seconds after which an answer is a hang: far beyond all deadlines of the gateway
_QUIET = 0.05  # seconds without news after which a client leaves
CASES = int(os.environ.get("FUZZ_CASES", "100"))

Result = TypeVar("Result")

fuzzed = settings(
    max_examples=CASES,
    deadline=None,
    suppress_health_check=[*HealthCheck],
    derandomize=not os.environ.get("FUZZ_CASES"),
    database=None,
)

# An upstream that hangs is soon given up.
TIMEOUTS = Timeouts(connect=PATIENCE / 2, first_byte=0.3, idle=0.3, total=PATIENCE / 2)
UNHURRIED = Timeouts(connect=PATIENCE / 2, first_byte=PATIENCE / 2, idle=PATIENCE / 2, total=PATIENCE / 2)
POLICY = PRESETS["majority"]


@dataclass(frozen=True)
class Script:
    """What the upstream does with a question: it sends these pieces, and then closes, resets, hangs or goes on."""

    pieces: Sequence[bytes]
    end: str = "keep"
    is_whole: bool = False  # known to be an answer


@dataclass
class Got:
    """An answer as an HTTP parser understands it. `is_whole`: it ended as its head said that it would."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    is_whole: bool = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        if self.status >= 200:
            self.is_whole = True

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Bugs(logging.Handler):
    """Keeps what the gateway calls a bug, or logs with a traceback."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info or "bug" in record.getMessage() or record.levelno >= logging.ERROR:
            self.found.append(self.format(record))


class Bench:
    """The gateway, its upstream's script, and questions to it."""

    def __init__(self) -> None:
        self._script: Script | None = None
        self.bugs = Bugs()
        self.client: Client
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._stack = AsyncExitStack()
        self._connections: set[asyncio.StreamWriter] = set()  # to the upstream

    @property
    def script(self) -> Script | None:
        """What the upstream does; None: an answer that names what was asked."""
        return self._script

    @script.setter
    def script(self, script: Script | None) -> None:
        """One that is answered at once is waited for: on a busy machine that takes longer than others may hang."""
        self._script = script
        (upstream,) = self.client.inside.pool.upstreams
        assert isinstance(upstream.client, HttpClient)
        upstream.client._timeouts = UNHURRIED if script is None or script.is_whole else TIMEOUTS

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """What comes of it in the loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(2 * PATIENCE)

    def talk(self, *pieces: bytes, is_open: bool = False) -> list[Got]:
        """All answers to these bytes on one connection, or the first one if the client `is_open` for no more."""
        return self.run(self._talk(pieces, is_open=is_open))

    def ask(self, path: str, body: bytes, *fields: bytes) -> Got | None:
        """The answer to a POST; None if the connection was cut before one began."""
        answers = self.talk(post(path, body, *fields), is_open=True)
        return answers[0] if answers else None

    def is_quiet(self) -> bool:
        """Whether nothing is left of the cases: no request, no call, no vote; and the gateway lives."""
        return self.run(self._is_quiet())

    async def _talk(self, pieces: Sequence[bytes], *, is_open: bool) -> list[Got]:
        host, _, port = self.client.url.removeprefix("http://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        answers: list[Got] = []
        try:
            async with asyncio.timeout(PATIENCE):
                for piece in pieces:
                    writer.write(piece)
                    await asyncio.sleep(0)
                reading = asyncio.create_task(_read(reader, answers, only_one=is_open))
                while not is_open and not reading.done():
                    before = sum(len(got.body) for got in answers) + len(answers)
                    await asyncio.wait([reading], timeout=_QUIET)
                    if before == sum(len(got.body) for got in answers) + len(answers) and not _is_under_way(
                        answers
                    ):
                        writer.write_eof()  # what is answered by now; leaving cancels the rest
                        break
                await reading
        except (ConnectionError, OSError):
            pass
        finally:
            writer.close()
        return answers

    async def _is_quiet(self) -> bool:
        inside = self.client.inside
        async with asyncio.timeout(PATIENCE):
            # What is watched has no event.
            while inside.in_flight or len(inside.flights) or any(each.load for each in inside.pool.upstreams):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        return (await self.client.get("/healthz")).status == 200

    async def _open(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._stack.callback(server.close)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        made = Settings(
            upstreams=(UpstreamSettings(url=url, name="u0", revision="1"),),
            timeouts=TIMEOUTS,
            default_policy=POLICY,
            retries=RetrySettings(limit=1, backoff=0.001, max_wait=0.001),
        )
        self.client = await self._stack.enter_async_context(open_gateway_for(made))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length")), 0
                )  # fmt: skip
                body = await reader.readexactly(length)
                if head.startswith(b"GET"):
                    writer.write(whole(json.dumps(MODELS).encode()))
                elif self.script is None:
                    writer.write(whole(plain(digest(body), 0)))
                elif not await _act(self.script, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()
            self._connections.discard(writer)

    async def _close(self) -> None:
        await self._stack.aclose()
        for writer in self._connections:
            writer.transport.abort()
        while len(asyncio.all_tasks()) > 1:  # noqa: ASYNC110  likewise
            await asyncio.sleep(0.005)
        await asyncio.sleep(0)  # transports close in the loop's next turn


async def _act(script: Script, writer: asyncio.StreamWriter) -> bool:
    """Do as the script says; whether the connection goes on."""
    for piece in script.pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
    if script.end == "reset":
        writer.transport.abort()
    return script.end == "keep"


async def _read(reader: asyncio.StreamReader, answers: list[Got], *, only_one: bool) -> None:
    """Answers until the gateway closes, each strictly parsed: HttpParserError for what is not HTTP."""
    got, parser = Got(), None
    data = b""
    while True:
        if not data:
            data = await reader.read(1 << 16)
            if not data:
                break
        if parser is None:
            got = Got()
            parser = httptools.HttpResponseParser(got)
            answers.append(got)
        # One byte more than a head may belong to the next answer, so that bytes go in one by one at its end.
        for at in range(len(data)):
            parser.feed_data(data[at : at + 1])
            got.status = parser.get_status_code() or got.status
            if got.is_whole:
                break
        data = data[at + 1 :]
        if got.is_whole:
            parser = None
            if only_one:
                return


def _is_under_way(answers: Sequence[Got]) -> bool:
    """Whether an answer has begun that is not whole, though it will be."""
    return bool(answers) and answers[-1].status >= 200 and not answers[-1].is_whole


def whole(body: bytes, *fields: bytes, status: bytes = b"200 OK") -> bytes:
    """A response with a length."""
    given = fields or (b"content-type: application/json",)
    lines = [b"HTTP/1.1 " + status, b"content-length: %d" % len(body), *given]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def post(path: str, body: bytes, *fields: bytes) -> bytes:
    """A POST as bytes."""
    lines = [b"POST %b HTTP/1.1" % path.encode(), b"host: h", b"content-length: %d" % len(body), *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


# Members that make no other question of it (all that the key leaves out), and what samples add.
_NO_MATTER = (
    "stream", "stream_options", "user", "metadata", "safety_identifier", "prompt_cache_key", "store", "service_tier",
    "priority", "request_id", "consistency",
)  # fmt: skip


def digest(body: bytes) -> str:
    """What an upstream was asked, in short: the same for bodies that mean the same."""
    try:
        asked = json.loads(body, parse_float=_number, parse_int=_number)
    except ValueError:
        return "no JSON"
    if isinstance(asked, dict):
        asked = {name: value for name, value in asked.items() if name not in _NO_MATTER}
    return sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _number(text: str) -> str:
    """A number by its value."""
    return f"number {Decimal(text).normalize() + 0}"


@contextmanager
def open_bench() -> Iterator[Bench]:
    """The bench, until the cases are done; fails if the gateway logged a bug meanwhile."""
    bench = Bench()
    loggers = [logging.getLogger(name) for name in ("gateway", "asyncio")]
    for logger in loggers:
        logger.addHandler(bench.bugs)
    bench._thread.start()
    try:
        bench.run(bench._open())
        yield bench
        assert bench.is_quiet()
        assert [] == bench.bugs.found
    finally:
        bench.run(bench._close())
        bench._loop.call_soon_threadsafe(bench._loop.stop)
        bench._thread.join()
        bench._loop.close()
        for logger in loggers:
            logger.removeHandler(bench.bugs)
