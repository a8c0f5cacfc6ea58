"""A streamed answer whose vote is under way: what may be shown is shown at once, the rest follows the verdict."""

import asyncio
import logging
from time import perf_counter
from typing import NamedTuple

from gateway.door.request import Request
from gateway.door.stream import Stream
from gateway.errors import GatewayError, Superseded
from gateway.serving.gateway import Gateway
from gateway.serving.landing import Landing
from gateway.serving.render import as_stream
from gateway.serving.responses import EVENT_STREAM, error_event, status_of
from gateway.serving.trace import Trace
from gateway.serving.wanted import Wanted
from gateway.store.flights import Flight
from gateway.wire.headers import describe_shedding
from gateway.wire.live import NotAsShown
from gateway.wire.sse import encode_comment

_LOG = logging.getLogger(__name__)

# A stream answers 200 when there is something to show or a usable sample is in, or after this long; then it says
# every so often that it lives.
_HOLD_HEAD = 10.0
_KEEP_ALIVE = 5.0


class Awaited(NamedTuple):
    """What is known of an answer before its vote has ended."""

    wanted: Wanted
    key: str  # "" for none
    source: str

    @property
    def told(self) -> dict[str, str]:
        """What a stream's head says of it. `escalate:N` may yet make k another one."""
        wanted, policy = self.wanted, self.wanted.policy
        made = {"x-consistency-policy": policy.name} | describe_shedding(wanted.asked)
        if policy.most == policy.k:
            made["x-consistency-k"] = str(policy.k)
        if self.key:
            made["x-consistency-key"] = self.key
        return made


async def watch(
    gateway: Gateway, request: Request, trace: Trace, flight: Flight[Landing], awaited: Awaited
) -> Landing | Stream:
    """Stream the vote while it is under way; its landing if nothing had to be sent before."""
    landed = asyncio.ensure_future(flight.landed())
    view = _View(gateway, request, trace, awaited)
    flight.news.watch(view.see)
    try:
        await asyncio.wait({landed}, timeout=_HOLD_HEAD)
        if landed.done() and view.stream is None:
            return landed.result()
        if flight.news.is_elsewhere and view.stream is None:
            trace.source = "joined"
        stream = view.stream or view.begin()
        while not landed.done():
            await stream.write(encode_comment("waiting for the verdict"))
            await asyncio.wait({landed}, timeout=_KEEP_ALIVE)
        await stream.write(view.ending(landed))
        stream.end()
    finally:
        flight.news.leave(view.see)
        landed.cancel()
    return stream


class _View:
    """One client's stream. `see` is a Watcher of the vote."""

    def __init__(self, gateway: Gateway, request: Request, trace: Trace, awaited: Awaited) -> None:
        self.stream: Stream | None = None
        self._gateway = gateway
        self._request = request
        self._trace = trace
        self._awaited = awaited
        self._wanted = awaited.wanted
        self._began = perf_counter()
        trace.source = awaited.source

    def see(self, piece: bytes) -> None:
        """Pass on what the vote tells; its first word begins the stream."""
        (self.stream or self.begin()).push(piece)

    def begin(self) -> Stream:
        """Send the head: what can be said of a vote that has not ended."""
        trace = self._trace
        fields = {
            "x-consistency-source": trace.source,
            **self._awaited.told,
            "content-type": EVENT_STREAM,
            "x-request-id": trace.request_id,
            "cache-control": "no-cache",
        }
        quota = trace.quota
        head = fields.items() if quota is None else quota.told_with(fields.items())
        self.stream = self._request.begin(200, head)
        self._gateway.metrics.first_chunk(trace.source, perf_counter() - trace.began)
        return self.stream

    def ending(self, landed: asyncio.Future[Landing]) -> bytes:
        """What follows in a stream that has begun: the rest of the answer, or the error as an event."""
        trace, form = self._trace, self._wanted.endpoint
        try:
            landing = landed.result()
            if trace.source == "joined":
                landing = landing.as_joined
            trace.note(landing)
            ending = self._rest(landing.under(self._wanted.policy.name))
        except GatewayError as error:
            trace.status, trace.code = status_of(error), error.code or ""
            trace.upstream_seconds = perf_counter() - self._began
            return error_event(form, error)
        except Exception:  # noqa: BLE001  a response has begun: whatever goes wrong has to be said inside it
            _LOG.exception("a bug in the gateway")
            trace.status = 500
            return error_event(form, GatewayError("internal error; the gateway's log has more"))
        self._gateway.metrics.returned(landing.pin.returned, trace.tenant)
        return ending

    def _rest(self, landing: Landing) -> bytes:
        pin, told = landing.pin, landing.told(perf_counter() - self._trace.began)
        if landing.live is None:
            return as_stream(self._wanted, pin, told)
        try:
            return landing.live.finish(
                pin.body, streamed=pin.streamed, include_usage=self._wanted.include_usage, told=told
            )
        except NotAsShown as error:
            raise Superseded("another verdict was pinned while this one was shown; ask again") from error
