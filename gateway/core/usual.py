"""How long a server takes until it is first heard, and when its silence is long beside that."""

from math import inf

_LEAST = 3.0  # seconds of silence that are never too long
_TIMES = 10  # as long as usual
_SHARE = 1 / 8  # of the latest in what is usual


class Usual:
    """What is usual for one server lately, by kinds of calls: a stream is heard early, a plain answer when it is whole.

    Times are seconds; 0 while nothing was heard. `heard_at` is when the latest was, by the clock of who notes it.
    """

    __slots__ = ("_seconds", "heard_at")

    def __init__(self) -> None:
        self.heard_at = -inf
        self._seconds: dict[str, float] = {}

    def note(self, kind: str, seconds: float, now: float) -> None:
        """A call of this kind was heard after so long."""
        self.heard_at = now
        before = self._seconds.get(kind)
        self._seconds[kind] = seconds if before is None else before + (seconds - before) * _SHARE

    def of(self, kind: str) -> float:
        """What is usual for a kind."""
        return self._seconds.get(kind, 0.0)


def is_overdue(silent: float, usual: float, least: float = _LEAST) -> bool:
    """Whether a silence is so much longer than usual that something is wrong."""
    return silent >= max(min(least, _LEAST), _TIMES * usual)
