"""How often results agree: a rate over questions, with its interval.

Counters add up pairs, so that one question that is asked a thousand times counts a thousand times. Here the
question is the unit: its pairs make one share, and the rate is the mean of the shares.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.core.interval import wilson

_QUESTIONS = 4096  # remembered of each kind, the latest
_FIELDS = 64  # told apart for a model and policy


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of answers to one question that were compared: what they are counted under, and how many agreed."""

    model: str
    policy: str
    spread: str  # together | staggered | apart
    question: bytes  # digest
    same: int
    different: int


@dataclass(frozen=True, slots=True)
class Rate:
    """The consistency rate of one kind of pairs, over the questions remembered."""

    model: str
    policy: str
    spread: str
    same: int
    different: int
    questions: int
    rate: float
    interval: tuple[float, float]  # 95 %


class Ledger:
    """The pairs of the latest questions, by model, policy and spread."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str, str], OrderedDict[int, tuple[int, int]]] = {}

    def note(self, pairs: Pairs) -> None:
        """Add pairs to those of their question."""
        questions = self._kinds.setdefault((pairs.model, pairs.policy, pairs.spread), OrderedDict())
        question = int.from_bytes(pairs.question[:7])  # a small integer takes a third of a digest's room
        same, different = questions.get(question, (0, 0))
        questions[question] = (same + pairs.same, different + pairs.different)
        questions.move_to_end(question)
        if len(questions) > _QUESTIONS:
            questions.popitem(last=False)

    def rates(self) -> list[Rate]:
        """Every kind that has pairs, in order."""
        return [_rate(kind, questions) for kind, questions in sorted(self._kinds.items())]


def _rate(kind: tuple[str, str, str], questions: OrderedDict[int, tuple[int, int]]) -> Rate:
    number = len(questions)
    rate = sum(same / (same + different) for same, different in questions.values()) / number
    low, high = wilson(rate, number)
    return Rate(
        *kind,
        same=sum(same for same, _ in questions.values()),
        different=sum(different for _, different in questions.values()),
        questions=number,
        rate=round(rate, 4),
        interval=(round(low, 4), round(high, 4)),
    )


class FieldAgreement:
    """How far samples agree on each field of their JSON answers, by model and policy."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str], dict[str, tuple[float, int]]] = {}

    def note(self, model: str, policy: str, fields: Iterable[tuple[str, float]]) -> None:
        """Add a round's shares. New fields of a kind that has many already are left out."""
        sums = self._sums.setdefault((model, policy), {})
        for path, share in fields:
            total, rounds = sums.get(path, (0.0, 0))
            if rounds or len(sums) < _FIELDS:
                sums[path] = (total + share, rounds + 1)

    def least(self) -> list[dict[str, object]]:
        """Each kind with its fields as JSON pointers, the least agreed on first, and their mean shares."""
        return [
            {
                "model": model,
                "policy": policy,
                "fields": dict(sorted(means.items(), key=lambda each: each[1])),
            }
            for (model, policy), sums in sorted(self._sums.items())
            if (means := {path: round(total / rounds, 4) for path, (total, rounds) in sums.items()})
        ]
