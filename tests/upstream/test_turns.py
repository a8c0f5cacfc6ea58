"""Whose turn it is: whom each sample of a round goes to, and who is left out."""

import asyncio
from collections import Counter
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from gateway.core.retry import UNSENT
from gateway.settings.model import BreakerSettings, RetrySettings
from gateway.telemetry.metrics import Metrics
from gateway.upstream.attempts import Attempts
from gateway.upstream.pool import Pool
from gateway.upstream.retries import Failed, Retries
from gateway.upstream.upstream import Upstream
from tests.upstream.pools import Clock, asked, at, dice, many, named, pool_of, possible, sees

BREAKER = BreakerSettings(failures=2, cooldown=10.0)


def call(upstream: Upstream, result: str = "ok", status: int = 200, retry_after: float | None = None) -> None:
    upstream.ended(upstream.began(), result, 0.1, status, retry_after)


def fail(upstream: Upstream, times: int = 1) -> None:
    for _ in range(times):
        call(upstream, "status", 500)


# Replicas and samples.


@pytest.mark.parametrize(
    ("replicas", "samples", "expected"),
    [("a", 3, "aaa"), ("ab", 5, "ababa"), ("abc", 3, "abc"), ("abc", 7, "abcabca"), ("abcd", 2, "ab")],
)
async def test_samples_go_round(replicas: str, samples: int, expected: str) -> None:
    """Each replica has one sample before any has two, and none has two in a row."""
    async with pool_of(*many(replicas)) as pool:
        assert expected == asked(pool, samples)


@settings(max_examples=200)
@given(st.integers(1, 16), st.lists(st.integers(0, 3), min_size=2, max_size=6), st.integers(0))
async def test_neighbours_never_share_a_replica(samples: int, loads: list[int], seed: int) -> None:
    """Whatever is drawn, whoever is busy and whoever is tried anew: sample i is elsewhere than sample i-1."""
    replicas = "abcdef"[: len(loads)]
    async with pool_of(*many(replicas), random=Random(seed).random) as pool:
        for upstream, load in zip(pool.upstreams, loads, strict=True):
            for _ in range(load):
                upstream.began()
        order = asked(pool, samples)
    assert all(one != other for one, other in pairwise(order))
    counts = Counter(order)
    assert max(counts.values()) - min(counts.get(name, 0) for name in replicas) <= 2


async def test_a_retry_goes_elsewhere() -> None:
    """Of those that were not tried for this sample one that keeps neighbours apart; of the tried ones if all were."""
    async with pool_of(*many("abc")) as pool:
        turn = pool.turn("m")
        a, b, c = pool.upstreams
        assert [a, b] == [turn.pick(0), turn.pick(1)]
        assert [c, c] == [turn.pick(0, [a]), turn.pick(0, [a, b])]
        assert turn.pick(0, [a, b, c]) in pool.upstreams


async def test_who_failed_in_a_round_is_not_asked_again_in_it() -> None:
    """The sample in the place of one that never came goes to a replica that has not failed, even to its neighbour's."""
    async with pool_of(*many("ab")) as pool:
        turn, (a, b) = pool.turn("m"), pool.upstreams
        assert [a, b] == [turn.pick(0), turn.pick(1)]
        turn.avoid(a)
        assert [b, b] == [turn.pick(2), turn.pick(3)]
        turn.avoid(b)
        assert [a, b] == [turn.pick(4), turn.pick(5)]
        assert "ab" == asked(pool, 2)


async def test_who_was_not_asked_after_all_is_still_fresh() -> None:
    """No retry and no second call is left: the replica that would have had it is the next sample's."""
    retries = Retries(RetrySettings(limit=0), Metrics(CollectorRegistry()))
    async with pool_of(*many("abc")) as pool:
        turn, (a, b, c) = pool.turn("m"), pool.upstreams
        first = Attempts(turn, retries.allow(), a)
        assert a is turn.pick(0)
        assert first.second() is None
        assert b is turn.pick(1)
        assert not first.go_on(Failed(UNSENT), within=60.0)
        assert c is turn.pick(2)


# Load and weight.


