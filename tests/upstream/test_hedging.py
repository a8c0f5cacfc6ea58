"""A sample asked of a second upstream while the first one keeps it waiting."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.core.ballot import Abstention, Reply, Sample
from gateway.upstream.hedging import Came, Listener, Race
from gateway.upstream.pool import Pool
from gateway.upstream.upstream import Upstream
from tests.doubles.waiting import until
from tests.upstream.pools import many, pool_of

AT_ONCE, NEVER = 0.0, 30.0


class Stage:
    """Two upstreams that say a word or end when the test lets them."""

    def __init__(self, pool: Pool) -> None:
        self.first, self.second = pool.upstreams
        self.ends: dict[Upstream, asyncio.Future[Came]] = {
            each: asyncio.get_running_loop().create_future() for each in pool.upstreams
        }
        self.ears: dict[Upstream, Listener] = {}
        self.asked = asyncio.Event()  # the second one
        self.cancelled: list[Upstream] = []
        self.heard: list[bytes] = []

    async def take(self, upstream: Upstream, ear: Listener) -> Came:
        self.ears[upstream] = ear
        if upstream is self.second:
            self.asked.set()
        try:
            return await asyncio.shield(self.ends[upstream])
        except asyncio.CancelledError:
            self.cancelled.append(upstream)
            raise

    def ask_second(self) -> Upstream | None:
        return self.second

    def race(
        self, after: float, second: Callable[[], Upstream | None] | None = None
    ) -> "asyncio.Task[object]":
        made = Race(self.take, lambda _, piece: self.heard.append(piece))
        return asyncio.create_task(made.run(self.first, after, second or self.ask_second))

    def end(self, upstream: Upstream, *, well: bool = True) -> Came:
        came: Came = (Sample(0, Reply(upstream.name)) if well else Abstention(0, "timeout"), None)
        self.ends[upstream].set_result(came)
        return came

    async def until_asked(self, upstream: Upstream) -> None:
        while upstream not in self.ears:  # noqa: ASYNC110  it is a turn of the loop away
            await asyncio.sleep(0)


async def test_an_answer_in_time_has_no_second_call() -> None:
    """A first one that answers, well or badly, before the time is over is all there is."""
    for well in (True, False):
        async with pool_of(*many("ab")) as pool:
            stage = Stage(pool)
            racing = stage.race(NEVER)
            came = stage.end(stage.first, well=well)
            assert (came, stage.first, "") == await racing
            assert not stage.asked.is_set()


async def test_a_first_byte_in_time_has_no_second_call() -> None:
    """A stream that has begun is not asked for twice, however long it takes."""
    async with pool_of(*many("ab")) as pool:
        stage = Stage(pool)
        racing = stage.race(NEVER)
        await stage.until_asked(stage.first)
        stage.ears[stage.first](0, b"a")
        came = stage.end(stage.first)
        assert (came, stage.first, "") == await racing
        assert ([b"a"], False) == (stage.heard, stage.asked.is_set())


@pytest.mark.parametrize("wins", ["first", "second"])
async def test_the_first_sample_wins(wins: str) -> None:
    """Of two that are asked the one with a sample first is the sample, and the other one is cut off."""
    async with pool_of(*many("ab")) as pool:
        stage = Stage(pool)
        racing = stage.race(AT_ONCE)
        await stage.asked.wait()
        winner, loser = (stage.first, stage.second) if wins == "first" else (stage.second, stage.first)
        came = stage.end(winner)
        assert (came, winner, "lost" if wins == "first" else "won") == await racing
        assert [loser] == stage.cancelled


async def test_who_is_heard_first_goes_on_alone() -> None:
    """The other one is cut off at its rival's first byte, and nothing of it is heard."""
    async with pool_of(*many("ab")) as pool:
        stage = Stage(pool)
        racing = stage.race(AT_ONCE)
        await stage.asked.wait()
        stage.ears[stage.second](0, b"b")
        stage.ears[stage.first](0, b"a")
        stage.ears[stage.second](0, b"c")
        await until(lambda: stage.cancelled == [stage.first])
        came = stage.end(stage.second)
        assert (came, stage.second, "won") == await racing
        assert ([b"b", b"c"], [stage.first]) == (stage.heard, stage.cancelled)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_a_failure_waits_for_the_other(order: tuple[int, int]) -> None:
    """One that fails leaves the sample to the other; if both do the last one says why."""
    for well in (True, False):
        async with pool_of(*many("ab")) as pool:
            stage = Stage(pool)
            racing = stage.race(AT_ONCE)
            await stage.asked.wait()
            early, late = (pool.upstreams[at] for at in order)
            stage.end(early, well=False)
            for _ in range(5):
                await asyncio.sleep(0)
            assert not racing.done()
            came = stage.end(late, well=well)
            told = ("won" if late is stage.second else "lost") if well else "failed"
            assert (came, late, told) == await racing


async def test_where_there_is_no_second_one() -> None:
    """With nobody else to ask, or nothing left to spend, the first one is waited for."""
    async with pool_of(*many("ab")) as pool:
        stage = Stage(pool)
        was_asked = asyncio.Event()

        def nobody() -> None:
            was_asked.set()

        racing = stage.race(AT_ONCE, nobody)
        await was_asked.wait()
        came = stage.end(stage.first)
        assert (came, stage.first, "") == await racing


async def test_cancelling_cuts_off_both() -> None:
    """When the sample is no longer wanted neither call goes on."""
    async with pool_of(*many("ab")) as pool:
        stage = Stage(pool)
        racing = stage.race(AT_ONCE)
        await stage.asked.wait()
        racing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await racing
        assert {stage.first, stage.second} == set(stage.cancelled)
