"""What was foretold beside what came: pure, so that it can be checked by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.core.interval import wilson

WITHIN = 0.05


@dataclass(frozen=True, slots=True)
class Line:
    """One figure that was published, and the share of prompts that came out the same in two later rounds."""

    title: str
    compared: str  # text | answer
    source: str  # audit | metrics
    foretold: float
    low: float
    high: float
    seen: float
    prompts: int

    @property
    def seen_interval(self) -> tuple[float, float]:
        """How far off the later rounds themselves may be: 95 %, Wilson."""
        return wilson(self.seen, self.prompts)

    @property
    def holds(self) -> bool:
        """Within 0.05, or within the interval that was published with it."""
        return abs(self.seen - self.foretold) <= WITHIN or self.low <= self.seen <= self.high


def share_same(one: Sequence[str | None], other: Sequence[str | None]) -> float:
    """The share of prompts with the same in both rounds; what could not be read is the same as nothing."""
    return sum(a is not None and a == b for a, b in zip(one, other, strict=True)) / len(one)


def foretold(audit: Mapping[str, Any], policy: str, spread: str, compared: str) -> tuple[float, float, float]:
    """What an audit's JSON says of a policy: the rate and its interval."""
    found = next(each for each in audit["policies"] if (each["name"], each["spread"]) == (policy, spread))
    rate = found[compared]
    return rate["value"], rate["low"], rate["high"]


def table(lines: Sequence[Line]) -> str:
    """Markdown."""
    head = (
        "| | compared | published by | foretold | 95 % | two later rounds | 95 % | off by | |",
        "|---|---|---|--:|---|--:|---|--:|---|",
    )
    return "\n".join([*head, *map(_row, lines)])


def _row(line: Line) -> str:
    seen = line.seen_interval
    cells = (
        line.title,
        line.compared,
        line.source,
        f"{line.foretold:.3f}",
        f"{line.low:.2f} to {line.high:.2f}",
        f"{line.seen:.3f}",
        f"{seen[0]:.2f} to {seen[1]:.2f}",
        f"{line.seen - line.foretold:+.3f}",
        "holds" if line.holds else "**does not hold**",
    )
    return f"| {' | '.join(cells)} |"
