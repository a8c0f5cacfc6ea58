"""A circuit breaker: whether a server that has failed is asked again, as a state machine without a clock.

    closed     asked as usual
    open       failed too often: not asked until its cooldown is over
    half-open  the cooldown is over: one call at a time is let through, and decides

It opens after `failures` failed calls in a row, or twice as many among the latest four times as many: a server
that fails half of its calls never fails many in a row. Each opening without a quiet time in between doubles the
cooldown, up to sixteen times. What a call comes to counts only in the state in which it began: a long answer that
was begun before the server broke does not close the breaker again.
"""

CLOSED, OPEN, HALF_OPEN = 0, 1, 2  # as `scg_breaker_state` says
STATES = ("closed", "open", "half-open")  # in words

_MOST_DOUBLINGS = 4


class Breaker:
    """The breaker of one server. Times are seconds of any clock that never goes back."""

    def __init__(self, failures: int, cooldown: float) -> None:
        self.is_closed = True
        self.epoch = 0  # grows with each change of state; a call's ticket is the epoch in which it began
        self.ends = 0.0  # of the cooldown
        self._failures = failures
        self._cooldown = cooldown
        self._in_a_row = (1 << failures) - 1
        self._latest = (1 << 4 * failures) - 1
        self._history = 0  # of the latest calls, one bit each, 1 for a failed one
        self._openings = 0  # since the last quiet time
        self._quiet = 0  # successes since it closed, while there were openings
        self._trials = 0  # calls under way that began since it opened

    def state(self, now: float) -> int:
        """CLOSED, OPEN or HALF_OPEN."""
        if self.is_closed:
            return CLOSED
        return OPEN if now < self.ends else HALF_OPEN

    def lets_through(self, now: float) -> bool:
        """Whether a call may begin: any while it is closed, one at a time while it is half-open."""
        return self.is_closed or (now >= self.ends and not self._trials)

    @property
    def is_on_trial(self) -> bool:
        """Whether calls are under way that will decide."""
        return bool(self._trials)

    def begin(self) -> int:
        """A call begins, let through or not; its ticket, which `succeeded`, `failed` or `gave_up` takes once."""
        if not self.is_closed:
            self._trials += 1
        return self.epoch

    def succeeded(self, ticket: int) -> bool:
        """The call came to an answer; whether that closes the breaker."""
        if ticket != self.epoch:
            return False
        if not self.is_closed:
            self._change(is_closed=True)
            return True
        if self._history:
            self._history = self._history << 1 & self._latest
        if self._openings:
            self._quiet += 1
            if self._quiet >= self._failures:
                self._openings = 0
        return False

    def failed(self, ticket: int, now: float, jitter: float = 0.0) -> bool:
        """The call failed; whether that opens the breaker, for half as long again at a `jitter` of 1."""
        if ticket != self.epoch:
            return False
        if not self.is_closed:
            self._trials -= 1
            if now < self.ends:
                return False  # asked all the same, since there was nobody else; its cooldown goes on
        elif not self._is_too_much():
            return False
        self.ends = now + self._cooldown * 2 ** min(self._openings, _MOST_DOUBLINGS) * (1 + jitter / 2)
        self._openings += 1
        self._change(is_closed=False)
        return True

    def gave_up(self, ticket: int) -> None:
        """The call was cut off by its client: it says nothing about the server."""
        if ticket == self.epoch and not self.is_closed:
            self._trials -= 1

    def _is_too_much(self) -> bool:
        self._history = (self._history << 1 | 1) & self._latest
        in_a_row = self._history & self._in_a_row == self._in_a_row
        return in_a_row or self._history.bit_count() >= 2 * self._failures

    def _change(self, *, is_closed: bool) -> None:
        self.is_closed = is_closed
        self.epoch += 1
        self._history = self._quiet = self._trials = 0
