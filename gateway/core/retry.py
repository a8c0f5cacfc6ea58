"""When a call that failed is made once more: a budget so that retries cannot storm, and how long to wait first."""

from dataclasses import dataclass

UNSENT, UNHEARD, REFUSED = "unreachable", "broken", "refused"  # why a call is safe to repeat

_RESERVE = 10.0  # retries that a process has at hand when it starts, and after a quiet time
_REFILL = 1.0  # a second
_MOST = 100.0


class RetryBudget:
    """How many retries a process may make: a share of its calls, and a small reserve for when there are few.

    When servers fail for all their clients at once, each call fails and each would be repeated: the budget is soon
    spent, and load grows by no more than `share`.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._left = _RESERVE
        self._refilled = 0.0

    def note_call(self) -> None:
        """A call that is no retry is made."""
        if self._left < _MOST:
            self._left += self._share

    def take(self, now: float) -> bool:
        """Take one retry; whether there was one. `now`: seconds of a clock that never goes back."""
        passed = max(0.0, now - self._refilled)
        self._refilled = now
        if self._left < _RESERVE:
            self._left = min(_RESERVE, self._left + passed * _REFILL)
        if self._left < 1:
            return False
        self._left -= 1
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long to wait before a call is repeated, in seconds."""

    first: float  # doubles with each retry of one call
    max_wait: float  # a server that asks for more patience than this is not waited for

    def pause(
        self, why: str, *, attempt: int, jitter: float, is_elsewhere: bool, retry_after: float
    ) -> float | None:
        """The wait before retry number `attempt` (from 0), None for no retry. `jitter` is drawn from [0, 1).

        Another server is asked at once where nothing was sent, else after a jittered moment. The same server is
        given the time that it asked for (`retry_after`, 0 if it named none), and is not asked again where it could
        not be connected to.
        """
        moment = self.first * (1 << attempt) * (1 + jitter) / 2
        if is_elsewhere:
            return 0.0 if why == UNSENT else moment
        if why == UNSENT or retry_after > self.max_wait:
            return None
        return retry_after + moment
