"""One sample: ask an upstream, read all of its answer, say what came: Sample or Abstention."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from time import perf_counter
from typing import NamedTuple

from gateway.core.ballot import Abstention, Sample
from gateway.core.round import Launch
from gateway.upstream.attempts import Attempts
from gateway.upstream.client import Call, Exchange, Headers, UpstreamFailure, body_at_once, field, read_all
from gateway.upstream.hedging import Came, Listener, Race
from gateway.upstream.retries import Allowance, refused, unanswered
from gateway.upstream.silence import Ear, Silence
from gateway.upstream.slots import Slots
from gateway.upstream.turns import Turn
from gateway.upstream.upstream import Upstream
from gateway.wire.answers import is_stream
from gateway.wire.forms.form import Form
from gateway.wire.headers import passed_back
from gateway.wire.replies import UnreadableAnswer


class Asked(NamedTuple):
    """What is asked of every sample of one round."""

    form: Form
    headers: Headers  # the client's, less what belongs to the connection
    body: Callable[[Launch, str], bytes]  # by sample and engine
    again: Allowance  # retries that its samples share
    silence: Silence  # who of them was heard
    asks_margin: bool = False  # whether log-probabilities are taken out of the answer again
    request_id: str = ""  # of the request that the samples are for


class Bounds(NamedTuple):
    """How long and how much, for one sample."""

    total: float  # seconds from the call to the last byte
    patience: float  # seconds in line for a place
    max_answer: int  # bytes
    background: bool = False  # in line behind everybody else
    tenant: str = ""  # whose it is: tenants stand in line side by side
    is_usual: bool = False  # `total` is what any call may take, which the client sees to


async def take_sample(
    launch: Launch,
    asked: Asked,
    turn: Turn,
    slots: Slots,
    bounds: Bounds,
    listener: Listener | None = None,
) -> Sample | Abstention:
    """Sample `launch.index` from the upstream whose turn it is; every failure is an Abstention.

    What is safe to repeat is asked once more, of another upstream if there is one, as far as the request's
    allowance goes: where nothing was sent, not a byte was heard, or the server refused to begin.
    """
    upstream = turn.pick(launch.index)
    if upstream is None:
        return Abstention(launch.index, "reference")  # no such lane is up and trusted
    attempts, ends = Attempts(turn, asked.again, upstream, launch.index), perf_counter() + bounds.total
    if asked.again.hedge is None:
        outcome, failed = await _take(launch, asked, upstream, slots, bounds, listener)
    else:
        outcome, failed = await _hedge(launch, asked, attempts, slots, bounds, listener)
    while failed is not None and attempts.go_on(failed, within=ends - perf_counter()):
        await asyncio.sleep(attempts.pause)
        left = bounds._replace(total=max(ends - perf_counter(), 0), is_usual=False)
        outcome, failed = await _take(launch, asked, attempts.upstream, slots, left, listener)
    if isinstance(outcome, Abstention):
        turn.avoid(attempts.upstream)
    return outcome


async def _hedge(
    launch: Launch,
    asked: Asked,
    attempts: Attempts,
    slots: Slots,
    bounds: Bounds,
    listener: Listener | None,
) -> Came:
    """Ask one upstream, and another one as well if the first keeps us waiting."""

    def take(upstream: Upstream, ear: Listener) -> Awaitable[Came]:
        return _take(launch, asked, upstream, slots, bounds, ear)

    assert asked.again.hedge is not None
    ended = await Race(take, listener).run(attempts.upstream, asked.again.hedge, attempts.second)
    asked.again.note_hedge(ended.hedge)
    attempts.upstream = ended.upstream
    return ended.came


async def _take(
    launch: Launch,
    asked: Asked,
    upstream: Upstream,
    slots: Slots,
    bounds: Bounds,
    listener: Listener | None,
) -> Came:
    """Ask one upstream, in its turn; also whether that may be done once more.

    It stands in line for the upstream first, so that a slow one does not hold places that others could use.
    """
    began = perf_counter()
    if not (upstream.slots.take_at_once() or await _stand_in_line(upstream.slots, bounds, bounds.patience)):
        return _overloaded(launch.index, upstream), None
    try:
        left = bounds.patience - (perf_counter() - began)
        if not (slots.take_at_once() or await _stand_in_line(slots, bounds, left)):
            return _overloaded(launch.index, upstream), None
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
) -> Came:
    url, body = upstream.settings.url + asked.form.path, asked.body(launch, upstream.engine)
    call = Call("POST", url, upstream.dress(asked.headers), body, _own(asked.request_id, launch.index))
    began = perf_counter()
    result, status, failed = "cancelled", 0, None
    ear = Ear(asked.silence, upstream, began)
    ticket = upstream.began()
    try:
        hearing = _hear(call, upstream, bounds, ear, partial(listener, launch.index) if listener else None)
        if bounds.is_usual and not ear.may_give_up:
            exchange, answer = await hearing
        else:
            async with asyncio.timeout(bounds.total) as limit:
                ear.watch(limit, launch.lane)
                exchange, answer = await hearing
        outcome = _outcome(launch.index, asked, exchange, answer, upstream)
        if isinstance(outcome, Sample):
            result, status = "ok", 200
        else:
            result, status = outcome.reason, outcome.status or exchange.status
            failed = refused(exchange.status, exchange.headers)
    except UpstreamFailure as failure:
        result, failed = failure.reason, unanswered(failure)
        outcome = Abstention(launch.index, result, detail=str(failure).encode(), upstream=upstream.name)
    except TimeoutError:
        result = "timeout"
        detail = ear.complaint or f"no whole answer within {bounds.total:g} s"
        outcome = Abstention(launch.index, result, detail=detail.encode(), upstream=upstream.name)
    finally:
        after = failed.retry_after if failed else None
        seconds = perf_counter() - began
        upstream.ended(ticket, ear.ended(result, seconds), seconds, status, after)
    return outcome, failed


def _own(request_id: str, index: int) -> Headers:
    """The field that no other call has: vLLM calls the call by it, and some versions refuse a name twice."""
    return (("x-request-id", f"{request_id}-{index}" if index else request_id),) if request_id else ()


async def _hear(
    call: Call, upstream: Upstream, bounds: Bounds, ear: Ear, tell: Callable[[bytes], None] | None
) -> tuple[Exchange, bytes]:
    exchange, first = await upstream.client.send(call), b""
    try:
        if exchange.status == 200 and is_stream(exchange.headers.once(_kind)):
            # A stream's head says nothing: some servers send it before they begin.
            first = await exchange.piece()
            ear.heard()
        else:
            tell, ear.is_heard = None, True
        body = body_at_once(exchange, bounds.max_answer) if not first else None
        return exchange, await read_all(exchange, bounds.max_answer, tell, first) if body is None else body
    finally:
        exchange.close()


def _outcome(
    index: int, asked: Asked, exchange: Exchange, body: bytes, upstream: Upstream
) -> Sample | Abstention:
    headers = exchange.headers.once(passed_back)
    if exchange.status >= 400:
        return Abstention(index, "status", exchange.status, body, headers, upstream.name)
    if exchange.status != 200:
        return Abstention(
            index, "garbage", detail=f"status {exchange.status}".encode(), upstream=upstream.name
        )
    kind = exchange.headers.once(_kind)
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


def _kind(headers: Headers) -> str:
    return field(headers, "content-type").lower()


def _overloaded(index: int, upstream: Upstream) -> Abstention:
    return Abstention(index, "queue", 429, b"", (("retry-after", "1"),), upstream.name)
