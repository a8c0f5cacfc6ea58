"""The voted endpoints."""

from collections.abc import Coroutine
from time import perf_counter
from typing import Any

from gateway.core.policy import Policy
from gateway.door.answer import Answer
from gateway.door.request import Reply, Request
from gateway.errors import GatewayError, NoAgreement
from gateway.serving.accounting import reservation
from gateway.serving.asking import sent_for
from gateway.serving.gateway import Gateway
from gateway.serving.landing import Landing
from gateway.serving.measuring import is_chosen, recheck_later
from gateway.serving.passthrough import Passing, forward
from gateway.serving.quota import answer_tokens, prompt_tokens
from gateway.serving.render import as_plain, as_stream
from gateway.serving.responses import EVENT_STREAM, JSON, landing_response
from gateway.serving.rounds import land
from gateway.serving.sequels import of_response
from gateway.serving.shedding import relieved
from gateway.serving.streaming import Awaited, watch
from gateway.serving.trace import Trace
from gateway.serving.voting import board, find_pin, key_of, pin_at_hand
from gateway.serving.wanted import Untouched, Wanted
from gateway.store.news import News
from gateway.wire.forms.form import Form
from gateway.wire.forms.responses import RESPONSES


def complete(
    endpoint: Form, gateway: Gateway, request: Request, trace: Trace
) -> Answer | Coroutine[Any, Any, Reply]:
    """POST to any endpoint whose answers are voted on."""
    trace.endpoint = endpoint.label
    body = request.read()
    wanted = gateway.reader.read(endpoint, body, request.headers, trace.key)
    trace.model = wanted.model
    if isinstance(wanted, Untouched):
        if "consistency" in wanted.body.members:
            body = wanted.body.forwarded({"consistency"}, {})
        if trace.quota is not None:
            trace.quota.reserve = prompt_tokens(len(body)) + answer_tokens(None)
        sequel = of_response(wanted.body.members) if endpoint is RESPONSES else None
        return forward(gateway, request, trace, Passing(body, wanted.model, sequel))
    trace.policy = wanted.policy.name
    landing = pin_at_hand(gateway, wanted)
    if trace.quota is None and landing is not None:
        return _hit(landing, wanted, request, trace, gateway)
    if trace.quota is not None:
        trace.quota.reserve = 0 if landing else reservation(wanted)
    return _find_or_vote(gateway, request, trace, wanted, landing)


async def _find_or_vote(
    gateway: Gateway, request: Request, trace: Trace, wanted: Wanted, landing: Landing | None
) -> Reply:
    key = await key_of(gateway, wanted)
    landing = landing or await find_pin(gateway, wanted, key)
    if landing is not None:
        if trace.quota is not None:
            await trace.quota.allows_request()
        return _hit(landing, wanted, request, trace, gateway)
    if trace.quota is not None:
        await trace.quota.allows_tokens()
    began = perf_counter()
    try:
        return await _vote(gateway, request, trace, relieved(gateway, wanted), key)
    except GatewayError:  # what a failed vote took was not spent by us
        trace.upstream_seconds = perf_counter() - began
        raise


async def _vote(gateway: Gateway, request: Request, trace: Trace, wanted: Wanted, key: str) -> Reply:
    """A vote of its own, or the one that is under way."""
    sent = sent_for(request.headers, trace.request_id, streamed=wanted.streamed)
    if not (wanted.streamed or wanted.is_shared(key)):  # nobody else can wait for it
        return _whole(await land(gateway, wanted, key, sent, News()), wanted, trace, gateway)
    flight, is_joined = board(gateway, wanted, key, sent)
    try:
        if wanted.streamed:
            source = "joined" if is_joined else _source(wanted.policy)
            seen = await watch(gateway, request, trace, flight, Awaited(wanted, key, source))
        else:
            seen = await flight.landed()
    except NoAgreement as error:
        raise error.as_joined(wanted.policy.name) if is_joined else error from None
    if isinstance(seen, Landing):
        return _whole(seen.as_joined if is_joined else seen, wanted, trace, gateway)
    return seen


def _source(policy: Policy) -> str:
    """Where the answer to a vote of one's own comes from, as far as that is certain before it."""
    if policy.lane == "reference":
        return "reference"
    return "single" if policy.k == 1 else "vote"


def _hit(landing: Landing, wanted: Wanted, request: Request, trace: Trace, gateway: Gateway) -> Answer:
    """What is pinned, and now and then a second look at it."""
    if is_chosen(wanted.policy.recheck):
        sent = sent_for(request.headers, trace.request_id, streamed=wanted.streamed)
        recheck_later(gateway, wanted, sent, landing)
    return _whole(landing, wanted, trace, gateway)


def _whole(landing: Landing, wanted: Wanted, trace: Trace, gateway: Gateway) -> Answer:
    """The whole answer at once."""
    if landing.pin.policy != wanted.policy.name:
        landing = landing.under(wanted.policy.name)
    trace.note(landing)
    gateway.metrics.returned(landing.pin.returned, trace.tenant)
    if not wanted.streamed:
        seconds = perf_counter() - trace.began
        return landing_response(
            landing, trace.request_id, JSON, as_plain(wanted.endpoint, landing.pin), seconds
        )
    told = landing.told(perf_counter() - trace.began) if wanted.include_usage else None
    body = as_stream(wanted, landing.pin, told, in_comment=False)
    seconds = perf_counter() - trace.began
    gateway.metrics.first_chunk(landing.source, seconds)
    return landing_response(landing, trace.request_id, EVENT_STREAM, body, seconds)
