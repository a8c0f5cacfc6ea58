"""One request of an audit, over the seam to the network."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import perf_counter

import msgspec

from gateway.audit.questions import body_of, form_of
from gateway.audit.spec import Prompt, Spec
from gateway.core.ballot import Reply
from gateway.upstream.client import Call, Client, Headers, UpstreamFailure, field, read_all
from gateway.wire.replies import UnreadableAnswer

_BOUND = 8 << 20
_DETAIL = 300  # characters of what a server says to a request that it does not like
_BUSY = frozenset({429, 503})
_LONGEST_PAUSE = 120.0
_OURS = "x-consistency-"


@dataclass(frozen=True, slots=True)
class Server:
    """Who is asked. `headers` are whole, a key included."""

    client: Client
    url: str  # without /v1
    engine: str
    headers: Headers
    patience: float = 600.0  # seconds for one answer


@dataclass(frozen=True, slots=True)
class Said:
    """An answer; `told` is what a gateway in between says of it."""

    reply: Reply
    seconds: float
    told: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Busy:
    """Not now. `seconds` is what the server asks for; None if it does not say."""

    seconds: float | None
    detail: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """No answer. `status` is the server's, None if it sent none."""

    detail: str
    status: int | None = None


async def ask_once(
    server: Server, spec: Spec, prompt: Prompt, turn: int = 0, salt: str | None = None
) -> Said | Busy | Nothing:
    """Ask a prompt; whatever goes wrong is told, not raised."""
    body = body_of(spec, prompt, server.engine, turn, salt)
    began = perf_counter()
    try:
        async with asyncio.timeout(server.patience):
            exchange = await server.client.send(Call("POST", server.url + prompt.path, server.headers, body))
            try:
                answer = await read_all(exchange, _BOUND)
            finally:
                exchange.close()
    except UpstreamFailure as failure:
        return Nothing(f"{failure.reason}: {failure}")
    except TimeoutError:
        return Nothing(f"no whole answer within {server.patience:g} s")
    if exchange.status in _BUSY:
        return Busy(_retry_after(exchange.headers), _words(exchange.status, answer))
    if exchange.status != 200:
        return Nothing(_words(exchange.status, answer), exchange.status)
    try:
        reply = form_of(prompt).reply(answer, field(exchange.headers, "content-type"))
    except UnreadableAnswer as error:
        return Nothing(f"no completion: {error}")
    return Said(reply, perf_counter() - began, _told(exchange.headers))


def _told(headers: Headers) -> tuple[tuple[str, str], ...]:
    return tuple((name.removeprefix(_OURS), value) for name, value in headers if name.startswith(_OURS))


def _retry_after(headers: Headers) -> float | None:
    """Seconds, from a number or a date (RFC 9110, section 10.2.3), within reason."""
    told = field(headers, "retry-after").strip()
    if not told:
        return None
    try:
        seconds = float(told)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(told) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):  # no date; or one without a zone
            return None
    return min(max(seconds, 0.0), _LONGEST_PAUSE)


class _Error(msgspec.Struct):
    message: str


class _Told(msgspec.Struct):
    error: _Error


def _words(status: int, body: bytes) -> str:
    """The message of an OpenAI error, else the beginning of what there is."""
    try:
        said = msgspec.json.decode(body, type=_Told).error.message
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        said = body[:_DETAIL].decode(errors="replace")
    return f"status {status}: {' '.join(said.split())[:_DETAIL]}"


def header(key: str | None, more: Sequence[tuple[str, str]], *, pins: bool) -> Headers:
    """The header of every request. Unless pins are what is audited, a gateway in between is asked for fresh votes."""
    made = [("content-type", "application/json"), ("accept", "application/json")]
    made += [] if pins else [("cache-control", "no-store")]
    made += [("authorization", f"Bearer {key}")] if key else []
    given = {name.lower() for name, _ in more}
    return [
        *(pair for pair in made if pair[0] not in given),
        *((name.lower(), value) for name, value in more),
    ]
