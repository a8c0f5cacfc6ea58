"""What one round will do: how many samples, with which seeds, judged how."""

from dataclasses import dataclass, field

from gateway.core.answer.rules import resolve
from gateway.core.policy import Policy
from gateway.core.stopping import StopRule

_SEEDS = 1 << 64
_LOWEST_SEED = -(1 << 63)


@dataclass(frozen=True, slots=True)
class Plan:
    """A policy applied to one request."""

    policy: Policy
    seed: int
    greedy: bool  # temperature 0: all samples share the seed
    question: bytes  # digest of canonical body and seed: what breaks ties
    has_tools: bool = False  # tools that the answer may call
    wants_json: bool = False
    answer: str = field(init=False)  # the answer rule of this round: the policy's, `auto` resolved
    rule: StopRule = field(init=False)

    def __post_init__(self) -> None:
        """What follows from the rest."""
        policy = self.policy
        answer = resolve(policy.answer, has_tools=self.has_tools, wants_json=self.wants_json)
        object.__setattr__(self, "answer", answer)
        object.__setattr__(self, "rule", StopRule(policy.stop, policy.quorum, policy.min_agreement))

    @property
    def tries_one(self) -> bool:
        """Whether one sample is asked for alone, to be accepted by its margin: greedy ones can only repeat it."""
        return self.greedy and self.policy.accept_margin is not None and self.policy.k > 1

    def seed_of(self, index: int) -> int:
        """Sample i samples with seed + i, as the engines' own `n` does; within int64, which they take."""
        if self.greedy or index == 0:
            return self.seed
        return (self.seed + index - _LOWEST_SEED) % _SEEDS + _LOWEST_SEED
