"""An auditor's second count: whether a ledger entry follows from its own hashes."""

from collections import Counter
from collections.abc import Sequence

from gateway.core.ledger import Cast, Entry

_CAST = {"ballot", "spoiled"}
_ROUNDING = 1e-9


def fault(entry: Entry) -> str | None:
    """What does not follow from the hashes of the samples: the winner, or the agreement; None if both do.

    A reference sample wins whatever the vote was. A live stream's winner is bound to what had been shown, which no
    entry tells: there the winner's votes are counted, and its choice is taken as it is.
    """
    if entry.winner < 0:
        return None if entry.outcome == "no_quorum" else f"outcome {entry.outcome}, and no winner"
    winner = next((sample for sample in entry.samples if sample.index == entry.winner), None)
    cast = [sample for sample in entry.samples if sample.fate in _CAST]
    if winner is None or winner.fate not in {*_CAST, "reference"} or not cast:
        return f"the winner, sample {entry.winner}, is none of the samples that came"
    chosen = winner if entry.live else _count(cast)
    if winner.fate != "reference" and _candidate(winner) != _candidate(chosen):
        return f"the winner is sample {entry.winner}, and by the count it is sample {chosen.index}"
    counted = _votes(chosen, cast) / len(cast)
    if abs(counted - entry.agreement) > _ROUNDING:
        return f"the agreement is {entry.agreement:.2f}, and by the count it is {counted:.2f}"
    return None


def _count(cast: Sequence[Cast]) -> Cast:
    """Most votes, then the smallest hash; of that answer's texts most copies, then the smallest hash.

    Where all samples are spoiled there are no answers, and the texts decide.
    """
    ballots = [sample for sample in cast if sample.fate == "ballot"] or cast
    answer = _first([sample.answer for sample in ballots])
    group = [sample for sample in ballots if sample.answer == answer]
    text = _first([sample.text for sample in group])
    return next(sample for sample in group if sample.text == text)


def _first(hashes: Sequence[str]) -> str:
    return min(Counter(hashes).items(), key=lambda counted: (-counted[1], counted[0]))[0]


def _candidate(sample: Cast) -> tuple[str, str]:
    return sample.answer, sample.text


def _votes(winner: Cast, cast: Sequence[Cast]) -> int:
    """A spoiled sample has no vote, its own neither."""
    return sum(sample.answer == winner.answer for sample in cast) if winner.answer else 0
