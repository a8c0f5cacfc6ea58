"""One vote as a state machine: outcomes in, actions out.

The rules of a round live here and nowhere else. It never waits, never looks at a clock and never draws a
random number: a time-out arrives as an Abstention like any other failure, and whoever drives the round
performs its actions as it likes. So a test can replay any order of arrival.

    one sample alone -> the vote of k -> its verdict     what ends it, if it ends there
    (accept_margin)          |                           its margin is wide enough
                             |-> the vote of N           `escalate:N` and no agreement among k
                             '-> one reference sample    `reference` and no agreement among k
"""

from collections.abc import Collection
from dataclasses import dataclass

from gateway.core.ballot import Abstention, Ballot, Sample, Spoiled, cast
from gateway.core.failure import NoneAgrees, NoReference, NoSamples
from gateway.core.gate import is_disagreement
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


Action = Launch | Cancel
Result = Verdict | NoSamples | NoneAgrees | NoReference


class Round:
    """The vote on one request. `start` once, then `receive` each outcome until there is a `result`.

    A live stream gives `agrees`: whether a sample agrees with all that was shown so far. It is asked anew at each
    outcome, for more may have been shown. Only samples that agree can win, so the lead that ends a round early is
    one among them, and while none has come no round ends that one in flight could still save.
    """

    def __init__(self, plan: Plan, agrees: Agrees | None = None) -> None:
        self.plan = plan
        self.result: Result | None = None
        self.size = plan.policy.k  # samples that the vote may come to; N once escalated
        self.launched = 0  # for the vote; the reference sample is apart
        # Completion tokens of all samples that came; what is read of cancelled ones may be added.
        self.tokens = 0
        self.prompt = 0  # prompt tokens of a sample: all ask the same
        self.is_escalated = False
        self._agrees = agrees
        self._rule = plan.rule
        self._votes: dict[str, int] = {}  # by answer
        self._ballots: list[Ballot] = []
        self._spoiled: list[Spoiled] = []
        self._abstentions: list[Abstention] = []
        self._in_flight: set[int] = set()
        self._disputed: Verdict | None = None  # what the reference lane was asked about

    @property
    def is_live(self) -> bool:
        """Whether it is shown while it is voted on."""
        return self._agrees is not None

    @property
    def votes(self) -> tuple[Vote, ...]:
        """The samples that came for the vote, in sample order."""
        return tuple(sorted([*self._ballots, *self._spoiled], key=lambda vote: vote.sample.index))

    @property
    def ballots(self) -> int:
        """How many samples have voted."""
        return len(self._ballots)

    @property
    def spoiled(self) -> int:
        """How many came without a vote."""
        return len(self._spoiled)

    @property
    def abstained(self) -> int:
        """How many samples of the vote never came."""
        return len(self._abstentions)

    @property
    def reference(self) -> str:
        """What became of the reference sample that a vote without agreement asks for: none | asked | came | failed.

        Also `spoiled`: it came, without an answer that could be extracted.
        """
        if self._disputed is None or self.result is None:
            return "none" if self._disputed is None else "asked"
        return self.result.arbitration if isinstance(self.result, Verdict) else "failed"

    @property
    def budget(self) -> int:
        """Samples that may be launched: k, or N once escalated, and one in the place of the first that never came."""
        return self.size + (1 if self._abstentions else 0)

    @property
    def standing(self) -> Standing:
        """The counts that the stop rule looks at."""
        leads = sorted(self._leads(), reverse=True)
        lead, second = leads[0] if leads else 0, leads[1] if len(leads) > 1 else 0
        ballots, spoiled = len(self._ballots), len(self._spoiled)
        outstanding = self.budget - ballots - spoiled - len(self._abstentions)
        return Standing(lead, second, ballots, spoiled, outstanding)

    def start(self) -> list[Action]:
        """The first samples: as many as could decide the round, or one alone whose margin might."""
        return self._launch(1 if self.plan.tries_one else self._rule.needed(self.standing))

    def ask_for(self, more: int) -> list[Action]:
        """Launch up to `more` samples that the vote may still have, though it does not need them yet.

        A live stream asks when it cannot go on with what is in flight.
        """
        return self._launch(more) if self.result is None and self._disputed is None else []

    def receive(self, outcome: Sample | Abstention) -> list[Action]:
        """Take one outcome; say what to do next. What comes of a cancelled sample is ignored."""
        if outcome.index not in self._in_flight:
            return []
        self._in_flight.discard(outcome.index)
        if isinstance(outcome, Sample):
            self.tokens += outcome.reply.tokens
            self.prompt = outcome.reply.prompt or self.prompt
        if self._disputed is not None:
            return self._end(self._arbitrated(self._disputed, outcome))
        self._count(outcome)
        return self._go_on()

    def _count(self, outcome: Sample | Abstention) -> None:
        if isinstance(outcome, Abstention):
            self._abstentions.append(outcome)
            return
        vote = cast(outcome, self.plan.answer)
        if isinstance(vote, Ballot):
            self._ballots.append(vote)
            self._votes[vote.answer] = self._votes.get(vote.answer, 0) + 1
        else:
            self._spoiled.append(vote)

    def _go_on(self) -> list[Action]:
        standing = self.standing
        if self._is_lost(standing):
            return self._end(self._without_quorum())
        if self._is_accepted():
            return self._end(decide(self._ballots, 1, 1, self.plan.question)._replace(k=self.size))
        if self._rule.decided(standing):
            return self._judge(self._verdict())
        missing = self._rule.needed(standing) - len(self._in_flight)
        return self._launch(max(missing, self.plan.policy.wave)) if missing > 0 else []

    def _judge(self, verdict: Verdict | NoneAgrees) -> list[Action]:
        """End with this verdict, or do what the policy wants done where there is no agreement."""
        policy = self.plan.policy
        if isinstance(verdict, NoneAgrees) or not is_disagreement(verdict, policy):
            return self._end(verdict)
        if policy.on_disagreement == "reference":
            self._disputed = verdict
            return [*self._cancel_all(), *self._launch_reference()]
        if policy.most > self.size:
            self.is_escalated = True
            self.size = policy.most
            return self._go_on()
        return self._end(verdict)

    def _arbitrated(self, disputed: Verdict, outcome: Sample | Abstention) -> Verdict | NoReference:
        """The vote's verdict with the reference sample for its winner. There is no second one if none came."""
        if isinstance(outcome, Sample):
            came = "came" if isinstance(cast(outcome, self.plan.answer), Ballot) else "spoiled"
            return disputed._replace(
                winner=outcome, arbitration=came, tokens=disputed.tokens + outcome.reply.tokens
            )
        if self.plan.policy.reference_fallback == "error":
            return NoReference(disputed, outcome)
        return disputed._replace(arbitration="failed")

    def _leads(self) -> Collection[int]:
        """Votes of each answer that may win."""
        if self._agrees is None:
            return self._votes.values()
        may_win = {vote.answer for vote in self._ballots if self._agrees(vote.sample)}
        return [self._votes[answer] for answer in may_win]

    def _is_lost(self, at: Standing) -> bool:
        """A final error, or too few samples left for a quorum."""
        if self._abstentions and self._abstentions[-1].is_final:
            return True
        return at.ballots + at.spoiled + at.outstanding < self._rule.quorum

    def _is_accepted(self) -> bool:
        """Whether the sample that was launched alone is enough: no other can have a different answer."""
        least = self.plan.policy.accept_margin
        if least is None or self.launched > 1 or not self.plan.tries_one or not self._ballots:
            return False
        margin = self._ballots[0].sample.reply.margin
        return margin is not None and margin >= least

    def _launch(self, wanted: int) -> list[Action]:
        first, last = self.launched, min(self.launched + wanted, self.budget)
        self.launched = last
        self._in_flight.update(range(first, last))
        lane = self.plan.policy.lane
        return [Launch(index, self.plan.seed_of(index), lane) for index in range(first, last)]

    def _launch_reference(self) -> list[Action]:
        """The request as it was asked, hence the first sample's seed, under an index that no other sample has."""
        self._in_flight.add(self.launched)
        return [Launch(self.launched, self.plan.seed_of(0), "reference")]

    def _end(self, result: Result) -> list[Action]:
        self.result = result
        return self._cancel_all()

    def _cancel_all(self) -> list[Action]:
        cancelled = sorted(self._in_flight)
        self._in_flight.clear()
        return [Cancel(index) for index in cancelled]

    def _verdict(self) -> Verdict | NoneAgrees:
        votes: list[Vote] = [*self._ballots, *self._spoiled]
        if not eligible(self._ballots or self._spoiled, self._agrees):
            return NoneAgrees(self.failures, len(votes))
        return decide(votes, self.size, self._rule.quorum, self.plan.question, self._agrees)

    def _without_quorum(self) -> NoSamples:
        return NoSamples(self.failures, len(self._ballots) + len(self._spoiled), self.plan.policy.quorum)

    @property
    def failures(self) -> tuple[Abstention, ...]:
        """The samples of the vote that never came, in sample order."""
        return tuple(sorted(self._abstentions, key=lambda abstention: abstention.index))
