"""What was voted, for an auditor: hashes of every sample of a round, and no text.

An answer and a text are told as the digest of question and candidate that breaks ties among candidates. So whoever
has the entry can count again and break the ties as the round did, and whoever has a question and a text can tell
whether it was among the samples; from the hash alone nobody guesses an answer that other questions have as well.
"""

from dataclasses import dataclass

from gateway.core.ballot import Ballot, exact_text
from gateway.core.round import Round
from gateway.core.vote import Verdict, Vote, digest


@dataclass(frozen=True, slots=True)
class Cast:
    """One sample. Hashes are hex, of 256 bits; empty where there is nothing to hash."""

    index: int
    seed: int
    fate: str  # ballot | spoiled | abstained | cancelled | reference
    upstream: str  # "" where that is not known
    text: str
    answer: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One round, its samples in sample order."""

    key: str  # "" for a request without one
    at: float  # when the request was voted on, in seconds since 1970
    question: str  # its digest, hex
    model: str
    policy: str
    k: int
    outcome: str
    agreement: float
    winner: int  # the index of the winning sample; -1 if there is none
    pin: str  # what became of the verdict: won | lost | refused | off
    samples: tuple[Cast, ...]
    live: bool = False  # shown while it was voted on, and bound to what was shown


def make_entry(ended: Round, *, key: str, at: float, model: str, pin: str) -> Entry:
    """The entry of a round that has a result."""
    verdict = ended.result if isinstance(ended.result, Verdict) else None
    policy = ended.plan.policy
    return Entry(
        key=key,
        at=at,
        question=ended.plan.question.hex(),
        model=model,
        policy=policy.name,
        k=policy.k,
        outcome=verdict.outcome if verdict else "no_quorum",
        agreement=verdict.agreement if verdict else 0.0,
        winner=verdict.winner.index if verdict else -1,
        pin=pin,
        samples=_samples(ended, verdict),
        live=ended.is_live,
    )


def _samples(ended: Round, verdict: Verdict | None) -> tuple[Cast, ...]:
    plan = ended.plan
    made = {vote.sample.index: _cast(ended, vote) for vote in ended.votes}
    for lost in ended.failures:
        made[lost.index] = Cast(lost.index, plan.seed_of(lost.index), "abstained", lost.upstream, "", "")
    for index in range(ended.launched):
        made.setdefault(index, Cast(index, plan.seed_of(index), "cancelled", "", "", ""))
    if verdict and verdict.arbitration in {"came", "spoiled"}:
        made[verdict.winner.index] = _reference(ended, verdict)
    return tuple(made[index] for index in sorted(made))


def _cast(ended: Round, vote: Vote) -> Cast:
    question, sample = ended.plan.question, vote.sample
    fate, answer = "spoiled", ""
    if isinstance(vote, Ballot):
        fate, answer = "ballot", digest(question, vote.answer).hex()
    seed, text = ended.plan.seed_of(sample.index), digest(question, vote.text).hex()
    return Cast(sample.index, seed, fate, sample.upstream, text, answer)


def _reference(ended: Round, verdict: Verdict) -> Cast:
    """The reference lane's, which was asked as sample 0 was, under an index of its own."""
    sample = verdict.winner
    text = digest(ended.plan.question, exact_text(sample.reply)).hex()
    return Cast(sample.index, ended.plan.seed_of(0), "reference", sample.upstream, text, "")
