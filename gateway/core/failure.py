"""How a round can end without a verdict."""

from dataclasses import dataclass

from gateway.core.ballot import Abstention
from gateway.core.vote import Verdict


@dataclass(frozen=True, slots=True)
class NoSamples:
    """Too few samples for a quorum: what came instead of them, in sample order."""

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
    """A live stream without an end: no sample that came agrees with what was shown."""

    abstentions: tuple[Abstention, ...]  # in sample order; who could have agreed is among them
    samples: int


@dataclass(frozen=True, slots=True)
class NoReference:
    """A vote without agreement, and no reference sample to arbitrate it, under `reference_fallback: error`."""

    verdict: Verdict  # of the vote
    # Of the reference sample; its reason is `reference` where no lane is up and trusted.
    abstention: Abstention
