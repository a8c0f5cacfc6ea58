"""A verdict as it is kept and given out: the winner's bytes and what is said of them."""

from typing import NamedTuple

from gateway.core.vote import Verdict


class Pin(NamedTuple):
    """The one answer to a question. `body` is the winner's, byte for byte, in the form in which it came."""

    body: bytes
    streamed: bool
    outcome: str
    agreement: float
    k: int
    samples: int
    distinct: int
    divergence: int | None
    tokens: int  # completion tokens of all samples
    returned: int  # completion tokens of the winner
    policy: str
    margin: float | None = None  # the winner's: the smallest gap between its best two tokens


def make_pin(verdict: Verdict, policy: str) -> Pin:
    """The pin of a verdict that was reached under the policy of this name."""
    return Pin(
        body=verdict.winner.body,
        streamed=verdict.winner.streamed,
        outcome=verdict.outcome,
        agreement=verdict.agreement,
        k=verdict.k,
        samples=verdict.samples,
        distinct=verdict.distinct_answers,
        divergence=verdict.divergence,
        tokens=verdict.tokens,
        returned=verdict.winner.reply.tokens,
        policy=policy,
        margin=verdict.margin,
    )
