"""When a round may end before all k samples are in.

Three rules. `all` waits for every sample. `unbeatable` ends a round once the lead is greater than the samples
outstanding: the full vote would have the same winner. `beta:C` ends it also once Adaptive-Consistency (Aggarwal
et al., 2305.11860) is confident: with v1 votes for the leader and v2 for the next answer, and a uniform prior, the
leader is the more probable of the two with probability Beta(v1 + 1, v2 + 1) above a half, which is

    sum of C(v1 + v2 + 1, i) for i from 0 to v1, over 2^(v1 + v2 + 1),

at least C. At 0.95 that is so from 4-0, 6-1, 8-2, 9-3, 11-4 and 12-5 on.

Two conditions hold for every rule while samples can still come: there are `min_ballots`, and with `min_agreement`
it is certain on which side of it the full vote lies. So no early stop lets `strict` accept less than k equal
samples. Failures can: agreement is over the samples that were cast, and after the first abstention, which index k
replaces, each further one leaves the full vote a sample shorter. Two equal samples of k=3 are unanimous if the
other two launched never came; `min_ballots: 3` refuses that.
"""

from fractions import Fraction
from functools import lru_cache
from math import comb
from typing import NamedTuple

from gateway.core.agreement import reaches


class Standing(NamedTuple):
    """Where a round stands, as counts of samples."""

    lead: int  # votes of the leading answer
    second: int  # votes of the next one
    ballots: int
    spoiled: int
    outstanding: int  # samples that can still come, launched or not

    def with_votes(self, more: int) -> "Standing":
        """The same round once `more` of the outstanding samples have voted for the leader."""
        return self._replace(
            lead=self.lead + more,
            ballots=self.ballots + more,
            outstanding=self.outstanding - more,
        )

    def with_dissent(self, more: int) -> "Standing":
        """Once `more` of them have voted for answers that nobody else gave, which takes a leader to dissent from."""
        return self._replace(
            second=max(self.second, min(more, 1)),
            ballots=self.ballots + more,
            outstanding=self.outstanding - more,
        )

    def with_spoiled(self, more: int) -> "Standing":
        """Once `more` of them were spoiled."""
        return self._replace(spoiled=self.spoiled + more, outstanding=self.outstanding - more)


class StopRule(NamedTuple):
    """A policy's rule, with the two conditions that no rule may cut short: quorum and agreement."""

    stop: str  # all | unbeatable | beta:C
    quorum: int
    min_agreement: float

    def decided(self, at: Standing) -> bool:
        """Whether nothing that can still come would change the verdict in a way that the policy minds."""
        if at.outstanding == 0:
            return True
        if self.stop == "all" or at.ballots < self.quorum or not self._agreement_is_settled(at):
            return False
        if at.lead - at.second > at.outstanding:
            return True
        return self.stop != "unbeatable" and is_confident(self.stop.removeprefix("beta:"), at.lead, at.second)

    def needed(self, at: Standing) -> int:
        """The least number of further samples after which the round could be decided, if they came out so."""
        return _needed(self, at)

    def out_of_reach(self, at: Standing) -> int:
        """How many samples must not vote for the leader for agreement to be out of reach; 0 without a threshold."""
        total, most = at.ballots + at.spoiled + at.outstanding, at.lead + at.outstanding
        if self.min_agreement == 0 or total == 0:
            return 0
        return next(
            against
            for against in range(most + 1)
            if not reaches((most - against) / total, self.min_agreement)
        )

    def _agreement_is_settled(self, at: Standing) -> bool:
        if self.min_agreement == 0:
            return True
        total = at.ballots + at.spoiled + at.outstanding
        if reaches(at.lead / total, self.min_agreement):
            return True
        return not reaches((at.lead + at.outstanding) / total, self.min_agreement)


@lru_cache(maxsize=4096)
def is_confident(confidence: str, lead: int, second: int) -> bool:
    """Whether the posterior of this lead is at least `confidence`, a decimal; exact."""
    draws = lead + second + 1
    return sum(comb(draws, votes) for votes in range(lead + 1)) >= Fraction(confidence) * (1 << draws)


@lru_cache(maxsize=4096)
def _needed(rule: StopRule, at: Standing) -> int:
    """Votes for the leader end a round soonest, unless what ends it is that agreement is out of reach.

    Then as many as that takes are against it: by ballots, or, where a first vote for a second answer would cost
    more of the lead than it settles, spoiled.
    """
    least_against = {0, rule.out_of_reach(at)}
    for more in range(at.outstanding):
        for against in least_against:
            then = at.with_votes(more - against)
            if against <= more and rule.decided(then.with_spoiled(against)):
                return more
            if against <= more and then.lead and rule.decided(then.with_dissent(against)):
                return more
    return at.outstanding
