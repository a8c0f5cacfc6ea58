"""How the samples of one request are asked for: of whom, when, with which body, within which bounds."""

import asyncio
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import NamedTuple

from gateway.core.ballot import Abstention, Sample
from gateway.core.round import Launch
from gateway.core.units import parse_duration
from gateway.door.head import Headers
from gateway.serving.gateway import Gateway
from gateway.serving.wanted import Wanted
from gateway.upstream.fanout import Ask
from gateway.upstream.hedging import Listener
from gateway.upstream.sampling import Asked, Bounds, take_sample
from gateway.upstream.silence import Silence
from gateway.wire.fields import Fields
from gateway.wire.headers import sent_on

_WHOLE, _STREAMED = partial(sent_on, streamed=False), partial(sent_on, streamed=True)


class Sent(NamedTuple):
    """The header of a request's samples."""

    fields: Fields  # as clients send them again and again
    request_id: str


def sent_for(headers: Headers, request_id: str, *, streamed: bool) -> Sent:
    """What of a client's header its samples are sent with."""
    return Sent(headers.once(_STREAMED if streamed else _WHOLE), request_id)


def asker(
    gateway: Gateway,
    wanted: Wanted,
    sent: Sent,
    *,
    deadline: asyncio.Timeout | None = None,
    listener: Listener | None = None,
    usable: Callable[[], None] | None = None,
) -> Ask:
    """What `perform` asks with.

    `deadline` is the round's; one without is done in the background, where everybody else's samples go first.
    `listener` hears streams as they come, `usable` is called for each sample that came.
    """
    policy, timeouts = wanted.policy, gateway.settings.timeouts
    half = (policy.deadline or timeouts.total) / 2
    silence = Silence(
        wanted.plan, deadline, half, timeouts.first_byte, gateway.pool.upstreams, streamed=wanted.streamed
    )
    is_lone = silence.is_short and (policy.k == 1 or wanted.plan.tries_one)  # nobody else is heard beside it
    asked = Asked(
        wanted.endpoint,
        sent.fields,
        wanted.upstream_body,
        gateway.retries.allow(half if is_lone else None),
        silence,
        wanted.asks_margin,
        sent.request_id,
    )
    bounds = _bounds(gateway, wanted, background=deadline is None)
    began, delay = perf_counter(), _delay(wanted.policy.spread)
    turns = {wanted.policy.lane: gateway.pool.turn(wanted.model, wanted.policy.lane)}
    answer = wanted.plan.answer

    async def ask(launch: Launch) -> Sample | Abstention:
        if delay and (left := began + launch.index * delay - perf_counter()) > 0:
            await asyncio.sleep(left)
        turn = turns.get(launch.lane)
        if turn is None:
            turn = turns[launch.lane] = gateway.pool.turn(wanted.model, launch.lane)
        outcome = await take_sample(launch, _carried(gateway, asked), turn, gateway.slots, bounds, listener)
        if isinstance(outcome, Abstention):
            return outcome
        if usable is not None:
            usable()
        return await gateway.extractors.prepare(outcome, answer)

    return gateway.spans.sampled(ask, wanted.endpoint.label, wanted.model)


def _carried(gateway: Gateway, asked: Asked) -> Asked:
    """What is asked, within the sample's own span."""
    headers = gateway.spans.carry(asked.headers)
    return asked if headers is asked.headers else asked._replace(headers=headers)


def _bounds(gateway: Gateway, wanted: Wanted, *, background: bool) -> Bounds:
    settings = gateway.settings
    return Bounds(
        total=wanted.policy.sample_timeout or settings.timeouts.total,
        patience=settings.timeouts.first_byte,
        max_answer=settings.limits.max_body,
        background=background,
        tenant=wanted.tenant,
        is_usual=wanted.policy.sample_timeout is None,
    )


def _delay(spread: str) -> float:
    """Seconds between the samples of a round."""
    kind, _, delay = spread.partition(":")
    return parse_duration(delay) if kind == "staggered" else 0.0
