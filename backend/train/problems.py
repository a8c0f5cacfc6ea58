"""Sums and their solutions, step by step, by several routes to one answer.

A solution starts at a random added term and goes round the others, so that samples differ in their steps and
their mistakes are not all the same: that is what gives a vote something to do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

MAX_TERMS = 9
_ASKED = ("What is {}?", "What is {}?", "How much is {}?", "Compute {}", "Compute {}.", "{}", "{} =")
_EXPLAIN = ("Explain {}", "Explain {}.")
_EXPLAINED = 0.2  # share of questions that want words


@dataclass(frozen=True, slots=True)
class Problem:
    """Signed whole numbers to add up, the first of them not negative."""

    terms: tuple[int, ...]

    @property
    def expression(self) -> str:
        """As one writes it: 23 + 48 - 17."""
        first, *others = self.terms
        return str(first) + "".join(_signed(term) for term in others)

    @property
    def answer(self) -> int:
        """What it comes to."""
        return sum(self.terms)

    def route(self, start: int) -> tuple[int, ...]:
        """The terms from `start` on, round to the one before it."""
        return self.terms[start:] + self.terms[:start]


def draw_problem(random: Random, fewest: int = 2, most: int = MAX_TERMS) -> Problem:
    """Terms of one to three digits, each added or taken away."""
    size = random.randint(fewest, most)
    terms = [random.randrange(10 ** random.randint(1, 3)) for _ in range(size)]
    return Problem((terms[0], *(random.choice((term, -term)) for term in terms[1:])))


def draw_question(random: Random, problem: Problem) -> tuple[str, str]:
    """A way to ask, and a right answer to it."""
    is_explained = random.random() < _EXPLAINED
    asked = random.choice(_EXPLAIN if is_explained else _ASKED)
    expression = problem.expression
    if not is_explained and random.random() < 0.2:
        expression = expression.replace(" ", "")
    route = problem.route(random.choice([at for at, term in enumerate(problem.terms) if term >= 0]))
    return asked.format(expression), _explained(route) if is_explained else _solved(route)


def _solved(route: Sequence[int]) -> str:
    lines, total = [], route[0]
    for term in route[1:]:
        lines.append(f"{total}{_signed(term)} = {total + term}")
        total += term
    return "\n".join([*lines, f"#### {total}"])


def _explained(route: Sequence[int]) -> str:
    sentences, total = [f"We start with {route[0]}."], route[0]
    for term in route[1:]:
        done = f"take away {-term}" if term < 0 else f"add {term}"
        sentences.append(f"From {total} we {done} and get {total + term}.")
        total += term
    return "\n".join([" ".join(sentences), f"#### {total}"])


def _signed(term: int) -> str:
    return f" - {-term}" if term < 0 else f" + {term}"
