"""`shed`: under pressure one sample instead of k, said so and never pinned."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.core.policy import PRESETS
from gateway.settings.model import Limits, UpstreamSettings
from tests.doubles.gateway import Client, Got, open_gateway
from tests.doubles.upstream import Upstream, open_upstream
from tests.doubles.waiting import until

SHED = PRESETS["majority"].override({"shed": "on"})
POLICIES = dict(PRESETS) | {"shed": PRESETS["majority"].override({"shed": "on"}, "shed")}
SINGLE = {"x-consistency-policy": "single"}


@asynccontextmanager
async def pressed(where: str = "process", *answers: str) -> AsyncIterator[tuple[Upstream, Client]]:
    """A gateway with one place, which the first request has, and for which the second one waits."""
    async with open_upstream(*(answers or ("x",))) as upstream:
        upstream.gates = {0: asyncio.Event()}
        most = 1 if where == "upstream" else None
        named = UpstreamSettings(url=upstream.url, name="u", max_in_flight=most)
        limits = Limits(max_samples_in_flight=1 if where == "process" else 100)
        async with open_gateway(upstreams=(named,), limits=limits, policies=POLICIES) as client:
            line = client.inside.slots if where == "process" else client.inside.pool.upstreams[0].slots
            first = asyncio.create_task(client.chat(SINGLE, seed=1))
            await upstream.asked(1)
            second = asyncio.create_task(client.chat(SINGLE, seed=2))
            await until(lambda: line.waiting == 1)
            yield upstream, client
            upstream.gates[0].set()
            assert [200, 200] == [got.status for got in await asyncio.gather(first, second)]


def ask(client: Client, **members: object) -> asyncio.Task[Got]:
    return asyncio.create_task(client.chat({"x-consistency-policy": "shed"}, **members))


@pytest.mark.parametrize("where", ["process", "upstream"])
async def test_one_sample_under_pressure(where: str) -> None:
    """While samples wait in line k falls to 1: the headers say so, and what was asked; it is not pinned."""
    async with pressed(where) as (upstream, client):
        shed = ask(client)
        await until(lambda: client.inside.in_flight == 3)
        await until(
            lambda: 2 == (client.inside.slots.waiting or client.inside.pool.upstreams[0].slots.waiting)
        )
        upstream.gates[0].set()
        got = await shed
        assert (200, "x", "3") == (got.status, got.content, got.headers["x-consistency-k-asked"])
        assert ("single", "single", "1", "1", "shed") == got.about(
            "outcome", "source", "k", "samples", "policy"
        )
        assert "scg; fwd=miss" == got.headers["cache-status"]
        assert 1 == await client.metric("scg_shed_rounds_total", model="m", policy="shed")
        after = await ask(client)
        assert ("vote", "unanimous", "3") == after.about("source", "outcome", "k")
        assert "x-consistency-k-asked" not in after.headers
        assert "cache" == (await ask(client)).headers["x-consistency-source"]


async def test_a_stream_says_so_too() -> None:
    """In its head, which is sent before the verdict, and in what follows with it."""
    async with pressed() as (upstream, client):
        shed = ask(client, stream=True, stream_options={"include_usage": True})
        await until(lambda: client.inside.slots.waiting == 2)
        upstream.gates[0].set()
        got = await shed
        assert ("3", "single") == (got.headers["x-consistency-k-asked"], *got.about("source"))
        assert "x-consistency-k-asked=3" in got.text
        assert '"k_asked":3' in got.text


async def test_a_policy_that_does_not_allow_it_waits() -> None:
    """It has all its samples, late; nor is it given what another request of the same question was left with."""
    async with pressed() as (upstream, client):
        shed = ask(client)
        await until(lambda: client.inside.slots.waiting == 2)
        whole = asyncio.create_task(client.chat())
        await until(lambda: client.inside.slots.waiting == 4)  # two samples could decide
        upstream.gates[0].set()
        assert [("single", "1"), ("vote", "3")] == [
            got.about("source", "k") for got in await asyncio.gather(shed, whole)
        ]


async def test_requests_that_are_shed_join_each_other() -> None:
    """The same question asked twice under pressure is asked once upstream, and the second answer says so, too."""
    async with pressed() as (upstream, client):
        first = ask(client)
        await until(lambda: client.inside.slots.waiting == 2)
        second = ask(client)
        await until(lambda: client.inside.in_flight == 4)
        upstream.gates[0].set()
        both = await asyncio.gather(first, second)
        assert ["single", "joined"] == [got.headers["x-consistency-source"] for got in both]
        assert ["3", "3"] == [got.headers["x-consistency-k-asked"] for got in both]
    assert 3 == len(upstream.seen)


async def test_no_pressure_no_shedding() -> None:
    """A policy that would shed votes like any other while nobody waits, however few places there are."""
    async with (
        open_upstream("x") as upstream,
        open_gateway(upstream, default_policy=SHED, limits=Limits(max_samples_in_flight=1)) as client,
    ):
        got = await client.chat()
        assert ("vote", "unanimous", "3") == got.about("source", "outcome", "k")
