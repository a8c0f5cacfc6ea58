"""Needle in a batch: does a server say the same whatever else it is doing?

The same prompts, greedily, alone and among others, each before and after their prefix was computed. This module
says what to ask and what the answers mean; who asks is somebody else's business. vLLM's own test of batch
invariance does the same (`tests/v1/determinism/test_batch_invariance.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

from gateway.core.divergence import divergence

DETERMINISTIC, NOT_DETERMINISTIC, INCONCLUSIVE = "deterministic", "not deterministic", "inconclusive"


@dataclass(frozen=True, slots=True)
class ProbePlan:
    """How thorough a probe is.

    Attributes:
        needles: prompts whose answers are compared.
        copies: of each needle in a large batch.
        others: prompts beside them in a large batch, of other lengths and for other lengths of answer.
        tokens: of each needle's answer.
    """

    needles: int = 4
    copies: int = 1
    others: int = 8
    tokens: int = 32

    @property
    def large(self) -> int:
        """Requests in a large batch."""
        return self.needles * self.copies + self.others


@dataclass(frozen=True, slots=True)
class Shot:
    """One request of a probe; `needle` is None for one that only keeps the server busy."""

    prompt: str
    tokens: int
    needle: int | None = None


@dataclass(frozen=True, slots=True)
class Wave:
    """Batches sent one after the other, the shots of each at once. Waves of one `salt` share their prefixes."""

    name: str
    salt: int
    batches: tuple[tuple[Shot, ...], ...]


@dataclass(frozen=True, slots=True)
class Heard:
    """What a needle was answered. `logprobs` are those of the tokens chosen, where the server gives any."""

    wave: str
    needle: int
    text: str
    logprobs: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Needle:
    """One prompt's answers.

    Attributes:
        prompt: what was asked.
        answers: how many came.
        texts: how many different ones.
        scores: how many different sequences of logprobs; None where the server gives none.
        divergence: characters that all texts share before the first difference, None if they are the same.
        waves: in which the text or its logprobs differ from the first answer, in order.
    """

    prompt: str
    answers: int
    texts: int
    scores: int | None
    divergence: int | None
    waves: tuple[str, ...]

    @property
    def is_same(self) -> bool:
        """Every answer was the same, to the last bit that the server shows."""
        return self.texts == 1 and self.scores in {None, 1}


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a probe found. `missing` counts needles that were not answered, `detail` says why the last one was not."""

    needles: tuple[Needle, ...]
    missing: int = 0
    detail: str = ""

    @property
    def verdict(self) -> str:
        """`deterministic`, `not deterministic`, or `inconclusive` where answers are missing or all are empty."""
        if not all(needle.is_same for needle in self.needles if needle.answers):
            return NOT_DETERMINISTIC
        return INCONCLUSIVE if self.missing or not self.needles else DETERMINISTIC

    @property
    def reason(self) -> str:
        """The verdict with its figures, as one line."""
        total = len(self.needles)
        if self.verdict == DETERMINISTIC:
            answers = sum(needle.answers for needle in self.needles)
            return f"{answers} answers to {total} prompts, alone and in batches: one answer each"
        if self.verdict == INCONCLUSIVE:
            return f"{self.missing} answers are missing: {self.detail}"
        texts = sum(needle.texts > 1 for needle in self.needles)
        if not texts:
            scored = sum((needle.scores or 0) > 1 for needle in self.needles)
            return f"logprobs of {scored} of {total} prompts depend on the batch, though no text does so far"
        first = min(needle.divergence for needle in self.needles if needle.divergence is not None)
        return f"{texts} of {total} prompts have more than one text, the first difference after {first} characters"


def waves(plan: ProbePlan) -> tuple[Wave, ...]:
    """What to ask, in this order."""
    needles = tuple(Shot(prompt, plan.tokens, at) for at, prompt in enumerate(_prompts(plan.needles)))
    others = _others(plan)
    alone = tuple((needle,) for needle in needles)
    small = tuple((next(others), needle, next(others)) for needle in needles)
    copies = [needle for _ in range(plan.copies) for needle in needles]
    large = (tuple(_mixed(copies, [*islice(others, plan.others)])),)
    return (
        Wave("alone", 0, alone),
        Wave("alone, prefix warm", 0, alone),
        Wave("in batches of 3", 0, small),
        Wave(f"in a batch of {plan.large}", 1, large),
        Wave(f"in a batch of {plan.large}, prefix warm", 1, large),
    )


def judge(plan: ProbePlan, heard: Sequence[Heard], detail: str = "") -> ProbeResult:
    """What the answers to `waves(plan)` mean; `detail` says why those that are missing did not come."""
    asked = sum(shot.needle is not None for wave in waves(plan) for batch in wave.batches for shot in batch)
    found = tuple(
        _needle(prompt, [each for each in heard if each.needle == at])
        for at, prompt in enumerate(_prompts(plan.needles))
    )
    if not any(each.text for each in heard):
        return ProbeResult(found, asked, detail or "the model says nothing at all")
    return ProbeResult(found, asked - len(heard), detail)


def _needle(prompt: str, heard: Sequence[Heard]) -> Needle:
    texts = {each.text for each in heard}
    scores = {each.logprobs for each in heard if each.logprobs is not None}
    different = [
        each.wave for each in heard if (each.text, each.logprobs) != (heard[0].text, heard[0].logprobs)
    ]
    return Needle(
        prompt,
        len(heard),
        len(texts),
        len(scores) or None,
        divergence(texts),
        tuple(dict.fromkeys(different)),
    )


_SUBJECTS = ("a lighthouse", "the number 7", "an old map", "rain in a city", "two brothers", "a broken clock")
_TASKS = (
    "Tell a story about {}.",
    "List what one can say of {}, the most surprising thing first.",
    "Explain {} to a child, then to a physicist, and say what both got wrong.",
    "What is 17 + 26 - 9? Say why {} does not matter here.",
    "Write a letter to a friend who has never heard of {}. Mention the weather, a debt and a song.",
)  # fmt: skip


def _prompts(number: int) -> Iterator[str]:
    """As many different prompts, of different lengths."""
    for at in range(number):
        again = at // (len(_TASKS) * len(_SUBJECTS))
        text = _TASKS[at % len(_TASKS)].format(_SUBJECTS[at % len(_SUBJECTS)])
        yield f"{text} ({again})" if again else text


def _others(plan: ProbePlan) -> Iterator[Shot]:
    """Prompts without end, from a few words to a hundred, whose answers are shorter and longer than a needle's."""
    lengths = cycle((1, 6, 3, 14, 9))
    for at, length in enumerate(lengths):
        subject = _SUBJECTS[(at * 5 + 1) % len(_SUBJECTS)]
        yield Shot(
            f"Note {at}. " + f"Think of {subject} again. " * length, max(1, plan.tokens * (at % 3 + 1) // 2)
        )


def _mixed(needles: Sequence[Shot], others: Sequence[Shot]) -> Iterator[Shot]:
    """All of both, evenly interleaved."""
    places = [((at + 0.5) / len(needles), 1, at) for at in range(len(needles))]
    places += [((at + 0.5) / len(others), 0, at) for at in range(len(others))]
    for _, is_needle, at in sorted(places):
        yield (needles if is_needle else others)[at]
