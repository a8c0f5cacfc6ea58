"""The way to an answer: pinned already, being voted on, or to be voted on now."""

import asyncio
from time import perf_counter

from gateway.core.ballot import Abstention, Sample
from gateway.core.gate import is_disagreement, refusal_to_pin
from gateway.core.pin import Pin, make_pin
from gateway.core.policy import Policy
from gateway.core.record import RoundRecord, record_round
from gateway.core.round import Launch, Round
from gateway.core.vote import Verdict
from gateway.errors import DeadlineExceeded, NotCached
from gateway.serving.failures import no_agreement, no_verdict
from gateway.serving.gateway import Gateway
from gateway.serving.landing import Landing
from gateway.serving.wanted import Wanted
from gateway.store.flights import Flight
from gateway.store.protocol import Found
from gateway.upstream.fanout import perform
from gateway.upstream.sampling import Asked, Bounds, take_sample
from gateway.wire.headers import Pairs


def pin_at_hand(gateway: Gateway, wanted: Wanted) -> Landing | None:
    """The pinned answer if nobody has to be asked for it, as most repeated requests find it. Counts only a hit."""
    fingerprint = gateway.pool.known_fingerprint(wanted.model)
    if fingerprint is None or not wanted.takes_pins:
        return None
    key = wanted.key(fingerprint)
    found = gateway.store.look_up(key)
    return None if found is None else _hit(gateway, found, key)


async def find_pin(gateway: Gateway, wanted: Wanted, key: str) -> Landing | None:
    """The pinned answer, if the request may have it; NotCached if it wants nothing else and there is none."""
    if not (key and wanted.takes_pins):
        gateway.metrics.cache("bypass")
    else:
        found = await gateway.store.get(key)
        if found is not None:
            return _hit(gateway, found, key)
        gateway.metrics.cache("error" if gateway.store.is_degraded else "miss")
    if "only-if-cached" in wanted.cache_control:
        raise NotCached("only-if-cached, and nothing is pinned for this request")
    return None


def _hit(gateway: Gateway, found: Found, key: str) -> Landing:
    gateway.metrics.cache("hit_memory" if found.where == "memory" else "hit_redis")
    return Landing(found.pin, "cache", f"scg; hit; ttl={int(found.ttl)}", key)


def _is_shared(wanted: Wanted, key: str) -> bool:
    """Whether this request takes part in the cache and in flights at all."""
    return bool(key) and wanted.policy.cache and "no-store" not in wanted.cache_control


async def key_of(gateway: Gateway, wanted: Wanted) -> str:
    """The request's key; "" while nothing is known of the upstreams, and nothing may be cached."""
    fingerprint = await gateway.pool.fingerprint(wanted.model)
    return wanted.key(fingerprint) if fingerprint else ""


def board(gateway: Gateway, wanted: Wanted, key: str, headers: Pairs) -> tuple[Flight[Landing], bool]:
    """The flight to wait for, and whether it is somebody else's.

    `no-store` and `cache: off` share nothing; `no-cache` shares only with its like.
    """

    async def run(flight: Flight[Landing]) -> Landing:
        return await _vote(gateway, wanted, key, headers, flight)

    if not _is_shared(wanted, key):
        return Flight(run), False
    name = f"{key} no-cache" if "no-cache" in wanted.cache_control else key
    flight = gateway.flights.find(name)
    if flight is None:
        return gateway.flights.start(name, run), False
    gateway.metrics.cache("joined")
    return flight, True


async def _vote(
    gateway: Gateway, wanted: Wanted, key: str, headers: Pairs, flight: Flight[Landing]
) -> Landing:
    """Run a round, pin its verdict, tell telemetry."""
    began = perf_counter()
    vote = Round(wanted.plan)
    deadline = wanted.policy.deadline or gateway.settings.timeouts.total

    def record(pin: str) -> RoundRecord:
        model, seconds = gateway.label(wanted.model), perf_counter() - began
        return record_round(
            vote, key=key, endpoint=wanted.endpoint.label, model=model, pin=pin, seconds=seconds
        )

    try:
        async with asyncio.timeout(deadline):
            await _perform(gateway, wanted, headers, vote, flight)
    except TimeoutError as error:
        gateway.metrics.samples(record("off"))
        raise DeadlineExceeded(f"no verdict within {deadline:g} s") from error
    except asyncio.CancelledError:  # everybody left: no round, but samples that were paid for
        gateway.metrics.samples(record("off"))
        raise
    seconds = perf_counter() - began
    verdict = vote.result if isinstance(vote.result, Verdict) else None
    rejected = verdict is not None and _is_rejected(verdict, wanted.policy)
    pinned, fate = None, "off"
    if verdict and not rejected:
        pinned, fate = await _pin(gateway, wanted, key, verdict)
    gateway.metrics.round(record(fate))
    if verdict is None:
        raise no_verdict(vote.result)
    if pinned is None:
        raise no_agreement(verdict, wanted.policy)
    source = _source(verdict, wanted.policy)
    status = "scg; fwd=miss; stored" if fate == "won" else "scg; fwd=miss"
    return Landing(pinned, source, status, key, seconds, verdict.winner.headers)


async def _perform(
    gateway: Gateway, wanted: Wanted, headers: Pairs, vote: Round, flight: Flight[Landing]
) -> None:
    settings, turn = gateway.settings, gateway.pool.turn(wanted.model)
    asked = Asked(wanted.endpoint, headers, wanted.upstream_body, wanted.asks_margin)
    bounds = Bounds(
        total=wanted.policy.sample_timeout or settings.timeouts.total,
        patience=settings.timeouts.first_byte,
        max_answer=settings.limits.max_body,
    )

    async def ask(launch: Launch) -> Sample | Abstention:
        outcome = await take_sample(launch, asked, turn, gateway.slots, bounds)
        if isinstance(outcome, Sample):
            flight.first_sample.set()
            return await gateway.extractors.prepare(outcome, vote.plan.answer)
        return outcome

    await perform(vote, ask)


async def _pin(gateway: Gateway, wanted: Wanted, key: str, verdict: Verdict) -> tuple[Pin, str]:
    """The pin that holds, and what became of ours: won, lost, refused or off."""
    policy = wanted.policy
    pin = make_pin(verdict, policy.name)
    if not _is_shared(wanted, key):
        return pin, "off"
    if refusal_to_pin(verdict, policy, wanted.max_tokens):
        return pin, "refused"
    ttl = policy.ttl or gateway.settings.cache.ttl
    if "no-cache" in wanted.cache_control:
        await gateway.store.replace(key, pin, ttl)
        return pin, "won"
    held = await gateway.store.pin(key, pin, ttl)
    return held, "won" if held is pin else "lost"


def _source(verdict: Verdict, policy: Policy) -> str:
    if policy.lane == "reference" or verdict.arbitration in {"came", "spoiled"}:
        return "reference"
    return "single" if policy.k == 1 or verdict.outcome == "single" else "vote"


def _is_rejected(verdict: Verdict, policy: Policy) -> bool:
    return policy.on_disagreement == "reject" and is_disagreement(verdict, policy)
