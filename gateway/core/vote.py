"""Counting: ballots in, one Verdict out.

Ballots are counted in sample order, never in arrival order, and every tie breaks by content, so the same
candidates give the same verdict in every round.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import NamedTuple

from gateway.core.ballot import Ballot, Sample, Spoiled
from gateway.core.divergence import divergence

Vote = Ballot | Spoiled
Agrees = Callable[[Sample], bool]  # whether a sample agrees with all that a live stream has shown


class Tally(NamedTuple):
    """Votes per candidate, most votes first."""

    counts: tuple[tuple[str, int], ...]

    @property
    def lead(self) -> int:
        """Votes of the first candidate."""
        return self.counts[0][1] if self.counts else 0

    @property
    def second(self) -> int:
        """Votes of the next candidate."""
        return self.counts[1][1] if len(self.counts) > 1 else 0


class Verdict(NamedTuple):
    """The result of a round: the winning sample and how sure one may be of it.

    After an arbitration the winner is the reference sample, and all figures but the tokens are still the vote's.
    """

    winner: Sample
    # unanimous | majority | plurality | tie (no strict lead for the winner) | single | no_quorum
    outcome: str
    agreement: float  # winner's votes / (ballots + spoiled)
    k: int
    samples: int  # ballots + spoiled
    distinct_answers: int
    distinct_texts: int
    divergence: int | None  # characters, None where all texts are the same
    votes: tuple[int, ...]  # per candidate, most first
    tokens: int  # completion tokens of all samples cast, and of the reference sample
    same_pair: bool | None  # whether the first two ballots agree; None if there are no two
    # What the reference lane gave where it was asked: came | spoiled | failed | none.
    arbitration: str = "none"

    @property
    def margin(self) -> float | None:
        """The winner's, where it is known."""
        return self.winner.reply.margin


def tally(answers: Sequence[str], question: bytes) -> Tally:
    """Counts, ordered by votes and then by the digest of question and candidate.

    Including the question keeps a label such as "yes" from winning the ties of every question.
    """
    counts: dict[str, int] = {}
    for answer in answers:
        counts[answer] = counts.get(answer, 0) + 1
    if len(counts) > 1:
        ordered = sorted(counts.items(), key=lambda item: (-item[1], digest(question, item[0])))
        return Tally(tuple(ordered))
    return Tally(tuple(counts.items()))


def decide(
    cast: Sequence[Vote], k: int, quorum: int, question: bytes, agrees: Agrees | None = None
) -> Verdict:
    """The verdict on at least one sample cast.

    If every sample is spoiled the exact texts are counted instead: somebody still gets an answer, labelled
    `no_quorum` with an agreement of 0.

    What a live stream has shown is not taken back: with `agrees` the winner is the best of those samples that
    agree, of which there must be one, and the figures are that sample's, over all that were cast.
    """
    in_order = sorted(cast, key=lambda vote: vote.sample.index)
    ballots = [vote for vote in in_order if isinstance(vote, Ballot)]
    counted = tally([ballot.answer for ballot in ballots], question)
    group = _winning(counted, eligible(ballots or in_order, agrees))
    votes = _votes(counted, group[0])
    texts = len({vote.text for vote in in_order})
    return Verdict(
        winner=_representative(group, question),
        outcome=_outcome(counted, votes, len(ballots), len(in_order), k, quorum),
        agreement=votes / len(in_order),
        k=k,
        samples=len(in_order),
        distinct_answers=len(counted.counts),
        distinct_texts=texts,
        divergence=None if texts == 1 else divergence([vote.sample.reply.shown for vote in in_order]),
        votes=tuple([votes for _, votes in counted.counts]),
        tokens=sum([vote.sample.reply.tokens for vote in in_order]),
        same_pair=ballots[0].answer == ballots[1].answer if len(ballots) > 1 else None,
    )


def eligible(votes: Sequence[Vote], agrees: Agrees | None) -> Sequence[Vote]:
    """Those of these votes that may win."""
    return votes if agrees is None else [vote for vote in votes if agrees(vote.sample)]


def _winning(counted: Tally, may_win: Sequence[Vote]) -> Sequence[Vote]:
    """The votes for the best answer among these; all of them where no vote has an answer."""
    by_answer: dict[str, list[Vote]] = {}
    for vote in may_win:
        if isinstance(vote, Ballot):
            by_answer.setdefault(vote.answer, []).append(vote)
    return next((by_answer[answer] for answer, _ in counted.counts if answer in by_answer), may_win)


def _representative(group: Sequence[Vote], question: bytes) -> Sample:
    """Of the winning answer's samples, the first one with the text that has the most copies."""
    if len(group) == 1:
        return group[0].sample
    text = tally([vote.text for vote in group], question).counts[0][0]
    return next(vote.sample for vote in group if vote.text == text)


def _votes(counted: Tally, winner: Vote) -> int:
    return dict(counted.counts)[winner.answer] if isinstance(winner, Ballot) else 0


def _outcome(counted: Tally, votes: int, ballots: int, total: int, k: int, quorum: int) -> str:
    if ballots < quorum:
        return "no_quorum"
    if k == 1:
        return "single"
    if votes == counted.second or votes < counted.lead:
        return "tie"
    if votes == total and total > 1:
        return "unanimous"
    return "majority" if votes * 2 > total else "plurality"


def digest(question: bytes, candidate: str) -> bytes:
    """By which ties among the candidates of a question break: the smallest wins."""
    return sha256(question + candidate.encode("utf-8", "surrogatepass")).digest()
