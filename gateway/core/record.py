"""What telemetry is told of a round: one frozen record, made when the round has ended."""

from dataclasses import dataclass

from gateway.core.round import Round
from gateway.core.vote import Verdict


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """A round as metrics and logs see it; no prompt and no answer in it."""

    key: str
    endpoint: str
    model: str
    policy: str
    spread: str
    verdict: Verdict | None  # None if there was no quorum of samples
    ballots: int
    spoiled: int
    abstained: int
    cancelled: int
    saved: int  # samples of k that were never cast nor lost: what the stop rule spared
    pin: str  # won | lost | refused | off
    seconds: float

    @property
    def outcome(self) -> str:
        """The verdict's outcome; `no_quorum` where there is none."""
        return self.verdict.outcome if self.verdict else "no_quorum"


def record_round(
    ended: Round, *, key: str, endpoint: str, model: str, pin: str, seconds: float
) -> RoundRecord:
    """The record of a round that has a result."""
    policy = ended.plan.policy
    standing = ended.standing
    cast = standing.ballots + standing.spoiled
    return RoundRecord(
        key=key,
        endpoint=endpoint,
        model=model,
        policy=policy.name,
        spread=policy.spread.partition(":")[0],
        verdict=ended.result if isinstance(ended.result, Verdict) else None,
        ballots=standing.ballots,
        spoiled=standing.spoiled,
        abstained=ended.abstained,
        cancelled=ended.launched - cast - ended.abstained,
        saved=max(policy.k - ended.launched, 0) if isinstance(ended.result, Verdict) else 0,
        pin=pin,
        seconds=seconds,
    )
