"""When a round may end before all k samples are in."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a round stands, as counts of samples."""

    lead: int  # votes of the leading answer
    second: int  # votes of the next one
    ballots: int
    spoiled: int
    outstanding: int  # samples that can still come, launched or not

    def with_support(self, more: int) -> "Standing":
        """The same round once `more` of the outstanding samples have voted for the leader."""
        return Standing(
            self.lead + more, self.second, self.ballots + more, self.spoiled, self.outstanding - more
        )


@dataclass(frozen=True, slots=True)
class StopRule:
    """A policy's rule, with the two conditions that no rule may cut short: quorum and agreement."""

    stop: str
    quorum: int
    min_agreement: float

    def decided(self, at: Standing) -> bool:
        """Whether nothing that can still come would change the verdict in a way that the policy minds."""
        if at.outstanding == 0:
            return True
        if self.stop == "all" or at.ballots < self.quorum:
            return False
        return at.lead - at.second > at.outstanding and self._agreement_is_settled(at)

    def needed(self, at: Standing) -> int:
        """How many more samples the round needs at the very least: as if all of them voted for the leader."""
        return next(more for more in range(at.outstanding + 1) if self.decided(at.with_support(more)))

    def _agreement_is_settled(self, at: Standing) -> bool:
        if self.min_agreement == 0:
            return True
        total = at.ballots + at.spoiled + at.outstanding
        return (
            at.lead / total >= self.min_agreement or (at.lead + at.outstanding) / total < self.min_agreement
        )
