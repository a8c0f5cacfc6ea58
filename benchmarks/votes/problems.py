"""Sums that nobody has seen: reasoning-gym's chain sums, written as the demo model's questions are."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

_MOST_DIGITS = 2
_SEED = 900_000  # item i is made from seed + i; the demo model learnt from another generator altogether


@dataclass(frozen=True, slots=True)
class Problem:
    """A question and its right answer, a whole number."""

    question: str
    answer: str


def keep_problems(path: Path, problems: list[Problem]) -> None:
    """Write problems, for a machine without the generator."""
    path.write_text(json.dumps([asdict(each) for each in problems], indent=0) + "\n")


def read_problems(path: Path) -> list[Problem]:
    """Problems that were kept."""
    return [Problem(**each) for each in json.loads(path.read_text())]


def make_problems(number: int) -> list[Problem]:
    """Sums of 3 to 7 whole numbers of one or two digits.

    The generator gives all numbers of a problem the same length; the model learnt sums of mixed ones, and is lost
    where all of them have three.
    """
    from reasoning_gym import create_dataset

    items = create_dataset(
        "chain_sum", size=number, seed=_SEED, min_terms=3, max_terms=7, min_digits=1, max_digits=_MOST_DIGITS
    )
    return [Problem(f"What is {item['metadata']['expression']}?", item["answer"]) for item in items]
