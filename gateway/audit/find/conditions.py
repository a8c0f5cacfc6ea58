"""How copies of a prompt agree, by how they were sent."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from gateway.audit.find.copies import ByPrompt, answers_of, rounds_of, texts_of
from gateway.audit.heard import Heard, Missed
from gateway.audit.schedule import Phase, Shot, name_of
from gateway.audit.spec import ALONE, APART, LANE, MIXED
from gateway.calling.bootstrap import Rate, rate
from gateway.core.reproducibility import all_same, same_across, within_and_between

_NUMBERS = (2, 3, 5, 10, 20, 50)  # of TARr@N and TARa@N


@dataclass(frozen=True, slots=True)
class Tar:
    """TARr@N and TARa@N: the share of prompts whose N texts, or answers, are all the same."""

    number: int
    text: Rate
    answer: Rate


@dataclass(frozen=True, slots=True)
class Condition:
    """One phase.

    Attributes:
        text, answer: of two copies of a prompt; within a round, where copies were sent together.
        next_text, next_answer: of two copies from different rounds, where there are rounds.
        as_alone: an answer of this phase and one asked alone have the same text.
        in_flight: requests of the audit in flight as one was sent, the median.
        seconds: of one answer, the median.
    """

    kind: str
    concurrency: int
    planned: int
    answers: int
    missed: int
    spoiled: int
    cut: int  # by their length
    late: int
    in_flight: float
    text: Rate | None
    answer: Rate | None
    next_text: Rate | None
    next_answer: Rate | None
    as_alone: Rate | None
    tar: tuple[Tar, ...]
    most_texts: int
    mean_texts: float
    seconds: float
    tokens: float

    @property
    def name(self) -> str:
        """As reports have it."""
        return name_of(self.kind, self.concurrency)

    @property
    def is_independent(self) -> bool:
        """Whether its copies say what the next one will be."""
        return self.kind in {ALONE, APART, LANE}


def condition(phase: Phase, answers: ByPrompt, alone: ByPrompt, misses: Mapping[Shot, Missed]) -> Condition:
    """A phase's figures."""
    all_of_them = [each for copies in answers.values() for each in copies]
    pairs = [_two_kinds(phase, copies) for copies in answers.values()]
    distinct = [len(set(texts_of(copies))) for copies in answers.values()]
    shots = {shot for group in phase.groups for shot in group}
    return Condition(
        kind=phase.kind,
        concurrency=phase.concurrency,
        planned=phase.requests,
        answers=len(all_of_them),
        missed=len(shots & misses.keys() - {each.shot for each in all_of_them}),
        spoiled=sum(each.answer is None for each in all_of_them),
        cut=sum(each.sample.reply.finish == "length" for each in all_of_them),
        late=sum(each.late for each in all_of_them),
        in_flight=median(each.in_flight for each in all_of_them) if all_of_them else 0.0,
        text=rate(text[0] for text, _ in pairs),
        answer=rate(answer[0] for _, answer in pairs),
        next_text=rate(text[1] for text, _ in pairs),
        next_answer=rate(answer[1] for _, answer in pairs),
        as_alone=None
        if phase.kind == ALONE
        else rate(
            same_across(texts_of(copies), texts_of(alone.get(prompt, ())))
            for prompt, copies in answers.items()
        ),
        tar=() if phase.kind == MIXED else tuple(_tars(answers)),
        most_texts=max(distinct, default=0),
        mean_texts=fmean(distinct) if distinct else 0.0,
        seconds=median(each.seconds for each in all_of_them) if all_of_them else 0.0,
        tokens=fmean(each.sample.reply.tokens for each in all_of_them) if all_of_them else 0.0,
    )


_Two = tuple[float | None, float | None]


def _two_kinds(phase: Phase, copies: Sequence[Heard]) -> tuple[_Two, _Two]:
    """Same pairs of texts and of answers, within a round and between rounds; of all, where copies are single."""
    if len(phase.groups[0]) == 1:
        return (all_same(texts_of(copies)), None), (all_same(answers_of(copies)), None)
    rounds = rounds_of(copies)
    return (
        within_and_between([texts_of(each) for each in rounds]),
        within_and_between([answers_of(each) for each in rounds]),
    )


def _tars(answers: ByPrompt) -> Iterable[Tar]:
    """For the numbers of copies that most prompts have, and for all of them."""
    if not answers:
        return
    whole = int(median(map(len, answers.values())))
    for number in sorted({*(each for each in _NUMBERS if each < whole), whole}):
        text = rate(all_same(texts_of(copies), number) for copies in answers.values())
        answer = rate(all_same(answers_of(copies), number) for copies in answers.values())
        if number > 1 and text and answer:
            yield Tar(number, text, answer)
