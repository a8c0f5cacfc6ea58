"""What telemetry is told of a round: one frozen record, made when the round has ended."""

from typing import NamedTuple

from gateway.core.answer.rules import CALLS_OR_JSON, CALLS_OR_TEXT
from gateway.core.ballot import Ballot
from gateway.core.failure import NoReference
from gateway.core.field_agreement import field_agreement
from gateway.core.round import Result, Round
from gateway.core.vote import Verdict

_WITH_FIELDS = frozenset({"json", "tool_calls", CALLS_OR_JSON, CALLS_OR_TEXT})


class RoundRecord(NamedTuple):
    """A round as metrics and logs see it; no prompt and no answer in it."""

    key: str
    endpoint: str
    model: str
    policy: str
    spread: str
    question: bytes  # its digest: pairs are counted by question
    verdict: Verdict | None  # the vote's, even if nobody was given its answer; None if it had none
    k: int  # samples that the vote might have come to; N of `escalate:N`
    ballots: int
    spoiled: int
    abstained: int
    cancelled: int
    saved: int  # samples of k that were never cast nor lost: what the stop rule spared
    tokens: int  # completion tokens of all samples, the reference sample and what is known of cancelled ones included
    prompt: int  # prompt tokens of one sample, 0 where nobody told
    margins: tuple[float, ...]  # of the vote's samples, in sample order, where they are known
    is_escalated: bool  # k samples did not agree, and `escalate:N` asked for more
    reference: str  # what came of a reference sample: none | asked | came | spoiled | failed
    pin: str  # won | lost | refused | off
    seconds: float
    fields: tuple[tuple[str, float], ...]  # of a JSON answer: pointers, and the share that agrees on each

    @property
    def outcome(self) -> str:
        """The verdict's outcome; `no_quorum` where there is none."""
        return self.verdict.outcome if self.verdict else "no_quorum"

    @property
    def read(self) -> int:
        """Samples whose prompt an upstream has read: all that were launched but those that never came."""
        return self.ballots + self.spoiled + self.cancelled + (self.reference in {"asked", "came", "spoiled"})


def record_round(
    ended: Round, *, key: str, endpoint: str, model: str, pin: str, seconds: float
) -> RoundRecord:
    """The record of a round that has a result, or was given up."""
    policy, votes, verdict = ended.plan.policy, ended.votes, _verdict(ended.result)
    return RoundRecord(
        key=key,
        endpoint=endpoint,
        model=model,
        policy=policy.name,
        spread=policy.spread.partition(":")[0],
        question=ended.plan.question,
        verdict=verdict,
        k=ended.size,
        ballots=ended.ballots,
        spoiled=ended.spoiled,
        abstained=ended.abstained,
        cancelled=ended.launched - len(votes) - ended.abstained,
        saved=max(policy.k - ended.launched, 0) if verdict else 0,
        tokens=ended.tokens,
        prompt=ended.prompt,
        margins=tuple([vote.sample.reply.margin for vote in votes if vote.sample.reply.margin is not None]),
        is_escalated=ended.is_escalated,
        reference=ended.reference,
        pin=pin,
        seconds=seconds,
        fields=_fields(ended),
    )


def _verdict(result: Result | None) -> Verdict | None:
    if isinstance(result, NoReference):
        return result.verdict
    return result if isinstance(result, Verdict) else None


def _fields(ended: Round) -> tuple[tuple[str, float], ...]:
    if not isinstance(ended.result, Verdict) or ended.plan.answer not in _WITH_FIELDS:
        return ()
    ballots = [vote for vote in ended.votes if isinstance(vote, Ballot)]
    return field_agreement(ballots, ended.result.winner)
