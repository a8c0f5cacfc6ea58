"""What a run found, as it is kept in a file: written while it goes on, read again to go on or to report."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field
from pathlib import Path
from typing import Any, Self

from benchmarks.processes import BenchError

OK, CUT = "", "cut"


@dataclass(frozen=True, slots=True)
class Answer:
    """One request and what came of it.

    Attributes:
        prompt: its number.
        round: 0 or 1.
        ms: from asking to the whole answer, or until it was cut off.
        text: a digest.
        samples: that the answer took; 0 without a gateway.
        agreement: of the samples; None where nothing was voted on.
        fault: nothing, `cut`, or the error in short.
    """

    prompt: int
    round: int
    ms: float
    text: str = ""
    samples: int = 0
    agreement: float | None = None
    fault: str = OK


@dataclass(slots=True)
class Kept:
    """One scenario, so far.

    Attributes:
        seconds: of each round.
        generated: tokens that each lane generated meanwhile, by its own count; empty where it has none.
        rates: the consistency rates that the gateway published.
        fault: why it could not be measured.
    """

    name: str
    title: str
    seconds: list[float] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    generated: dict[str, float] = field(default_factory=dict)
    rates: list[dict[str, Any]] = field(default_factory=list)
    fault: str = ""
    is_complete: bool = False

    @classmethod
    def read(cls, written: Mapping[str, Any]) -> Self:
        """From JSON."""
        return cls(**{**written, "answers": [Answer(*row) for row in written["answers"]]})

    def as_json(self) -> dict[str, Any]:
        """To JSON: an answer is a row."""
        rows = [astuple(answer) for answer in self.answers]
        return {**asdict(self), "answers": rows}


@dataclass(slots=True)
class Run:
    """All scenarios on one model and machine. `about` says on what, and with how much load."""

    path: Path
    about: dict[str, Any]
    scenarios: dict[str, Kept] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path, about: Mapping[str, Any]) -> Self:
        """The run of this file, to go on with, or a new one.

        Raises:
            BenchError: what is there was measured under other settings.
        """
        if not path.exists():
            return cls(path, dict(about))
        found = cls.load(path)
        for name in ("model", "load"):
            if found.about[name] != about[name]:
                raise BenchError(f"{path}: has another {name}, {found.about[name]}: name another --out")
        return found

    @classmethod
    def load(cls, path: Path) -> Self:
        """The run of this file."""
        written = json.loads(path.read_text())
        kept = {name: Kept.read(each) for name, each in written["scenarios"].items()}
        return cls(path, written["about"], kept)

    def write(self) -> None:
        """Keep all there is so far; whoever reads meanwhile gets the file as it was."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines = [_line(name, kept.as_json()) for name, kept in self.scenarios.items()]
        text = f'{{"about": {json.dumps(self.about, indent=1)},\n"scenarios": {{{_joined(lines)}}}}}\n'
        new = self.path.with_suffix(".new")
        new.write_text(text)
        new.replace(self.path)


def _line(name: str, value: object) -> str:
    return f"{json.dumps(name)}: {json.dumps(value, separators=(',', ':'))}"


def _joined(lines: Sequence[str]) -> str:
    return "\n" + ",\n".join(lines) + "\n" if lines else ""
