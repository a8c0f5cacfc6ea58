"""One vote as a state machine: outcomes in, actions out.

The rules of a round live here and nowhere else. It never waits, never looks at a clock and never draws a
random number: a time-out arrives as an Abstention like any other failure, and whoever drives the round
performs its actions as it likes. So a test can replay any order of arrival.
"""

from collections import Counter
from dataclasses import dataclass

from gateway.core.ballot import Abstention, Ballot, Sample, Spoiled, cast
from gateway.core.plan import Plan
from gateway.core.stopping import Standing
from gateway.core.vote import Verdict, decide


@dataclass(frozen=True, slots=True)
class Launch:
    """Ask for sample `index` with this seed."""

    index: int
    seed: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Sample `index` is no longer wanted: close its connection."""

    index: int


@dataclass(frozen=True, slots=True)
class NoSamples:
    """A round without a verdict: what came instead of samples, in sample order."""

    abstentions: tuple[Abstention, ...]
    samples: int  # ballots and spoiled ones that did come
    quorum: int

    @property
    def culprit(self) -> Abstention | None:
        """The upstream's own error to pass on: a final one, or the one that all abstentions share."""
        for abstention in self.abstentions:
            if abstention.is_final:
                return abstention
        alike = {(abstention.reason, abstention.status) for abstention in self.abstentions}
        return self.abstentions[-1] if len(alike) == 1 else None


Action = Launch | Cancel
Result = Verdict | NoSamples


class Round:
    """The vote on one request. `start` once, then `receive` each outcome until there is a `result`."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.result: Result | None = None
        self.launched = 0
        self._rule = plan.rule
        self._votes: Counter[str] = Counter()  # by answer
        self._ballots: list[Ballot] = []
        self._spoiled: list[Spoiled] = []
        self._abstentions: list[Abstention] = []
        self._in_flight: set[int] = set()

    @property
    def abstained(self) -> int:
        """How many samples never came."""
        return len(self._abstentions)

    @property
    def standing(self) -> Standing:
        """The counts that the stop rule looks at."""
        lead, second = (*sorted(self._votes.values(), reverse=True), 0, 0)[:2]
        return Standing(lead, second, len(self._ballots), len(self._spoiled), self._outstanding)

    def start(self) -> list[Action]:
        """The first samples: as many as could decide the round."""
        return self._launch(self._rule.needed(self.standing))

    def receive(self, outcome: Sample | Abstention) -> list[Action]:
        """Take one outcome; say what to do next. Outcomes after the end are ignored."""
        if self.result is not None:
            return []
        self._in_flight.discard(outcome.index)
        self._count(outcome)
        standing = self.standing
        if self._is_lost(standing):
            return self._end(self._without_quorum())
        if self._rule.decided(standing):
            return self._end(self._verdict())
        missing = self._rule.needed(standing) - len(self._in_flight)
        return self._launch(max(missing, self.plan.policy.wave)) if missing > 0 else []

    def _count(self, outcome: Sample | Abstention) -> None:
        if isinstance(outcome, Abstention):
            self._abstentions.append(outcome)
            return
        vote = cast(outcome, self.plan.policy.answer)
        if isinstance(vote, Ballot):
            self._ballots.append(vote)
            self._votes[vote.answer] += 1
        else:
            self._spoiled.append(vote)

    @property
    def _budget(self) -> int:
        """Samples that may be launched: k, and one in the place of the first that never came."""
        return self.plan.policy.k + (1 if self._abstentions else 0)

    @property
    def _outstanding(self) -> int:
        return self._budget - len(self._ballots) - len(self._spoiled) - len(self._abstentions)

    def _is_lost(self, at: Standing) -> bool:
        """A final error, or too few samples left for a quorum."""
        if self._abstentions and self._abstentions[-1].is_final:
            return True
        return at.ballots + at.spoiled + at.outstanding < self.plan.policy.quorum

    def _launch(self, wanted: int) -> list[Action]:
        first, last = self.launched, min(self.launched + wanted, self._budget)
        self.launched = last
        self._in_flight.update(range(first, last))
        return [Launch(index, self.plan.seed_of(index)) for index in range(first, last)]

    def _end(self, result: Result) -> list[Action]:
        self.result = result
        cancelled = sorted(self._in_flight)
        self._in_flight.clear()
        return [Cancel(index) for index in cancelled]

    def _verdict(self) -> Verdict:
        policy = self.plan.policy
        return decide([*self._ballots, *self._spoiled], policy.k, policy.quorum, self.plan.question)

    def _without_quorum(self) -> NoSamples:
        in_order = tuple(sorted(self._abstentions, key=lambda abstention: abstention.index))
        return NoSamples(in_order, len(self._ballots) + len(self._spoiled), self.plan.policy.quorum)
