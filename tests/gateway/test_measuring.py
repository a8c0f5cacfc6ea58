"""Measuring without voting, against scripted upstreams on real sockets."""

import asyncio
from typing import Any

import pytest

from gateway.core.policy import PRESETS
from gateway.settings.model import Limits
from tests.doubles.gateway import Client, open_gateway
from tests.doubles.upstream import HALF, open_upstream
from tests.doubles.waiting import until

ALWAYS = {"measure": 1.0, "cache": False}


async def measured(client: Client) -> None:
    """Wait until nothing is being measured any more."""
    await until(lambda: not len(client.inside.background))


def at_once(client: Client) -> None:
    """Compare what is compared without waiting for the time between."""
    client.inside.background.apart = (0.0, 0.0)


async def pairs(client: Client, policy: str) -> tuple[float, float]:
    """Same and different, of answers apart in time."""
    return (
        await client.metric("scg_pairs_total", model="m", policy=policy, spread="apart", result="same"),
        await client.metric("scg_pairs_total", model="m", policy=policy, spread="apart", result="different"),
    )


async def rechecks(client: Client, result: str) -> float:
    """How many pinned verdicts were voted on again with this result."""
    return await client.metric("scg_rechecks_total", model="m", policy="majority", result=result)


async def test_a_single_answer_is_compared_with_later_ones() -> None:
    """`measure: 1`, `measure_k: 3`: two more samples follow, one the same and one not; the client had its answer."""
    policy = PRESETS["single"].override(ALWAYS)
    async with (
        open_upstream("42", "42", "41") as upstream,
        open_gateway(upstream, default_policy=policy) as client,
    ):
        at_once(client)
        assert ("single",) == (await client.chat()).about("source")
        await measured(client)
        assert 3 == len(upstream.seen)
        assert 1 == len({str(seen.body["seed"]) for seen in upstream.seen})
        assert (1, 1) == await pairs(client, "single")
        (rate,) = (await client.get("/v1/consistency/summary")).json["consistency"]
        assert ("apart", 0.5, 1) == (rate["spread"], rate["rate"], rate["questions"])


async def test_nothing_is_measured_unless_it_is_wanted() -> None:
    """`measure: 0` sends one sample; a hit without `recheck` none."""
    policy = PRESETS["single"].override({"measure": 0})
    async with open_upstream("42") as upstream, open_gateway(upstream, default_policy=policy) as client:
        await client.chat()
        await client.chat()
        assert (0, 1) == (len(client.inside.background), len(upstream.seen))


@pytest.mark.parametrize(("again", "expected"), [("42", (1, 0)), ("41", (0, 1))])
async def test_a_hit_is_voted_on_again(again: str, expected: tuple[float, float]) -> None:
    """`recheck: 1`: the round is run once more, compared with what is pinned, and changes nothing."""
    policy = PRESETS["majority"].override({"recheck": 1.0})
    async with (
        open_upstream("42", "42", again, again) as upstream,
        open_gateway(upstream, default_policy=policy) as client,
    ):
        at_once(client)
        await client.chat()
        assert ("cache",) == (await client.chat()).about("source")
        await measured(client)
        assert expected == await pairs(client, "majority")
        assert expected == (await rechecks(client, "same"), await rechecks(client, "different"))
        assert ("42", "cache") == ((got := await client.chat()).content, *got.about("source"))


async def test_the_same_hit_is_not_checked_all_the_time() -> None:
    """However often a question is asked, it is voted on again only now and then."""
    policy = PRESETS["majority"].override({"recheck": 1.0})
    async with open_upstream("42") as upstream, open_gateway(upstream, default_policy=policy) as client:
        at_once(client)
        for _ in range(5):
            await client.chat()
        await measured(client)
        assert (4, (1, 0)) == (len(upstream.seen), await pairs(client, "majority"))


