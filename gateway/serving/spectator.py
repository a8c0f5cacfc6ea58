"""A vote as one looks on from the side: each step of it as an event, for the live page.

The samples' texts are told to nobody but the client whose question it is.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from gateway.core.ballot import Abstention, Ballot, Sample, cast
from gateway.core.plan import Plan
from gateway.core.record import RoundRecord
from gateway.core.round import Action, Round
from gateway.core.vote import tally
from gateway.telemetry.logs import round_said
from gateway.wire.live import LiveForm, LiveReader

Tell = Callable[[str, dict[str, Any]], None]


class Spectator:
    """Has the round of a question that is asked on the page, and looks on without wanting anything of it.

    An Observer of the round, and a Listener of its samples. Tells `launched`, `said`, `came`, `tally` and, when
    it has ended, `round`; `joined` if it is held elsewhere.
    """

    stream = None  # the client of the round's own question is shown nothing before its verdict

    def __init__(self, form: LiveForm, plan: Plan, tell: Tell) -> None:
        self.round = Round(plan)
        self._form = form
        self._tell = tell
        self._readers: dict[int, LiveReader] = {}

    def piece(self, index: int, piece: bytes) -> None:
        """Bytes of a sample's event stream."""
        reader = self._readers.get(index)
        if reader is None:
            reader = self._readers[index] = self._form.reader()
        said = reader.feed(piece)
        reasoning = "".join(text for _, text in said.reasoning)
        if said.text or reasoning:
            self._tell("said", {"index": index, "text": said.text, "reasoning": reasoning})

    def joined(self) -> None:
        """Another process votes on the question already: what follows is its verdict."""
        self._tell("joined", {})

    def launched(self, index: int) -> None:
        """A sample is asked for."""
        self._tell("launched", {"index": index})

    def comes(self, outcome: Sample | Abstention) -> None:
        """Nothing to tell before it is counted."""

    def came(self, outcome: Sample | Abstention) -> None:
        """It was counted."""
        if isinstance(outcome, Abstention):
            why = {"reason": outcome.reason, "status": outcome.status, "upstream": outcome.upstream}
            self._tell("came", {"index": outcome.index, "fate": "abstained", **why})
            return
        fate, answer = self._judged(outcome)
        self._tell(
            "came",
            {
                "index": outcome.index,
                "fate": fate,
                "answer": answer,
                "text": outcome.reply.shown,
                "tokens": outcome.reply.tokens,
                "upstream": outcome.upstream,
            },
        )
        if fate in {"ballot", "spoiled"}:
            self._tell("tally", {"counts": self._tally()})

    def wanted(self) -> list[Action]:
        """Nothing."""
        return []

    async def wants(self) -> None:
        """Never anything."""
        await asyncio.Event().wait()

    def ended(self, told: RoundRecord) -> None:
        """The round is over."""
        self._tell("round", round_said(told))

    def _judged(self, sample: Sample) -> tuple[str, str | None]:
        """What became of a sample that came, and its answer where that counted.

        One that the vote does not have is the reference lane's, or came together with the one that ended the vote.
        """
        for vote in self.round.votes:
            if vote.sample.index == sample.index:
                return ("ballot", vote.answer) if isinstance(vote, Ballot) else ("spoiled", None)
        if self.round.reference in {"came", "spoiled"}:
            read = cast(sample, self.round.plan.answer)
            return "reference", read.answer if isinstance(read, Ballot) else None
        return "cancelled", None

    def _answers(self) -> dict[int, str]:
        votes = self.round.votes
        return {vote.sample.index: vote.answer for vote in votes if isinstance(vote, Ballot)}

    def _tally(self) -> list[dict[str, Any]]:
        """Candidates, most votes first, with the samples that voted for each."""
        answers = self._answers()
        question = self.round.plan.question
        return [
            {
                "answer": answer,
                "votes": votes,
                "samples": [index for index, given in answers.items() if given == answer],
            }
            for answer, votes in tally(list(answers.values()), question).counts
        ]
