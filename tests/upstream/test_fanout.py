"""A round performed: what is asked, what is cancelled, and that nothing is left running."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import permutations

import pytest

from gateway.core.ballot import Abstention, Reply, Sample
from gateway.core.failure import NoSamples
from gateway.core.plan import Plan
from gateway.core.policy import Policy
from gateway.core.round import Launch, Round
from gateway.core.vote import Verdict
from gateway.upstream.fanout import Outcome, perform

Note = str | int


def vote(policy: Policy) -> Round:
    return Round(Plan(policy, seed=100, greedy=False, question=b"question"))


@dataclass
class Script:
    """Asks that wait at a gate each; what they then answer is a text or the status of a failure."""

    notes: Sequence[Note]
    gates: dict[int, asyncio.Event] = field(default_factory=dict)
    asked: list[Launch] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def ask(self, launch: Launch) -> Outcome:
        try:
            gate = self.gates[launch.index] = asyncio.Event()
            self.asked.append(launch)
            async with self.changed:
                self.changed.notify_all()
            await gate.wait()
        except asyncio.CancelledError:
            self.cancelled.append(launch.index)
            raise
        finally:
            try:
                await asyncio.sleep(0)  # as closing a connection may
            finally:
                self.ended.append(launch.index)
        note = self.notes[launch.index]
        if isinstance(note, str):
            return Sample(launch.index, Reply(note))
        return Abstention(launch.index, "status", note)

    async def open(self, *indices: int) -> None:
        """Let these asks through, in this order, each once it is there."""
        for index in indices:
            while index not in self.gates:
                async with self.changed:
                    await self.changed.wait()
            self.gates[index].set()

    @property
    def indices(self) -> list[int]:
        return [launch.index for launch in self.asked]


async def play(policy: Policy, notes: Sequence[Note], order: Sequence[int]) -> tuple[Round, Script]:
    """A round performed to its end."""
    script, round_ = Script(notes), vote(policy)
    opening = asyncio.create_task(script.open(*order))
    await perform(round_, script.ask)
    opening.cancel()
    return round_, script


def winner(played: Round) -> str:
    assert isinstance(played.result, Verdict)
    return played.result.winner.reply.content


async def test_what_cannot_matter_is_never_asked() -> None:
    """Two equal answers of three: the third is never asked for."""
    played, script = await play(Policy(), ["42", "42", "41"], [0, 1])
    assert ("42", [Launch(0, 100), Launch(1, 101)], []) == (winner(played), script.asked, script.cancelled)


@pytest.mark.parametrize("order", [*permutations(range(3))])
async def test_any_order_of_arrival(order: Sequence[int]) -> None:
    """41, 42, 42: 42 wins whoever comes first, with all three asked."""
    played, script = await play(Policy(stop="all"), ["41", "42", "42"], order)
    assert ("42", [0, 1, 2]) == (winner(played), script.indices)
    assert sorted(script.ended) == [0, 1, 2]


async def test_losers_are_cancelled() -> None:
    """Samples still under way when the round is decided are cancelled, and have ended when it returns."""
    played, script = await play(
        Policy(k=9, wave=3), ["a", "b", "a", "a", "a", "-", "a", "-", "-"], [0, 1, 2, 3, 4, 6]
    )
    assert ("a", [*range(8)]) == (winner(played), script.indices)
    assert ([5, 7], [5, 7]) == (sorted(script.cancelled), sorted(set(script.ended) - {0, 1, 2, 3, 4, 6}))


async def test_a_final_error_cancels_the_others() -> None:
    """A 4xx that no retry can mend ends the round while others are under way: they are cancelled."""
    played, script = await play(Policy(stop="all"), [400, "42", "42"], [0])
    assert isinstance(played.result, NoSamples)
    assert ([1, 2], [0, 1, 2]) == (sorted(script.cancelled), sorted(script.ended))


async def test_a_round_goes_on_after_it_cancelled() -> None:
    """What a vote without agreement still has under way is cancelled, and the reference sample is waited for."""
    policy = Policy(k=9, wave=3, min_agreement=0.9, on_disagreement="reference")
    played, script = await play(policy, [*"abcaaaa--r"], [0, 1, 2, 3, 4, 5, 6, 9])
    assert ("r", "came") == (winner(played), played.reference)
    assert ([*range(10)], [7, 8]) == (script.indices, sorted(script.cancelled))
    assert [*range(10)] == sorted(script.ended)


async def test_a_failure_is_replaced() -> None:
    """The first failure launches one more sample."""
    played, script = await play(Policy(stop="all"), ["42", 503, "42", "42"], [1, 0, 2, 3])
    assert ("42", [0, 1, 2, 3]) == (winner(played), script.indices)


async def test_all_at_once_are_taken_in_sample_order() -> None:
    """Outcomes of one turn of the loop are all taken, lower indices first: a final error at the end loses."""
    script, round_ = Script(["42", "42", 400]), vote(Policy(stop="unbeatable", wave=3, k=3))
    performing = asyncio.create_task(perform(round_, script.ask))
    await script.open(1, 0)
    await performing
    assert "42" == winner(round_)


async def test_one_sample_runs_in_the_callers_task() -> None:
    """With k=1 no task is made."""
    tasks = []

    async def ask(launch: Launch) -> Outcome:
        tasks.append(asyncio.current_task())
        return Sample(launch.index, Reply("42"))

    round_ = vote(Policy(k=1))
    await perform(round_, ask)
    assert ("42", [asyncio.current_task()]) == (winner(round_), tasks)


async def test_one_sample_that_fails_is_replaced() -> None:
    """With k=1, too, the first failure launches one more sample."""
    played, script = await play(Policy(k=1), [503, "42"], [0, 1])
    assert ("42", [0, 1]) == (winner(played), script.indices)


@pytest.mark.parametrize(
    ("policy", "number"), [(Policy(k=1), 1), (Policy(), 2), (Policy(k=5, stop="all"), 5)]
)
async def test_cancelling_cancels_all(policy: Policy, number: int) -> None:
    """A round that is cancelled cancels every sample, and they have ended when it returns."""
    script = Script(["42"] * 5)
    performing = asyncio.create_task(perform(vote(policy), script.ask))
    async with script.changed:
        await script.changed.wait_for(lambda: len(script.asked) == number)
    performing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await performing
    assert ([*range(number)],) * 2 == (sorted(script.cancelled), sorted(script.ended))


async def test_cancelling_in_the_moment_of_an_outcome_leaves_nothing_running() -> None:
    """Cancelling as a sample arrives leaves no other one running."""
    script = Script(["42"] * 5)
    performing = asyncio.create_task(perform(vote(Policy(k=5, stop="all")), script.ask))
    await script.open(*range(5))
    performing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await performing
    assert [*range(5)] == sorted(script.ended)


async def test_a_bug_in_one_ask_cancels_the_others() -> None:
    """An ask that raises, which none should, ends the round with its error, and nothing is left running."""
    script = Script(["42"] * 3)

    async def ask(launch: Launch) -> Outcome:
        if launch.index == 1:
            async with script.changed:
                await script.changed.wait_for(lambda: {0, 2} <= set(script.gates))
            raise RuntimeError("a bug")
        return await script.ask(launch)

    with pytest.raises(RuntimeError, match="a bug"):
        await perform(vote(Policy(stop="all")), ask)
    assert [0, 2] == sorted(script.cancelled)