async def test_the_less_loaded_of_two() -> None:
    """Of two that are drawn the one with less under way is asked, for its weight; the first one if they are equal."""
    async with pool_of(at(name="a", weight=2.0), at(name="b")) as pool:
        a, b = pool.upstreams
        assert "a" == asked(pool, 1)
        tickets = [a.began(), a.began()]
        assert "b" == asked(pool, 1)
        b.began()
        assert "a" == asked(pool, 1)
        a.began()
        assert "b" == asked(pool, 1)
        for ticket in tickets:
            a.ended(ticket, "ok", 0.1, 200)
        assert "a" == asked(pool, 1)


async def test_who_stands_in_line_counts() -> None:
    """Calls that wait for a place at an upstream are load as well."""
    async with pool_of(at(name="a", max_in_flight=1), at(name="b")) as pool:
        slots = pool.upstreams[0].slots
        assert await slots.take(0)
        waiting = asyncio.create_task(slots.take(30))
        await asyncio.sleep(0)
        assert "b" == asked(pool, 1)
        waiting.cancel()


async def test_shares_are_as_the_weights_say() -> None:
    """While nobody is busy each is asked as often as its weight says."""
    weighted = [at(name=name, weight=weight) for name, weight in (("a", 1.0), ("b", 2.0), ("c", 5.0))]
    async with pool_of(*weighted, random=Random(1).random) as pool:
        shares = Counter(asked(pool, 1) for _ in range(8000))
        assert [1000, 2000, 5000] == pytest.approx([shares[name] for name in "abc"], rel=0.1)


async def test_load_evens_out() -> None:
    """A thousand calls that do not end are spread over ten replicas almost evenly; one by one drawn they were not."""
    async with pool_of(*many("abcdefghij"), random=Random(1).random) as pool:
        for _ in range(1000):
            named(pool, asked(pool, 1)).began()
        loads = [upstream.load for upstream in pool.upstreams]
        assert max(loads) - min(loads) <= 6


# Candidates and lanes.


async def test_turns_are_among_candidates() -> None:
    """Only those that serve the model have a turn, down or not, as long as one does."""
    async with pool_of(*many("abc"), random=Random(1).random) as pool:
        sees(pool, ["m"], ["n"], ["n"])
        assert ("a", "bc") == (possible(pool), possible(pool, "n"))
        pool.upstreams[0].mark(up=False)
        assert ("a", "bc") == (possible(pool), possible(pool, "unknown"))


async def test_lanes_are_kept_apart() -> None:
    """The fast lane's turns never meet a reference upstream, nor the other way round."""
    reference, doubted = (at(name=name, lane="reference", trust=name == "r") for name in ("r", "n"))
    async with pool_of(at(name="a"), reference, at(name="b"), doubted, random=Random(1).random) as pool:
        sees(pool, ["m"], ["m"], ["m"], ["m"])
        assert ("ab", "r") == (possible(pool), possible(pool, lane="reference"))
        for name in "ab":
            named(pool, name).mark(up=False)
        assert "ab" == possible(pool)


async def test_a_reference_lane_alone_serves_all() -> None:
    """Where every upstream is a reference lane they answer for both; a fast one never is a reference."""
    async with pool_of(*many("rs", lane="reference", trust=True), random=Random(1).random) as pool:
        assert ("rs", "rs") == (possible(pool), possible(pool, lane="reference"))
    async with pool_of(at(name="a")) as pool:
        assert "-" == asked(pool, 1, lane="reference")
    async with pool_of(at(name="r", lane="reference", trust=True)) as pool:
        assert ("rr", "rr") == (asked(pool, 2), asked(pool, 2, lane="reference"))


# Who is left out, and who never is.


def unreachable(pool: Pool) -> None:
    named(pool, "a").mark(up=False)


def failing(pool: Pool) -> None:
    fail(named(pool, "a"), 2)


def resting(pool: Pool) -> None:
    call(named(pool, "a"), "status", 429, 10.0)


LEAVING = pytest.mark.parametrize("leave", [unreachable, failing, resting])


