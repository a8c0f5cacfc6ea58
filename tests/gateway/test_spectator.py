"""What a spectator tells of samples that come when the round is over already."""

from typing import Any

from gateway.core.ballot import Abstention, Reply, Sample
from gateway.core.plan import Plan
from gateway.core.policy import Policy
from gateway.core.round import Launch
from gateway.serving.spectator import Spectator
from gateway.upstream.fanout import perform
from gateway.wire.live_chunks import CHAT_LIVE


async def watched(policy: Policy, *said: str | int) -> list[tuple[str, dict[str, Any]]]:
    """What is told of a round whose samples say this, or fail with this status, all of a wave at once."""
    told: list[tuple[str, dict[str, Any]]] = []
    plan = Plan(policy, seed=1, greedy=False, question=b"question")
    spectator = Spectator(CHAT_LIVE, plan, lambda kind, value: told.append((kind, value)))

    async def ask(launch: Launch) -> Sample | Abstention:
        note = said[launch.index]
        if isinstance(note, int):
            return Abstention(launch.index, "status", note)
        return Sample(launch.index, Reply(note))

    await perform(spectator.round, ask, spectator)
    return told


async def test_a_sample_that_comes_with_the_one_that_ends_the_vote_is_cancelled() -> None:
    """a, a, b, then a and b at once: the fourth decides, and the fifth is no spoiled one. It has its text."""
    told = await watched(Policy(k=5, wave=2), "a", "a", "b", "a", "b")
    came = [value for kind, value in told if kind == "came"]
    assert [*["ballot"] * 4, "cancelled"] == [each["fate"] for each in came]
    assert (4, None, "b") == tuple(came[-1][name] for name in ("index", "answer", "text"))
    assert ("came", came[-1]) == told[-1]  # it changes no tally


async def test_a_sample_that_comes_with_the_error_that_ends_the_vote_is_cancelled() -> None:
    """A 400 is final: what came with it counts for nothing."""
    told = await watched(Policy(k=3), 400, "a")
    assert ["abstained", "cancelled"] == [value["fate"] for kind, value in told if kind == "came"]
