"""A vote that is shown while it is under way: the majority path of its samples, as one stream.

The vote's flight is told what may be shown; whoever streams watches it. Where pins are shared, only the process
that holds the key's lease shows anything.
"""

import asyncio
from collections.abc import Callable

from gateway.core.ballot import Abstention, Sample
from gateway.core.record import RoundRecord
from gateway.core.round import Action, Round
from gateway.serving.wanted import Wanted
from gateway.store.news import News
from gateway.wire.live import LiveForm, LiveStream
from gateway.wire.live_forms import live_form

_ALL_FROM = 4  # samples from which `stream_launch` is `all` unless it is told


def live_form_of(wanted: Wanted) -> LiveForm | None:
    """How this request's answer is shown before the verdict; None if it must not be.

    Only a vote over exact texts can be followed letter by letter, and only where whatever wins is returned.
    """
    form = live_form(wanted.endpoint) if wanted.streamed else None
    if form is None or wanted.policy.on_disagreement != "return" or wanted.asks_margin:
        return None
    plan = wanted.plan
    if plan.answer not in {"text", "calls-or-text"} or plan.tries_one:
        return None
    return form if form.can_show(wanted.body.members) else None


class Showing:
    """The round of a live request, and what is shown of it. An Observer of the round."""

    def __init__(self, form: LiveForm, wanted: Wanted, news: News, may_show: Callable[[], bool]) -> None:
        plan = wanted.plan
        self.stream = LiveStream(form, plan.policy.k, plan.question)
        self.round = Round(plan, self.stream.agrees)
        self._news = news
        self._may_show = may_show
        self._launches_all = _launches_all(wanted)
        self._wants = asyncio.Event()

    def piece(self, index: int, piece: bytes) -> None:
        """Bytes of sample `index`: a Listener of `take_sample`."""
        if self.round.result is None and self._may_show():
            self._show(self.stream.piece(index, piece))

    def launched(self, index: int) -> None:
        """Sample `index` is asked for."""
        self.stream.launch(index)

    def comes(self, outcome: Sample | Abstention) -> None:
        """A sample is whole; the verdict is to agree with what that shows."""
        if isinstance(outcome, Sample) and self._may_show():
            self._show(self.stream.ended(outcome))

    def came(self, outcome: Sample | Abstention) -> None:
        """A sample is lost; the round may have one more for it."""
        if isinstance(outcome, Abstention) and self.round.result is None and self._may_show():
            self._show(self.stream.lost(outcome.index, self.round.budget))

    def ended(self, told: RoundRecord) -> None:
        """Nothing is shown of that: the rest of the answer follows what is pinned."""

    def wanted(self) -> list[Action]:
        """All samples at once, or those without which the stream cannot go on."""
        self._wants.clear()
        if self._launches_all:
            return self.round.ask_for(self.round.budget - self.round.launched)
        return self.round.ask_for(self.stream.path.wants_more)

    async def wants(self) -> None:
        """Wait until the stream cannot go on with what is in flight."""
        await self._wants.wait()

    def _show(self, made: bytes) -> None:
        if made:
            self._news.tell(made)
        if self.stream.path.wants_more:
            self._wants.set()


def _launches_all(wanted: Wanted) -> bool:
    policy = wanted.policy
    if policy.stream_launch is None:
        return policy.k >= _ALL_FROM
    return policy.stream_launch == "all"