@LEAVING
async def test_left_out(leave: object) -> None:
    """Who cannot be reached, keeps failing or asked for a rest has no turn as long as another one has."""
    assert callable(leave)
    async with pool_of(*many("abc"), random=Random(1).random, breaker=BREAKER) as pool:
        assert "abc" == possible(pool)
        leave(pool)
        assert "bc" == possible(pool)
        named(pool, "b").mark(up=False)
        assert "c" == possible(pool)


@LEAVING
async def test_the_last_one_is_never_taken_away(leave: object) -> None:
    """A pool's last upstream has its turn whatever is known of it; so has a pool's only one."""
    assert callable(leave)
    async with pool_of(*many("ab"), random=Random(1).random, breaker=BREAKER) as pool:
        named(pool, "b").mark(up=False)
        leave(pool)
        assert possible(pool) == ("ab" if leave is unreachable else "a")
    async with pool_of(at(name="a"), breaker=BREAKER) as pool:
        leave(pool)
        assert "aa" == asked(pool, 2)


async def test_one_trial_after_the_cooldown() -> None:
    """A failing upstream comes back when its cooldown is over, for one call; its success brings it back for all."""
    clock = Clock()
    async with pool_of(*many("ab"), clock=clock, random=Random(1).random, breaker=BREAKER) as pool:
        a = named(pool, "a")
        fail(a, 2)
        clock.now += 9.9
        assert "b" == possible(pool)
        clock.now += 0.1
        assert "ab" == possible(pool)
        ticket = a.began()
        assert "b" == possible(pool)
        a.ended(ticket, "ok", 0.1, 200)
        assert "ab" == possible(pool)


@pytest.mark.parametrize(
    ("result", "status", "turns"), [("status", 500, "b"), ("cancelled", 0, "ab"), ("status", 404, "ab")]
)
async def test_what_a_trial_comes_to(result: str, status: int, turns: str) -> None:
    """A trial that fails keeps it out for longer, one that its client cuts off leaves the next call to decide."""
    clock = Clock()
    async with pool_of(*many("ab"), clock=clock, random=Random(1).random, breaker=BREAKER) as pool:
        a = named(pool, "a")
        fail(a, 2)
        clock.now += 10
        call(a, result, status)
        assert turns == possible(pool)
        clock.now += 20
        assert "ab" == possible(pool)


@pytest.mark.parametrize(
    ("result", "status", "retry_after", "seconds"),
    [
        ("status", 429, 7.0, 7.0),
        ("status", 429, None, 1.0),
        ("status", 429, 1e9, 60.0),
        ("status", 503, 3.0, 3.0),
    ],
)
async def test_a_rest(result: str, status: int, retry_after: float | None, seconds: float) -> None:
    """Who asks for a rest has it, for a minute at most; a 429 that names no time means a second."""
    clock = Clock()
    async with pool_of(*many("ab"), clock=clock, random=Random(1).random, breaker=BREAKER) as pool:
        for _ in range(5):
            call(named(pool, "a"), result, status, retry_after)
        assert named(pool, "a").breaker.is_closed
        clock.now += seconds - 0.01
        assert "b" == possible(pool)
        clock.now += 0.01
        assert "ab" == possible(pool)


@pytest.mark.parametrize("result", ["timeout", "broken", "garbage"])
async def test_what_counts_as_failing(result: str) -> None:
    """Time-outs, connections that break and garbage open the breaker; answers below 500 and cancelled calls do not."""
    async with pool_of(*many("ab"), breaker=BREAKER) as pool:
        a, b = pool.upstreams
        for _ in range(2):
            call(a, result, 200 if result == "garbage" else 0)
            call(b, "status", 400)
            call(b, "cancelled", 0)
        assert (["a"], "b") == (pool.ejected, asked(pool, 1))


async def test_the_draws_are_those_that_are_given() -> None:
    """The dice decide and nothing else: the same draws, the same turns."""
    async with pool_of(*many("abcd"), random=dice(0.99, 0.0, 0.3, 0.3)) as pool:
        assert ["d", "b", "d", "b"] == [asked(pool, 1) for _ in range(4)]
