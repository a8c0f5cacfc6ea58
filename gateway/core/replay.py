"""A policy's round, held on samples that are there already: what would the gateway have answered, and at what cost?"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.core.ballot import Abstention, Ballot, Sample, cast, exact_text
from gateway.core.plan import Plan
from gateway.core.round import Launch, Round
from gateway.core.vote import Verdict


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a round came to. `text` is None where there was no verdict, `answer` where the winner has none."""

    text: str | None
    answer: str | None
    samples: int  # launched on the fast lane, those cut off included
    reference: int  # launched on the reference lane


def replay(plan: Plan, fast: Sequence[Sample], reference: Sequence[Sample] = ()) -> Replayed:
    """The round under this plan whose samples come in this order, each lane from its own; what is missing abstains."""
    left = {"fast": deque(fast), "reference": deque(reference)}
    asked = {"fast": 0, "reference": 0}
    held = Round(plan)
    launched = deque(held.start())
    while launched and held.result is None:
        action = launched.popleft()
        if not isinstance(action, Launch):
            continue
        asked[action.lane] += 1
        launched.extend(held.receive(_next(left[action.lane], action.index)))
    # Under way when it ended.
    asked["fast"] += sum(isinstance(action, Launch) and action.lane == "fast" for action in launched)
    winner = held.result.winner if isinstance(held.result, Verdict) else None
    vote = None if winner is None else cast(winner, plan.answer)
    return Replayed(
        None if winner is None else exact_text(winner.reply),
        vote.answer if isinstance(vote, Ballot) else None,
        asked["fast"],
        asked["reference"],
    )


def _next(samples: deque[Sample], index: int) -> Sample | Abstention:
    if not samples:
        return Abstention(index, "unreachable")
    return replace(samples.popleft(), index=index)
