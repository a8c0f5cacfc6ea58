"""What came of one request of an audit."""

from dataclasses import dataclass

from gateway.audit.schedule import Shot
from gateway.core.ballot import Sample


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer.

    Attributes:
        sample: what was said, its `extracted` answer included.
        launch: the same for all that were sent at once, and for nothing else.
        replica: which of the URLs was asked.
        seconds: from the call to the last byte.
        in_flight: requests of the audit in flight as this one was sent, itself included.
        told: what a gateway in between says of it, `x-consistency-*` without the prefix.
        late: sent again later than the others of its group, since the server was busy.
    """

    shot: Shot
    sample: Sample
    launch: int
    replica: int = 0
    seconds: float = 0.0
    in_flight: int = 1
    told: tuple[tuple[str, str], ...] = ()
    late: bool = False

    @property
    def answer(self) -> str | None:
        """The canonical answer; None where there is none."""
        return self.sample.extracted.answer if self.sample.extracted else None


@dataclass(frozen=True, slots=True)
class Missed:
    """No answer: why not, in the server's words where it had any."""

    shot: Shot
    launch: int
    detail: str


Outcome = Heard | Missed
