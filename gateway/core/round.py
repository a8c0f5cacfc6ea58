"""One vote as a state machine: outcomes in, actions out.

The rules of a round live here and nowhere else. It never waits, never looks at a clock and never draws a
random number: a time-out arrives as an Abstention like any other failure, and whoever drives the round
performs its actions as it likes. So a test can replay any order of arrival.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from gateway.core.ballot import Abstention, Ballot, Sample, Spoiled, cast
from gateway.core.plan import Plan
from gateway.core.stopping import Standing
from gateway.core.vote import Agrees, Verdict, Vote, decide, eligible


@dataclass(frozen=True, slots=True)
class Launch:
    """Ask for sample `index` with this seed."""

    index: int
    seed: int
    lane: str = "fast"  # of the upstreams that may be asked: fast | reference


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


@dataclass(frozen=True, slots=True)
class NoneAgrees:
    """A round whose live stream has no end: no sample that came agrees with what was shown."""

    abstentions: tuple[Abstention, ...]  # in sample order; who could have agreed is among them
    samples: int


Action = Launch | Cancel
Result = Verdict | NoSamples | NoneAgrees


class Round:
    """The vote on one request. `start` once, then `receive` each outcome until there is a `result`.

    A live stream gives `agrees`: whether a reply agrees with all that was shown so far. It is asked anew at each
    outcome, for more may have been shown. Only samples that agree can win, so the lead that ends a round early is
    one among them, and while none has come no round ends that one in flight could still save.
    """

    def __init__(self, plan: Plan, agrees: Agrees | None = None) -> None:
        self.plan = plan
        self._agrees = agrees
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
        lead, second = (*sorted(self._leads(), reverse=True), 0, 0)[:2]
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
        vote = cast(outcome, self.plan.answer)
        if isinstance(vote, Ballot):
            self._ballots.append(vote)
            self._votes[vote.answer] += 1
        else:
            self._spoiled.append(vote)

    def _leads(self) -> Collection[int]:
        """Votes of each answer that may win."""
        if self._agrees is None:
            return self._votes.values()
        may_win = {vote.answer for vote in self._ballots if self._agrees(vote.sample.reply)}
        return [self._votes[answer] for answer in may_win]

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

    def _verdict(self) -> Verdict | NoneAgrees:
        policy = self.plan.policy
        cast: list[Vote] = [*self._ballots, *self._spoiled]
        if not eligible(self._ballots or self._spoiled, self._agrees):
            return NoneAgrees(self._failures, len(cast))
        return decide(cast, policy.k, policy.quorum, self.plan.question, self._agrees)

    def _without_quorum(self) -> NoSamples:
        return NoSamples(self._failures, len(self._ballots) + len(self._spoiled), self.plan.policy.quorum)

    @property
    def _failures(self) -> tuple[Abstention, ...]:
        return tuple(sorted(self._abstentions, key=lambda abstention: abstention.index))
