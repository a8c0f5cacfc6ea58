"""What the raw data of a scenario say."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from benchmarks.lanes.kept import CUT, OK, Answer, Kept
from gateway.core.interval import wilson


@dataclass(frozen=True, slots=True)
class Quantile:
    """Milliseconds; a bound from below where requests of that rank were cut off."""

    ms: float
    is_bound: bool


@dataclass(frozen=True, slots=True)
class Share:
    """A share of prompts, and its 95 % interval."""

    share: float
    low: float
    high: float
    prompts: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one scenario.

    Attributes:
        per_second: answers, over both rounds.
        rounds: the same of each round.
        p50, p99: of all requests, those included that were cut off.
        most_texts: different ones of the worst of the prompts that were asked over and over.
        mean_texts: of these prompts, on the average.
        copies: answers to each of these prompts, on the average.
        reproduced: prompts with the same text in both rounds.
        samples: per answer; 0 without a gateway.
        unanimous: votes of at least two samples in which all agreed; None where there was no such vote.
        tokens: that all lanes generated per answer; None where they do not count, or count what was cut.
        faults: requests that failed.
        cut: requests that were cut off.
    """

    answers: int
    per_second: float
    rounds: tuple[float, ...]
    p50: Quantile
    p99: Quantile
    most_texts: int
    mean_texts: float
    copies: float
    reproduced: Share | None
    samples: float
    unanimous: float | None
    tokens: float | None
    faults: int
    cut: int


def figures(kept: Kept) -> Figures | None:
    """The figures of a scenario; None where nothing was answered."""
    whole = [answer for answer in kept.answers if answer.fault == OK]
    if not whole or not kept.seconds:
        return None
    counts = Counter(answer.round for answer in whole)
    texts = _texts_of_repeated(whole)
    cut = sum(answer.fault == CUT for answer in kept.answers)
    return Figures(
        answers=len(whole),
        per_second=len(whole) / sum(kept.seconds),
        rounds=tuple(counts[number] / seconds for number, seconds in enumerate(kept.seconds)),
        p50=quantile(kept.answers, 0.5),
        p99=quantile(kept.answers, 0.99),
        most_texts=max(len(each) for each in texts),
        mean_texts=fmean(len(each) for each in texts),
        copies=fmean(each.total() for each in texts),
        reproduced=_reproduced(whole),
        samples=fmean(answer.samples for answer in whole),
        unanimous=_unanimous(whole),
        tokens=sum(kept.generated.values()) / len(whole) if kept.generated and not cut else None,
        faults=sum(answer.fault not in {OK, CUT} for answer in kept.answers),
        cut=cut,
    )


def quantile(answers: Iterable[Answer], share: float) -> Quantile:
    """The latency that `share` of the requests do not exceed. One that was cut off took at least as long as it had."""
    ranked = sorted((answer.ms, answer.fault == CUT) for answer in answers if answer.fault in {OK, CUT})
    at = min(len(ranked) - 1, int(share * len(ranked)))
    return Quantile(ranked[at][0], any(is_cut for _, is_cut in ranked[: at + 1]))


def _unanimous(whole: Sequence[Answer]) -> float | None:
    votes = [answer for answer in whole if answer.samples > 1 and answer.agreement is not None]
    return fmean(answer.agreement == 1 for answer in votes) if votes else None


def _texts_of_repeated(whole: Sequence[Answer]) -> list[Counter[str]]:
    """The texts of the prompts that were asked most often, with how often each came."""
    texts: dict[int, Counter[str]] = defaultdict(Counter)
    for answer in whole:
        texts[answer.prompt][answer.text] += 1
    repeated = [each for each in texts.values() if each.total() > 2]
    return repeated or list(texts.values())


def _reproduced(whole: Sequence[Answer]) -> Share | None:
    """Prompts whose first answers of both rounds are the same; those that are repeated count once, too."""
    first: dict[tuple[int, int], str] = {}
    for answer in whole:
        first.setdefault((answer.prompt, answer.round), answer.text)
    both = sorted(
        {prompt for prompt, number in first if number} & {prompt for prompt, number in first if not number}
    )
    pairs = [(first[prompt, 0], first[prompt, 1]) for prompt in both]
    if not pairs:
        return None
    share = fmean(one == other for one, other in pairs)
    return Share(share, *wilson(share, len(pairs)), len(pairs))
