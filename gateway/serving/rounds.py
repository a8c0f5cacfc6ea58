"""One vote, from its first launch to what everybody is given."""

import asyncio
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter

from gateway.core.gate import is_disagreement, refusal_to_pin
from gateway.core.pin import Pin, make_pin
from gateway.core.policy import Policy
from gateway.core.record import RoundRecord, record_round
from gateway.core.round import Round
from gateway.core.vote import Verdict
from gateway.errors import DeadlineExceeded, GatewayError
from gateway.serving.accounting import account_for, account_for_given_up
from gateway.serving.asking import Sent, asker
from gateway.serving.failures import no_agreement, no_verdict
from gateway.serving.gateway import Gateway
from gateway.serving.handing import hand_failure, hand_pin, handed
from gateway.serving.landing import COLLAPSED, Landing
from gateway.serving.live import Showing, live_form_of
from gateway.serving.measuring import is_chosen, measure_later
from gateway.serving.spectator import Spectator
from gateway.serving.wanted import Wanted
from gateway.store.lease import Led, lead
from gateway.store.news import News
from gateway.upstream.fanout import perform


@dataclass(frozen=True, slots=True)
class _Case:
    """One vote's: who asks what, under which key, and the lease of it if there is one."""

    gateway: Gateway
    wanted: Wanted
    key: str
    sent: Sent
    deadline: asyncio.Timeout
    led: Led | None = None


async def land(
    gateway: Gateway,
    wanted: Wanted,
    key: str,
    sent: Sent,
    news: News,
    spectator: Spectator | None = None,
) -> Landing:
    """Vote within the deadline, and tell what may be shown before the end, or tell a `spectator` all of it."""
    deadline = wanted.policy.deadline or gateway.settings.timeouts.total
    try:
        with gateway.spans.round():
            async with asyncio.timeout(deadline) as limit:
                landing = await _land(_Case(gateway, wanted, key, sent, limit), news, spectator)
    except TimeoutError as error:
        raise DeadlineExceeded(f"no verdict within {deadline:g} s") from error
    if wanted.asked:
        gateway.metrics.shed(gateway.label(wanted.model), wanted.policy.name)
    elif landing.source == "single" and is_chosen(wanted.policy.measure):
        measure_later(gateway, wanted, sent, landing)
    return landing


async def _land(case: _Case, news: News, spectator: Spectator | None) -> Landing:
    """One vote for all processes that share a store: whoever holds the key's lease votes, the others wait.

    A request that nobody may share, or that only its like may, votes for itself.
    """
    gateway, wanted, key = case.gateway, case.wanted, case.key
    form = None if spectator else live_form_of(wanted)
    if not gateway.store.is_shared or not wanted.is_shared(key) or wanted.replaces or wanted.asked:
        showing = Showing(form, wanted, news, lambda: True) if form else spectator
        return await _vote(case, news, showing)

    def follows() -> None:
        if spectator and not news.is_elsewhere:
            spectator.joined()
        news.is_elsewhere = True

    began = perf_counter()
    async with lead(gateway.store, key, follows=follows) as led:
        if led.found or led.told:
            gateway.metrics.cache("joined")
            pin = led.found.pin if led.found else handed(led.told, wanted.policy.name)
            return Landing(pin, "joined", COLLAPSED, key, perf_counter() - began)
        news.is_elsewhere = False
        news.outlast = partial(gateway.store.outlast, key)
        showing = Showing(form, wanted, news, lambda: led.is_held) if form else spectator
        try:
            landing = await _vote(replace(case, led=led), news, showing)
        except GatewayError as error:
            led.telling = hand_failure(error)
            raise
        if not led.is_over:
            led.telling = hand_pin(landing.pin)
        return landing


async def _vote(case: _Case, news: News, onlooker: Showing | Spectator | None = None) -> Landing:
    """Run a round, pin its verdict, have it accounted for."""
    gateway, wanted, key = case.gateway, case.wanted, case.key
    began = perf_counter()
    vote = onlooker.round if onlooker else Round(wanted.plan)
    listener = onlooker.piece if onlooker else None
    usable = news.sample_came if wanted.policy.k > 1 else None  # the only sample is the verdict
    ask = asker(gateway, wanted, case.sent, deadline=case.deadline, listener=listener, usable=usable)

    def record(pin: str) -> RoundRecord:
        model, seconds = gateway.label(wanted.model), perf_counter() - began
        return record_round(
            vote, key=key, endpoint=wanted.endpoint.label, model=model, pin=pin, seconds=seconds
        )

    seconds, verdict, pinned, fate = 0.0, None, None, "off"
    try:
        await perform(vote, ask, onlooker)
        seconds = perf_counter() - began
        verdict = vote.result if isinstance(vote.result, Verdict) else None
        if verdict and not _is_rejected(verdict, wanted.policy):
            pinned, fate = await _pin(case, verdict)
    except asyncio.CancelledError:
        account_for_given_up(gateway, wanted, record("off"))
        raise
    told = record(fate)
    account_for(gateway, wanted, vote, told)
    if onlooker:
        onlooker.ended(told)
    if verdict is None:
        raise no_verdict(vote.result)
    if pinned is None:
        raise no_agreement(verdict, wanted.policy)
    status = "scg; fwd=miss; stored" if fate == "won" else "scg; fwd=miss"
    live = onlooker.stream if onlooker else None
    return Landing(
        pinned,
        _source(verdict, wanted.policy),
        status,
        key,
        seconds,
        verdict.winner.headers,
        live,
        wanted.asked,
    )


async def _pin(case: _Case, verdict: Verdict) -> tuple[Pin, str]:
    """The pin that holds, and what became of ours: won, lost, refused or off."""
    gateway, wanted, key = case.gateway, case.wanted, case.key
    policy = wanted.policy
    pin = make_pin(verdict, policy.name)
    if not wanted.is_shared(key):
        return pin, "off"
    if wanted.asked or refusal_to_pin(verdict, policy, wanted.max_tokens):
        return pin, "refused"
    ttl = policy.ttl or gateway.settings.cache.ttl
    if wanted.replaces:
        await gateway.store.replace(key, pin, ttl)
        return pin, "won"
    held = await (case.led.pin(pin, ttl) if case.led else gateway.store.pin(key, pin, ttl))
    return held, "won" if held is pin else "lost"


def _source(verdict: Verdict, policy: Policy) -> str:
    if policy.lane == "reference" or verdict.arbitration in {"came", "spoiled"}:
        return "reference"
    return "single" if policy.k == 1 or verdict.outcome == "single" else "vote"


def _is_rejected(verdict: Verdict, policy: Policy) -> bool:
    return policy.on_disagreement == "reject" and is_disagreement(verdict, policy)
