"""In which order an audit asks, and what together. Nothing is drawn: the same spec has the same schedule.

lane        one request at a time of the reference lane
alone       one request at a time, every prompt once before any comes again
together    as many copies of one prompt as may be in flight, at once: they share a batch
mixed       a few copies at once, as a gateway sends a round, with other prompts in flight
apart       one copy at a time of each prompt, in another order each time, so that no two meet the same batch
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from gateway.audit.spec import ALONE, APART, LANE, MIXED, TOGETHER, Spec


@dataclass(frozen=True, slots=True)
class Shot:
    """One request: the prompt, the time that it is asked, and which of the copies sent at that time this is."""

    kind: str
    concurrency: int
    prompt: int
    round: int
    copy: int = 0

    @property
    def turn(self) -> int:
        """Its number among the copies of its prompt in this phase: the seed's and the replica's."""
        return self.round + self.copy

    @property
    def salt(self) -> str:
        """Shots with the same one share a prefix cache: all but copies apart and what belongs to another round."""
        return self.kind if self.kind in {ALONE, LANE} else f"{self.kind}-{self.concurrency}-{self.round}"


Group = tuple[Shot, ...]  # asked at once


@dataclass(frozen=True, slots=True)
class Phase:
    """Groups in order, with at most `concurrency` requests in flight."""

    kind: str
    concurrency: int
    groups: tuple[Group, ...]

    @property
    def name(self) -> str:
        """As reports have it."""
        return name_of(self.kind, self.concurrency)

    @property
    def requests(self) -> int:
        """How many it makes."""
        return sum(map(len, self.groups))


def name_of(kind: str, concurrency: int) -> str:
    """A phase for people."""
    return kind if kind in {ALONE, LANE} else f"{kind} @{concurrency}"


def schedule(spec: Spec) -> tuple[Phase, ...]:
    """All phases, one after the other; the answers that need the least come first."""
    made = [
        _phase(spec, LANE, 1, spec.alone if spec.has_lane else 0, 1),
        _phase(spec, ALONE, 1, spec.alone, 1),
    ]
    made += [_phase(spec, TOGETHER, level, 1, level) for level in spec.concurrencies if level > 1]
    size = min(spec.round_size, spec.highest)
    made.append(_phase(spec, MIXED, spec.highest, spec.rounds if size > 1 else 0, size))
    made += [_phase(spec, APART, level, spec.copies, 1) for level in spec.loaded]
    return tuple(phase for phase in made if phase.groups and phase.kind in {*spec.kinds, LANE})


def _phase(spec: Spec, kind: str, concurrency: int, rounds: int, size: int) -> Phase:
    groups = tuple(
        tuple(Shot(kind, concurrency, prompt, at, copy) for copy in range(size))
        for at in range(rounds)
        for prompt in _order(spec, kind, concurrency, at)
    )
    return Phase(kind, concurrency, groups)


def _order(spec: Spec, kind: str, concurrency: int, at: int) -> Iterator[int]:
    """The prompts, each once, in an order of this round's own."""

    def place(prompt: int) -> bytes:
        return sha256(f"{kind} {concurrency} {at} {prompt}".encode()).digest()

    yield from sorted(range(len(spec.prompts)), key=place)
