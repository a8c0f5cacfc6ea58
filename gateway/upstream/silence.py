"""What it means that nothing is heard of a sample.

A call that is cut off says little of its server: the vote was decided, or the client left. But a server that takes
requests and never answers, while it lists its models as ever, may be cut off each time and never run out of time.

A replica is *mute* beside a call if nobody has heard anything of it since the call began. Then

* a sample is given up once another replica was heard in its round, in time to be replaced by one of that: at
  temperature 0 when half of what was left of a deadline is over, or while its server's breaker lets it through on
  trial, after much longer than the others took;
* a call that is cut off counts as a time-out if half of its deadline was silence and the deadline passed, or if it
  was silent for much longer than is usual, while other replicas were heard.

docs/decisions/0026-when-silence-counts.md says why.
"""

import asyncio
from collections.abc import Sequence
from math import inf
from time import perf_counter

from gateway.core.plan import Plan
from gateway.core.usual import is_overdue
from gateway.upstream.upstream import Upstream

_AGAIN = 0.5  # seconds between two thoughts of giving up a call on trial


class Silence:
    """Who was heard in the round of this plan, and of the pool.

    `deadline` is the round's, `half` of it in seconds; what is asked in the background has none. `first_byte` is how
    long any call may be silent, in seconds.
    """

    __slots__ = ("_deadline", "_heard", "_lost", "_plan", "_pool", "half", "is_short", "kind", "lane")

    def __init__(
        self,
        plan: Plan,
        deadline: asyncio.Timeout | None = None,
        half: float = inf,
        first_byte: float = inf,
        pool: Sequence[Upstream] = (),
        *,
        streamed: bool = False,
    ) -> None:
        self.kind = "streamed" if streamed else "plain"
        self.half = half
        self.is_short = half < first_byte  # the deadline, for a time-out to come in time
        self.lane = plan.policy.lane
        self._plan = plan
        self._deadline = deadline
        self._heard: dict[str, float] = {}  # seconds that it took at most, by upstream
        self._lost = 0  # samples that were given up or failed
        self._pool = pool

    def note(self, name: str, seconds: float) -> None:
        """This upstream was heard."""
        if seconds > self._heard.get(name, 0.0):
            self._heard[name] = seconds

    def lose(self) -> None:
        """A sample did not come: the vote can do without one less."""
        self._lost += 1

    def patience(self) -> float:
        """How long a call that begins now may be silent before it is replaced."""
        if self._deadline is None or not self.is_short:
            return inf
        ends = self._deadline.when()
        return inf if ends is None else (ends - asyncio.get_running_loop().time()) / 2

    def gives_up(self, name: str, silent: float, patience: float, *, is_on_trial: bool) -> bool:
        """Whether to go on without a call to a mute replica, as the vote can do without a few; notes it.

        At temperature 0 samples are of a length, and one tells how long another takes. Above, giving up long ones
        would have short ones win.
        """
        spare = self._plan.policy.k + 1 - self._plan.policy.quorum  # of which one is replaced
        if name in self._heard or not self._heard or self._lost >= spare:
            return False
        others = self._heard.values()
        is_late = self._plan.greedy and silent >= patience and silent >= min(others)
        if is_late or (is_on_trial and is_overdue(silent, max(others), self.half)):
            self.lose()
            return True
        return False

    def is_failure(self, upstream: Upstream, silent: float, began: float) -> bool:
        """Whether a call to a mute replica that is cut off now was silent for too long."""
        if self._deadline is not None and self._deadline.expired() and silent >= self.half:
            return True
        others = [each.usual for each in self._pool if each is not upstream]
        usual = upstream.usual.of(self.kind) or max([other.of(self.kind) for other in others], default=0.0)
        if not usual or all(other.heard_at <= began for other in others):
            return False  # nothing to compare with, or all are slow
        return is_overdue(silent, max(usual, *self._heard.values(), 0.0), self.half)


class Ear:
    """Listens for the first byte of one call, which began at this time by `perf_counter`."""

    __slots__ = (
        "_began", "_is_noted", "_is_on_trial", "_limit", "_patience", "_silence", "_timer", "_upstream", "complaint",
        "is_heard", "may_give_up",
    )  # fmt: skip

    def __init__(self, silence: Silence, upstream: Upstream, began: float) -> None:
        self.is_heard = False  # whatever came; set by who reads it
        self._is_noted = False
        self.complaint = ""  # why the call was given up
        self._silence = silence
        self._upstream = upstream
        self._began = began
        self._is_on_trial = not upstream.breaker.is_closed
        self.may_give_up = silence.is_short or self._is_on_trial  # it wants a limit to `watch`
        self._patience = inf
        self._limit: asyncio.Timeout | None = None
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, limit: asyncio.Timeout, lane: str) -> None:
        """Let this end the call if it is to be given up; a sample of another lane than the vote's has no substitute."""
        if self.may_give_up and lane == self._silence.lane:
            self._limit = limit
            self._patience = self._silence.patience()
            self._wait(self._patience)

    def heard(self) -> None:
        """The first piece of a stream is there."""
        self.is_heard = self._is_noted = True
        self._stop()
        self._note(perf_counter() - self._began)

    def ended(self, result: str, seconds: float) -> str:
        """What a call counts as that came to this result after so long."""
        if self._timer is not None:
            self._stop()
        if result == "ok":
            if not self._is_noted:
                self._note(seconds)
        elif result != "cancelled":
            if not self.complaint:
                self._silence.lose()
        elif self._is_mute and self._silence.is_failure(self._upstream, seconds, self._began):
            return "timeout"
        return result

    @property
    def _is_mute(self) -> bool:
        return not self.is_heard and self._upstream.usual.heard_at <= self._began

    def _note(self, seconds: float) -> None:
        self._silence.note(self._upstream.name, seconds)
        self._upstream.usual.note(self._silence.kind, seconds, self._began + seconds)

    def _wait(self, seconds: float) -> None:
        if self._is_on_trial:
            seconds = min(seconds, _AGAIN)
        if seconds < inf:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._judge)

    def _judge(self) -> None:
        if self._limit is None or self._limit.expired() or not self._is_mute:
            return
        silent = perf_counter() - self._began
        if self._silence.gives_up(self._upstream.name, silent, self._patience, is_on_trial=self._is_on_trial):
            self.complaint = f"nothing heard within {silent:.3g} s, while another replica was"
            self._limit.reschedule(asyncio.get_running_loop().time())
        elif silent < self._patience:
            self._wait(self._patience - silent)
        elif self._is_on_trial:
            self._wait(_AGAIN)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