async def test_a_recheck_without_a_verdict_is_counted() -> None:
    """Where the round that is run again comes to nothing, that is told apart from agreement."""
    policy = PRESETS["majority"].override({"recheck": 1.0})
    async with (
        open_upstream("42", "42", 500, 500, 500, 500) as upstream,
        open_gateway(upstream, default_policy=policy) as client,
    ):
        at_once(client)
        await client.chat()
        await client.chat()
        await measured(client)
        assert (1, (0, 0)) == (await rechecks(client, "lost"), await pairs(client, "majority"))


async def test_the_questions_behind_the_rate_are_published() -> None:
    """Two questions, one with half of its pairs the same and one with all: 1.5 of 2 agree."""
    policy = PRESETS["single"].override(ALWAYS)
    async with (
        open_upstream("42", "42", "41", "7") as upstream,
        open_gateway(upstream, default_policy=policy) as client,
    ):
        at_once(client)
        await client.chat()
        await measured(client)
        upstream.answers = ["7"]
        await client.chat(temperature=0.5)
        await measured(client)
        kind = {"model": "m", "policy": "single", "spread": "apart"}
        assert 2 == await client.metric("scg_consistency_questions", **kind)
        assert 1.5 == await client.metric("scg_consistency_agreement", **kind)


@pytest.mark.parametrize("failure", [500, HALF])
async def test_what_does_not_come_is_no_pair(failure: Any) -> None:
    """A later sample that fails says nothing of agreement."""
    policy = PRESETS["single"].override(ALWAYS | {"measure_k": 2})
    async with (
        open_upstream("42", failure) as upstream,
        open_gateway(upstream, default_policy=policy) as client,
    ):
        at_once(client)
        await client.chat()
        await measured(client)
        assert (0, 0) == await pairs(client, "single")
        assert 1 == await client.metric("scg_samples_total", model="m", policy="single", fate="abstained")


async def test_measuring_lets_clients_go_first() -> None:
    """A sample that only measures stands in the same line as all others, and behind a client's that came later."""
    policy = PRESETS["single"].override(ALWAYS | {"measure_k": 2})
    async with (
        open_upstream("42") as upstream,
        open_gateway(upstream, default_policy=policy, limits=Limits(max_samples_in_flight=1)) as client,
    ):
        at_once(client)
        upstream.gates = {each: asyncio.Event() for each in range(2)}
        served = asyncio.create_task(client.chat(seed=1))
        await upstream.asked(1)
        second = asyncio.create_task(client.chat(seed=2))
        await until(lambda: client.inside.slots.waiting == 1)
        upstream.gates[0].set()
        assert 200 == (await served).status
        await until(
            lambda: client.inside.slots.waiting == 1
        )  # what measures the first one, behind the second
        third = asyncio.create_task(client.chat(seed=3))
        await until(lambda: client.inside.slots.waiting == 2)
        upstream.gates[1].set()
        await asyncio.gather(second, third)
        await measured(client)
        assert ([1, 2, 3], 6) == (
            [seen.body["seed"] for seen in upstream.seen][:3], len(upstream.seen)
        )  # fmt: skip


async def test_a_recheck_lets_clients_go_first() -> None:
    """The samples of a pin's second round likewise: a client's, asked for later, goes first."""
    policy = PRESETS["majority"].override({"recheck": 1.0})
    async with (
        open_upstream("42") as upstream,
        open_gateway(upstream, default_policy=policy, limits=Limits(max_samples_in_flight=1)) as client,
    ):
        at_once(client)
        upstream.gates = {2: asyncio.Event()}
        for source in ("vote", "cache"):
            assert (source,) == (await client.chat(seed=1)).about("source")
        await upstream.asked(3)  # the round that is run again has the only place, and its other sample waits
        await until(lambda: client.inside.slots.waiting == 1)
        other = asyncio.create_task(client.chat({"x-consistency-k": "1"}, seed=2))
        await until(lambda: client.inside.slots.waiting == 2)
        upstream.gates[2].set()
        await other
        await measured(client)
        assert [1, 1, 1, 2, 1] == [seen.body["seed"] for seen in upstream.seen]
        assert (1, 0) == await pairs(client, "majority")
