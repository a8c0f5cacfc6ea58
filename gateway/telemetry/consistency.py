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


class Questions:
    """The pairs of the latest questions of one kind, same and different, and the sum of their shares."""

    __slots__ = ("agreement", "pairs")

    def __init__(self) -> None:
        self.pairs: OrderedDict[int, tuple[int, int]] = OrderedDict()
        self.agreement = 0.0  # kept up to date, so that reading it does not take thousands of divisions

    def note(self, question: bytes, same: int, different: int) -> None:
        """Add pairs to those of their question; the one longest without any is forgotten."""
        name = int.from_bytes(question[:7])  # a small integer takes a third of a digest's room
        before = self.pairs.pop(name, (0, 0))
        now = self.pairs[name] = (before[0] + same, before[1] + different)
        self.agreement += _share(now) - _share(before)
        if len(self.pairs) > _QUESTIONS:
            self.agreement -= _share(self.pairs.popitem(last=False)[1])


# A kind's model, policy and spread, and its questions with their pairs, same and different.
Told = tuple[str, str, str, list[tuple[int, int, int]]]


class Consistency:
    """The pairs of the latest questions, by model, policy and spread."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str, str], Questions] = {}

    def note(self, pairs: Pairs) -> Questions:
        """Add pairs to those of their question; all of its kind."""
        kind = (pairs.model, pairs.policy, pairs.spread)
        questions = self._kinds.get(kind)
        if questions is None:
            questions = self._kinds[kind] = Questions()
        questions.note(pairs.question, pairs.same, pairs.different)
        return questions

    def tell(self) -> list[Told]:
        """All of it as plain data, for another process."""
        return [
            (*kind, [(each, *both) for each, both in now.pairs.items()]) for kind, now in self._kinds.items()
        ]

    def hear(self, told: Iterable[Told]) -> None:
        """Add what another process tells. Here nothing is forgotten: each has kept its latest questions."""
        for model, policy, spread, pairs in told:
            questions = self._kinds.setdefault((model, policy, spread), Questions())
            for question, same, different in pairs:
                before = questions.pairs.get(question, (0, 0))
                questions.pairs[question] = (before[0] + same, before[1] + different)

    def rates(self) -> list[Rate]:
        """Every kind that has pairs, in order."""
        return [_rate(kind, each) for kind, each in sorted(self._kinds.items())]


def _share(pairs: tuple[int, int]) -> float:
    """The share of pairs that were the same; 0 for none, which adds nothing."""
    same, different = pairs
    return same / (same + different) if same else 0.0


def _rate(kind: tuple[str, str, str], questions: Questions) -> Rate:
    number = len(questions.pairs)
    rate = sum(map(_share, questions.pairs.values())) / number
    low, high = wilson(rate, number)
    return Rate(
        *kind,
        same=sum(same for same, _ in questions.pairs.values()),
        different=sum(different for _, different in questions.pairs.values()),
        questions=number,
        rate=round(rate, 4),
        interval=(round(low, 4), round(high, 4)),
    )


# A kind's model and policy, and its fields, each with its sum of shares and the rounds that have it.
ToldFields = tuple[str, str, list[tuple[str, float, int]]]


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

    def tell(self) -> list[ToldFields]:
        """All of it as plain data, for another process."""
        return [
            (*kind, [(path, *sums) for path, sums in fields.items()]) for kind, fields in self._sums.items()
        ]

    def hear(self, told: Iterable[ToldFields]) -> None:
        """Add what another process tells."""
        for model, policy, fields in told:
            sums = self._sums.setdefault((model, policy), {})
            for path, total, rounds in fields:
                before = sums.get(path, (0.0, 0))
                sums[path] = (before[0] + total, before[1] + rounds)

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
