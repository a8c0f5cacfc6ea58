"""What is said of a vote that has ended to whoever counts: metrics, traces, the tenant's account, log and ledger."""

import logging
from time import time

from gateway.core.ledger import make_entry
from gateway.core.record import RoundRecord
from gateway.core.round import Result, Round
from gateway.core.vote import Verdict
from gateway.serving.gateway import Gateway
from gateway.serving.quota import answer_tokens, prompt_tokens
from gateway.serving.wanted import Wanted
from gateway.telemetry.logs import log_round, round_said

_LOG = logging.getLogger(__name__)


def reservation(wanted: Wanted) -> int:
    """About how many tokens a vote will spend at least: those of a quorum."""
    prompt, answer = prompt_tokens(len(wanted.question.canonical)), answer_tokens(wanted.max_tokens)
    return wanted.policy.quorum * (prompt + answer)


def account_for(gateway: Gateway, wanted: Wanted, vote: Round, told: RoundRecord) -> None:
    """A round has its result, and what could be pinned of it is."""
    gateway.metrics.round(told)
    gateway.spans.voted(told)
    _charge(gateway, wanted, told)
    if gateway.settings.log.rounds and _LOG.isEnabledFor(logging.INFO):
        tenant = {"tenant": wanted.client.name} if wanted.client else {}
        log_round(round_said(told) | tenant | _prompts(gateway, wanted, vote.result))
    if gateway.ledger is not None:
        began = time() - told.seconds
        gateway.ledger.note(make_entry(vote, key=told.key, at=began, model=told.model, pin=told.pin))


def account_for_given_up(gateway: Gateway, wanted: Wanted, told: RoundRecord) -> None:
    """Out of time, or everybody left: no round, but samples that were paid for."""
    gateway.metrics.samples(told)
    _charge(gateway, wanted, told)


def _charge(gateway: Gateway, wanted: Wanted, told: RoundRecord) -> None:
    """Have a tenant pay for what its vote has spent."""
    if wanted.client is None:
        return
    prompt = told.prompt or prompt_tokens(len(wanted.question.canonical))
    spent = told.tokens + prompt * told.read
    gateway.metrics.spent(wanted.client.name, spent)
    gateway.accounts.charge(wanted.client, spent)


def _prompts(gateway: Gateway, wanted: Wanted, result: Result | None) -> dict[str, str]:
    """What was asked and answered, for the log of those who want it there."""
    if not gateway.settings.log.prompts:
        return {}
    asked = {"request": wanted.body.forwarded((), {}).decode(errors="replace")}
    if not isinstance(result, Verdict):
        return asked
    return asked | {"answer": result.winner.body.decode(errors="replace")}
