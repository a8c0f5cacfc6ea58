"""One request over the seam to the network: an answer, or why there is none, told and not raised."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from time import perf_counter

import msgspec

from gateway.settings.model import Timeouts
from gateway.upstream.client import Call, Client, Headers, TooLong, UpstreamFailure, read_all
from gateway.upstream.clients import is_proxied, open_client
from gateway.wire.headers import retry_after

_BOUND = 8 << 20
_DETAIL = 300  # characters of what a server says to a request that it does not like
_BUSY = frozenset({429, 503})
_BROKEN = frozenset({"unreachable", "broken"})
_LONGEST_PAUSE = 120.0
_FIRST_PAUSE = 1.0  # seconds, doubled each time, where a busy server does not say how long
_OURS = "x-consistency-"

TRIES = 8  # of one request while the server is busy


class Unusable(Exception):
    """There is nobody to ask: the message says why, in one line."""


@dataclass(frozen=True, slots=True)
class Place:
    """Whom to ask, and for how long. `headers` are whole, a key included."""

    client: Client
    url: str  # without /v1
    headers: Headers
    patience: float = 600.0  # seconds for one answer


@dataclass(frozen=True, slots=True)
class Got:
    """A whole answer, of whatever status."""

    status: int
    headers: Headers
    body: bytes
    seconds: float

    @property
    def is_busy(self) -> bool:
        """Whether the server wants to be asked later."""
        return self.status in _BUSY

    @property
    def told(self) -> tuple[tuple[str, str], ...]:
        """What a gateway says of it: `x-consistency-*` without the prefix."""
        return tuple(
            (name.removeprefix(_OURS), value) for name, value in self.headers if name.startswith(_OURS)
        )

    @property
    def words(self) -> str:
        """The message of an OpenAI error, else the beginning of what there is."""
        try:
            said = msgspec.json.decode(self.body, type=_Told).error.message
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            said = self.body[:_DETAIL].decode(errors="replace")
        return f"status {self.status}: {' '.join(said.split())[:_DETAIL]}"

    @property
    def asks_for(self) -> float | None:
        """Seconds for which the server wants to be left alone, within reason; None if it does not say."""
        seconds = retry_after(self.headers)
        return None if seconds is None else min(seconds, _LONGEST_PAUSE)


@dataclass(frozen=True, slots=True)
class Failed:
    """No answer. `reason` is one word: unreachable, broken, timeout or too_long."""

    detail: str
    reason: str

    @property
    def is_broken(self) -> bool:
        """Whether the connection was not to be had or broke, which may be otherwise a moment later."""
        return self.reason in _BROKEN


class _Error(msgspec.Struct):
    message: str


class _Told(msgspec.Struct):
    error: _Error


def open_place(
    url: str, headers: Headers, patience: float, ca_file: str | None, stack: AsyncExitStack
) -> Place:
    """A place with a client of its own, which the stack closes."""
    timeouts = Timeouts(first_byte=patience, idle=patience, total=patience)
    client = open_client(timeouts, ca_file, proxied=is_proxied(url))
    stack.push_async_callback(client.aclose)
    return Place(client, url, headers, patience)


async def post(place: Place, path: str, body: bytes) -> Got | Failed:
    """Ask once; whatever goes wrong is told, not raised."""
    began = perf_counter()
    try:
        async with asyncio.timeout(place.patience):
            exchange = await place.client.send(Call("POST", place.url + path, place.headers, body))
            try:
                answer = await read_all(exchange, _BOUND)
            finally:
                exchange.close()
    except UpstreamFailure as failure:
        reason = "too_long" if isinstance(failure, TooLong) else failure.reason
        return Failed(f"{failure.reason}: {failure}", reason)
    except TimeoutError:
        return Failed(f"no whole answer within {place.patience:g} s", "timeout")
    return Got(exchange.status, exchange.headers, answer, perf_counter() - began)


def pause_after(asks_for: float | None, attempt: int) -> float:
    """Seconds before the next attempt: what the server asks for, else more each time. `attempt` counts from 0."""
    return min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE) if asks_for is None else asks_for


def header(key: str | None, more: Sequence[tuple[str, str]], also: Iterable[tuple[str, str]] = ()) -> Headers:
    """The header of every request: JSON both ways, a key, and `also`; what the user gives beats all of it."""
    made = [("content-type", "application/json"), ("accept", "application/json"), *also]
    made += [("authorization", f"Bearer {key}")] if key else []
    given = {name.lower() for name, _ in more}
    return [
        *(pair for pair in made if pair[0] not in given),
        *((name.lower(), value) for name, value in more),
    ]


def first_of(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """What ended the first of several tasks, and so all."""
    first = errors.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first
