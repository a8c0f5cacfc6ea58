"""One sample: ask an upstream, read all of its answer, say what came: Sample or Abstention."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter

from gateway.core.ballot import Abstention, Sample
from gateway.core.round import Launch
from gateway.upstream.client import Call, Exchange, Headers, UpstreamFailure, field, read_all
from gateway.upstream.pool import Upstream
from gateway.upstream.slots import Slots
from gateway.wire.answers import is_stream
from gateway.wire.forms.form import Form
from gateway.wire.headers import passed_back
from gateway.wire.replies import UnreadableAnswer


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of every sample of one round."""

    form: Form
    headers: Headers  # the client's, less what belongs to the connection
    body: Callable[[Launch, str], bytes]  # by sample and engine
    asks_margin: bool = False  # whether log-probabilities are taken out of the answer again


# Is told the bytes of a sample's event stream as they come, under the sample's index.
Listener = Callable[[int, bytes], None]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long and how much, for one sample."""

    total: float  # seconds from the call to the last byte
    patience: float  # seconds in line for a place
    max_answer: int  # bytes
    background: bool = False  # in line behind everybody else
    tenant: str = ""  # whose it is: tenants stand in line side by side


async def take_sample(
    launch: Launch,
    asked: Asked,
    turn: Sequence[Upstream],
    slots: Slots,
    bounds: Bounds,
    listener: Listener | None = None,
) -> Sample | Abstention:
    """Sample `launch.index` from the upstream whose turn it is; every failure is an Abstention.

    It stands in line for the upstream first, so that a slow one does not hold places that others could use.
    """
    upstream = turn[launch.index % len(turn)]
    began = perf_counter()
    if not await _stand_in_line(upstream.slots, bounds, bounds.patience):
        return _overloaded(launch.index, upstream)
    try:
        left = bounds.patience - (perf_counter() - began)
        if not await _stand_in_line(slots, bounds, left):
            return _overloaded(launch.index, upstream)
        try:
            return await _ask(launch, asked, upstream, bounds, listener)
        finally:
            slots.give()
    finally:
        upstream.slots.give()


async def _stand_in_line(slots: Slots, bounds: Bounds, patience: float) -> bool:
    return await slots.take(patience, tenant=bounds.tenant, background=bounds.background)


async def _ask(
    launch: Launch, asked: Asked, upstream: Upstream, bounds: Bounds, listener: Listener | None
) -> Sample | Abstention:
    url, body = upstream.settings.url + asked.form.path, asked.body(launch, upstream.engine)
    call = Call("POST", url, upstream.dress(asked.headers), body)
    began = perf_counter()
    result = "cancelled"
    upstream.meter.started()
    try:
        async with asyncio.timeout(bounds.total):
            exchange = await upstream.client.send(call)
            try:
                tell = partial(listener, launch.index) if listener and _is_heard(exchange) else None
                answer = await read_all(exchange, bounds.max_answer, tell)
            finally:
                exchange.close()
        outcome = _outcome(launch.index, asked, exchange, answer, upstream)
        result = "ok" if isinstance(outcome, Sample) else outcome.reason
        upstream.mark(up=True)
    except UpstreamFailure as failure:
        result = failure.reason
        if result == "unreachable":
            upstream.mark(up=False)
        outcome = Abstention(launch.index, result, detail=str(failure).encode(), upstream=upstream.name)
    except TimeoutError:
        result = "timeout"
        detail = f"no whole answer within {bounds.total:g} s".encode()
        outcome = Abstention(launch.index, result, detail=detail, upstream=upstream.name)
    finally:
        upstream.meter.ended(result, perf_counter() - began)
    return outcome


def _is_heard(exchange: Exchange) -> bool:
    return exchange.status == 200 and is_stream(field(exchange.headers, "content-type"))


def _outcome(
    index: int, asked: Asked, exchange: Exchange, body: bytes, upstream: Upstream
) -> Sample | Abstention:
    headers = passed_back(exchange.headers)
    if exchange.status >= 400:
        return Abstention(index, "status", exchange.status, body, headers, upstream.name)
    if exchange.status != 200:
        return Abstention(
            index, "garbage", detail=f"status {exchange.status}".encode(), upstream=upstream.name
        )
    kind = field(exchange.headers, "content-type").lower()
    try:
        reply = asked.form.reply(body, kind)
    except UnreadableAnswer as error:
        if error.status is not None:
            return Abstention(index, "status", error.status, error.body, upstream=upstream.name)
        return Abstention(index, "garbage", detail=str(error).encode(), upstream=upstream.name)
    streamed = is_stream(kind)
    if asked.asks_margin:
        body = asked.form.without_logprobs(body, streamed=streamed)
    return Sample(index, reply, body, streamed, headers, upstream.name)


def _overloaded(index: int, upstream: Upstream) -> Abstention:
    return Abstention(index, "queue", 429, b"", (("retry-after", "1"),), upstream.name)
