"""Measuring without voting: some questions are asked again, later, when their client has long been served.

`measure` gives a share of single-sample answers their other samples; `recheck` runs the whole round of a share
of hits again. Both compare with what was served, and change nothing: they are counted as pairs with
`spread="apart"`, the rate that tells whether an answer will be the same tomorrow. Copies sent together share a
batch and tell less.
"""

import asyncio
from random import random, uniform
from time import perf_counter

from gateway.core.ballot import Ballot, Sample, cast
from gateway.core.pin import Pin
from gateway.core.record import record_round
from gateway.core.round import Launch, Round
from gateway.core.vote import Verdict
from gateway.serving.asking import Sent, asker
from gateway.serving.gateway import Gateway
from gateway.serving.landing import Landing
from gateway.serving.wanted import Wanted
from gateway.telemetry.consistency import Pairs
from gateway.upstream.fanout import perform
from gateway.wire.answers import EVENT_STREAM

_AGAIN = 600.0  # seconds until the same hit may be checked again: the question is the unit, not the request


def is_chosen(share: float) -> bool:
    """One of `share` of all cases."""
    return share > 0 and random() < share  # noqa: S311  a share, no secret


def measure_later(gateway: Gateway, wanted: Wanted, sent: Sent, landing: Landing) -> None:
    """Give an answer by a single sample its other samples."""
    gateway.background.start(_measure(gateway, wanted, sent, landing))


def recheck_later(gateway: Gateway, wanted: Wanted, sent: Sent, landing: Landing) -> None:
    """Vote again on a hit, unless that was done lately."""
    if gateway.background.is_due(landing.key, _AGAIN):
        gateway.background.start(_recheck(gateway, wanted, sent, landing))


async def _measure(gateway: Gateway, wanted: Wanted, sent: Sent, landing: Landing) -> None:
    """The other samples of one question, apart in time, each compared with the one that was served."""
    served = await _ballot(gateway, wanted, landing.pin)
    if served is None:
        return
    plan, ask = wanted.plan, asker(gateway, wanted, sent)
    model, compared = gateway.label(wanted.model), []
    for index in range(1, wanted.policy.measure_k):
        await asyncio.sleep(uniform(*gateway.background.apart))  # noqa: S311  likewise
        outcome = await ask(Launch(index, plan.seed, wanted.policy.lane))
        gateway.metrics.measured(model, wanted.policy.name, outcome)
        if isinstance(outcome, Sample) and isinstance(ballot := cast(outcome, plan.answer), Ballot):
            compared.append(ballot.answer == served.answer)
    _count(gateway, wanted, compared)


async def _recheck(gateway: Gateway, wanted: Wanted, sent: Sent, landing: Landing) -> None:
    """The whole round once more, its winner compared with what is pinned."""
    served = await _ballot(gateway, wanted, landing.pin)
    if served is None:
        return
    await asyncio.sleep(uniform(*gateway.background.apart))  # noqa: S311  likewise
    began, again = perf_counter(), Round(wanted.plan)
    await perform(again, asker(gateway, wanted, sent))
    label, model = wanted.endpoint.label, gateway.label(wanted.model)
    seconds = perf_counter() - began
    record = record_round(again, key=landing.key, endpoint=label, model=model, pin="off", seconds=seconds)
    gateway.metrics.samples(record)
    winner = cast(again.result.winner, wanted.plan.answer) if isinstance(again.result, Verdict) else None
    if not isinstance(winner, Ballot):
        gateway.metrics.rechecked(model, wanted.policy.name, "lost")
        return
    same = winner.answer == served.answer
    gateway.metrics.rechecked(model, wanted.policy.name, "same" if same else "different")
    _count(gateway, wanted, [same])


async def _ballot(gateway: Gateway, wanted: Wanted, pin: Pin) -> Ballot | None:
    """What was served, as a vote."""
    reply = wanted.endpoint.reply(pin.body, EVENT_STREAM if pin.streamed else "")
    sample = await gateway.extractors.prepare(Sample(0, reply), wanted.plan.answer)
    vote = cast(sample, wanted.plan.answer)
    return vote if isinstance(vote, Ballot) else None


def _count(gateway: Gateway, wanted: Wanted, compared: list[bool]) -> None:
    if not compared:
        return
    same = sum(compared)
    model, different = gateway.label(wanted.model), len(compared) - same
    gateway.metrics.pairs(Pairs(model, wanted.policy.name, "apart", wanted.question.digest, same, different))
