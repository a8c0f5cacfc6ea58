"""What is claimed of the lanes, each claim with its bound, and whether a run bears it out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.lanes.figures import Figures, figures
from benchmarks.lanes.kept import Run
from benchmarks.lanes.scenarios import SCENARIOS


@dataclass(frozen=True, slots=True)
class Seen:
    """What a run shows of a claim, in words, and whether that is within its bound."""

    shown: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """A run's figures by scenario, of complete ones only, and the rates that a gateway published of itself."""

    figures: Mapping[str, Figures]
    published: Mapping[str, Any] | None

    @classmethod
    def of(cls, run: Run) -> "Evidence":
        """What there is."""
        complete = {name: kept for name, kept in run.scenarios.items() if kept.is_complete}
        found = {name: made for name, kept in complete.items() if (made := figures(kept)) is not None}
        rates = complete["measured"].rates if "measured" in complete else []
        return cls(found, next((rate for rate in rates if rate["spread"] == "apart"), None))


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim, its bound in words, and how to judge it: None where what it takes was not measured."""

    title: str
    bound: str
    judge: Callable[[Evidence], Seen | None]


def verdicts(run: Run) -> list[tuple[Claim, Seen | None]]:
    """Every claim with what the run shows of it."""
    evidence = Evidence.of(run)
    return [(claim, claim.judge(evidence)) for claim in CLAIMS]


def _ratio(
    above: str, below: str, *, at_least: float = 0.0, at_most: float = float("inf")
) -> Callable[[Evidence], Seen | None]:
    """Answers per second of one scenario over those of another, and the same round by round."""

    def judge(evidence: Evidence) -> Seen | None:
        if not {above, below} <= evidence.figures.keys():
            return None
        ours, theirs = evidence.figures[above], evidence.figures[below]
        found = ours.per_second / theirs.per_second
        rounds = [one / other for one, other in zip(ours.rounds, theirs.rounds, strict=True)]
        shown = f"{found:.2f} ({min(rounds):.2f} to {max(rounds):.2f})"
        return Seen(shown, at_least <= found <= at_most)

    return judge


def _tokens(above: str, below: str, at_most: float) -> Callable[[Evidence], Seen | None]:
    """Tokens generated per answer in one scenario over those in another."""

    def judge(evidence: Evidence) -> Seen | None:
        tokens = [evidence.figures[name].tokens for name in (above, below) if name in evidence.figures]
        if len(tokens) < 2 or not tokens[0] or not tokens[1]:
            return None
        found = tokens[0] / tokens[1]
        return Seen(f"{found:.2f}", found <= at_most)

    return judge


def _one_text(evidence: Evidence) -> Seen | None:
    found = evidence.figures.get("invariant")
    if found is None or found.reproduced is None:
        return None
    again = f"{found.reproduced.share:.0%} of {found.reproduced.prompts} prompts the same again"
    shown = f"{found.most_texts} of {found.copies:.0f} copies, {again}"
    return Seen(shown, found.most_texts == 1 and found.reproduced.share == 1.0)


def _published(evidence: Evidence) -> Seen | None:
    """What the plain server did in two rounds is the truth about it."""
    plain, told = evidence.figures.get("plain"), evidence.published
    if plain is None or plain.reproduced is None or told is None:
        return None
    low, high = told["interval"]
    truth = plain.reproduced.share
    shown = (
        f"{told['rate']:.3f} ({low:.3f} to {high:.3f}, {told['questions']} questions); the truth {truth:.3f}"
    )
    return Seen(shown, low <= truth <= high)


CLAIMS: tuple[Claim, ...] = (
    Claim("`reference` on an invariant lane gives one text per prompt", "1 text, all the same again", _one_text),
    Claim(
        "`reference` on an invariant lane: answers/s over the plain server's",
        "≥ 0.6",
        _ratio("invariant", "plain", at_least=0.6),
    ),
    Claim(
        "the plain server's answers/s over those of `single` with `measure: 0.05`",
        "≤ 1.15",
        _ratio("plain", "measured", at_most=1.15),
    ),
    Claim(
        "the tokens that it generates per answer, over the plain server's",
        "≤ 1.15",
        _tokens("measured", "plain", 1.15),
    ),
    Claim("the rate that it publishes: the truth lies in its interval", "within", _published),
    Claim("pinned answers/s over the plain server's", "≥ 20", _ratio("pinned", "plain", at_least=20)),
)  # fmt: skip


def unfinished(run: Run) -> list[str]:
    """The scenarios that are still to be measured."""
    done = {name for name, kept in run.scenarios.items() if kept.is_complete}
    return [scenario.name for scenario in SCENARIOS if scenario.name not in done]
