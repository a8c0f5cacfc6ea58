"""Where texts part, prompt by prompt, with examples."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from gateway.audit.find.copies import ByPrompt, answers_of, texts_of
from gateway.audit.heard import Heard
from gateway.audit.schedule import name_of
from gateway.audit.spec import Spec
from gateway.core.divergence import divergence
from gateway.core.reproducibility import all_same

_EXAMPLES = 5
_POINTS = 40  # of the curve


@dataclass(frozen=True, slots=True)
class Variant:
    """One text of a prompt, and how often it came in which phase."""

    text: str
    copies: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class PromptFinding:
    """One prompt: its copies apart at the highest concurrency, and where all its texts part."""

    number: int
    shown: str
    copies: int
    texts: int
    answers: int
    text: float | None
    answer: float | None
    divergence: int | None  # characters that all texts of all phases share; None where they are one


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt that was answered in several ways."""

    number: int
    shown: str
    divergence: int
    variants: tuple[Variant, ...]  # most copies first


def curve(apart: ByPrompt) -> tuple[tuple[int, float], ...]:
    """The share of pairs that are the same up to so many characters; prompts weigh alike."""
    parted = [_parted(copies) for copies in apart.values() if len(copies) > 1]
    places = [place for prompt in parted for place, _ in prompt]
    if not places:
        return ()
    step = max(1, -(-(max(places) + 1) // _POINTS))
    return tuple(
        (at, 1 - fmean(sum(share for place, share in prompt if place < at) for prompt in parted))
        for at in range(0, max(places) + step + 1, step)
    )


def _parted(copies: Sequence[Heard]) -> list[tuple[int, float]]:
    """Where pairs of copies part, with their share of all pairs."""
    counted = Counter(each.sample.reply.shown for each in copies)
    pairs = len(copies) * (len(copies) - 1) / 2
    return [
        (divergence((one, other)) or 0, counted[one] * counted[other] / pairs)
        for one, other in combinations(counted, 2)
    ]


_Phases = Mapping[tuple[str, int], ByPrompt]


def prompt(spec: Spec, number: int, apart: ByPrompt, phases: _Phases) -> PromptFinding:
    """One prompt's line."""
    copies = apart.get(number, ())
    texts = {each.sample.reply.shown for phase in phases.values() for each in phase.get(number, ())}
    return PromptFinding(
        number + 1,
        spec.prompts[number].shown,
        len(copies),
        len(set(texts_of(copies))),
        len(set(answers_of(copies))),
        all_same(texts_of(copies)),
        all_same(answers_of(copies)),
        divergence(texts),
    )


def examples(spec: Spec, phases: _Phases) -> tuple[Example, ...]:
    """The prompts with the most texts."""
    made = [_example(spec, number, phases) for number in range(len(spec.prompts))]
    several = [each for each in made if each is not None]
    return tuple(sorted(several, key=lambda each: (-len(each.variants), each.number))[:_EXAMPLES])


def _example(spec: Spec, number: int, phases: _Phases) -> Example | None:
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    for (kind, concurrency), answers in phases.items():
        for each in answers.get(number, ()):
            name = name_of(kind, concurrency)
            counted[each.sample.reply.shown][name] += 1
    parts = divergence(counted)
    if parts is None:
        return None
    ordered = sorted(counted.items(), key=lambda item: (-item[1].total(), item[0]))
    variants = tuple(Variant(text, tuple(copies.items())) for text, copies in ordered)
    return Example(number + 1, spec.prompts[number].shown, parts, variants)
