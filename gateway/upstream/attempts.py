"""The upstreams that are asked for one answer, one after the other."""

from gateway.upstream.retries import Allowance, Failed
from gateway.upstream.turns import Turn
from gateway.upstream.upstream import Upstream


class Attempts:
    """Whom to ask now, and whether somebody is to be asked once more. `index` is the sample's."""

    __slots__ = ("_again", "_index", "_tried", "_turn", "ends", "pause", "upstream")

    def __init__(self, turn: Turn, again: Allowance, upstream: Upstream, index: int = 0) -> None:
        self.upstream = upstream
        # When all of them have to be over, once the first has begun; for who counts them together.
        self.ends = 0.0
        self.pause = 0.0  # seconds to wait before it is asked
        self._turn = turn
        self._again = again
        self._index = index
        self._tried: list[Upstream] = []
        again.note_call()

    def second(self) -> Upstream | None:
        """Another one to ask at the same time, if there is one and the allowance reaches so far."""
        other = self._turn.pick(self._index, [self.upstream])
        if other not in {None, self.upstream} and self._again.take_hedge():
            return other
        self._turn.keep(self._index, self.upstream)
        return None

    def go_on(self, failed: Failed | None, within: float) -> bool:
        """Whether to ask once more, `upstream` after `pause`, which is less than `within` seconds.

        Another one than those that were tried, if there is one.
        """
        if failed is None:
            return False
        self._turn.avoid(self.upstream)
        tried = [*self._tried, self.upstream]
        other = self._turn.pick(self._index, tried) or self.upstream
        pause = self._again.take(failed, len(tried) - 1, is_elsewhere=other not in tried, within=within)
        if pause is None:
            self._turn.keep(self._index, self.upstream)
            return False
        self.upstream.meter.retried(failed.why)
        self._tried, self.upstream, self.pause = tried, other, pause
        return True
