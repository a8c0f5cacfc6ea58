"""What an audit asks, all of it: enough to ask the same again, and to tell whether a journal belongs to it."""

from collections.abc import Sequence
from dataclasses import dataclass

ALONE, TOGETHER, MIXED, APART = "alone", "together", "mixed", "apart"
LANE = "lane"
KINDS = (ALONE, TOGETHER, MIXED, APART)


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question. `members` are its own members of the request's body, as JSON texts; they beat the spec's."""

    shown: str  # for people
    path: str  # the endpoint's
    members: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Spec:
    """How thoroughly, and how.

    Attributes:
        prompts: the questions; the unit of every figure.
        concurrencies: requests in flight; those above 1 are tried together and apart.
        copies: of each prompt, apart, at each concurrency.
        alone: of each prompt, with nothing else in flight; the first finds no prefix cached, the others do. Also of the
            reference lane, where one is audited beside the server.
        rounds: of each prompt, of `round_size` copies at once among other prompts, at the highest concurrency.
        gap: seconds between the end of one copy and the start of the next, where they are apart.
        salted: whether copies apart have prefix caches of their own, where the engine can.
        vary_seed: whether copy i samples with seed + i.
        answer: the rule by which answers are compared (gateway/core/answer).
    """

    model: str
    prompts: tuple[Prompt, ...]
    kinds: tuple[str, ...] = KINDS
    concurrencies: tuple[int, ...] = (1, 4, 16)
    copies: int = 10
    alone: int = 3
    rounds: int = 3
    round_size: int = 3
    gap: float = 1.0
    salted: bool = True
    temperature: float = 0.0
    seed: int = 1
    vary_seed: bool = False
    max_tokens: int = 128
    answer: str = "auto"
    has_lane: bool = False

    @property
    def highest(self) -> int:
        """The most requests in flight."""
        return max(self.concurrencies)

    @property
    def loaded(self) -> Sequence[int]:
        """The concurrencies at which copies are asked apart: all above 1, or 1 if there is no other."""
        return [each for each in self.concurrencies if each > 1] or [1]
