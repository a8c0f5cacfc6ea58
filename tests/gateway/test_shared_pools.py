"""Gateways that share a pool, and do not all see the same of it: one question has one key and one pin."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.core.policy import PRESETS
from gateway.settings.model import CacheSettings, HealthSettings, UpstreamSettings
from tests.doubles.gateway import Client, open_gateway
from tests.doubles.redis_server import RedisServer
from tests.doubles.upstream import Reply, Upstream, open_upstream
from tests.doubles.waiting import until_async

pytestmark = pytest.mark.processes

OFTEN = HealthSettings(interval=0.05)


def model(root: str) -> Reply:
    return Reply(body=json.dumps({"data": [{"id": "m", "root": root}]}).encode())


@asynccontextmanager
async def gateway(name: str, redis: RedisServer, *upstreams: Upstream) -> AsyncIterator[Client]:
    """One of several gateways with the same configuration, which the doubles know by its name."""
    named = tuple(
        UpstreamSettings(name=f"u{at}", url=each.url, headers=(("x-gateway", name),))
        for at, each in enumerate(upstreams)
    )
    cache, policy = CacheSettings(url=redis.url, timeout=30), PRESETS["single"]
    async with open_gateway(upstreams=named, default_policy=policy, cache=cache, health=OFTEN) as client:
        yield client


async def key(client: Client) -> str:
    return (await client.chat()).about("key")[0]


@asynccontextmanager
async def differing_pool() -> AsyncIterator[tuple[Upstream, Upstream]]:
    """Two replicas with different weights under one name."""
    async with open_upstream("a") as one, open_upstream("b") as other:
        one.models, other.models = model("one"), model("other")
        yield one, other


async def test_one_that_sees_less_takes_the_others_word(redis_server: RedisServer) -> None:
    """A gateway that never saw a replica finds the pins of one that sees all: the same key, the same answer."""
    async with differing_pool() as (one, other):
        other.hidden_from = {"blind"}
        async with (
            gateway("seeing", redis_server, one, other) as seeing,
            gateway("blind", redis_server, one, other) as blind,
        ):
            first, second = await seeing.chat(), await blind.chat()
            assert (first.about("key"), first.content) == (second.about("key"), second.content)
            assert ("cache",) == second.about("source")
            assert 1 == len(one.seen) + len(other.seen)


async def test_what_is_seen_later_by_another_is_heard_of(redis_server: RedisServer) -> None:
    """Where nobody has seen all yet, the first one who does tells the others, who change their keys once."""
    async with differing_pool() as (one, other):
        other.hidden_from = {"blind"}
        async with gateway("blind", redis_server, one, other) as blind:
            before = await key(blind)
            async with gateway("seeing", redis_server, one, other) as seeing:
                whole = await key(seeing)
                assert before != whole

                async def is_heard_of() -> bool:
                    return await key(blind) == whole

                await until_async(is_heard_of)


async def test_a_change_reaches_who_cannot_see_it(redis_server: RedisServer) -> None:
    """A replica that is replaced by another model changes the key of all, also of one that has lost it."""
    async with (
        differing_pool() as (one, other),
        gateway("seeing", redis_server, one, other) as seeing,
        gateway("blind", redis_server, one, other) as blind,
    ):
        before = await key(seeing)
        assert before == await key(blind)
        other.hidden_from = {"blind"}
        other.models = model("third")

        async def is_changed() -> bool:
            return before != await key(seeing) and await key(seeing) == await key(blind)

        await until_async(is_changed)
        changed = await key(blind)
        other.models = model("other")

        async def is_as_before() -> bool:
            return before == await key(seeing) == await key(blind)

        await until_async(is_as_before)
        assert changed != before


async def test_what_was_seen_outlives_the_gateways(redis_server: RedisServer) -> None:
    """A gateway that starts while no replica can be seen gives out what was pinned before."""
    async with differing_pool() as (one, other):
        async with gateway("first", redis_server, one, other) as client:
            pinned = await client.chat()
        one.hidden_from = other.hidden_from = {"second"}
        async with gateway("second", redis_server, one, other) as client:
            found = await client.chat()
        assert ("cache",) == found.about("source")
        assert (pinned.about("key"), pinned.content) == (found.about("key"), found.content)
