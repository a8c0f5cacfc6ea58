"""What keeps the samples of a round from being copies of each other."""

import asyncio
from time import monotonic

from gateway.core.policy import PRESETS
from gateway.settings.model import UpstreamSettings
from tests.doubles.gateway import open_gateway
from tests.doubles.upstream import open_upstream

ALL = {"stop": "all"}


def at(url: str, engine: str = "vllm", name: str = "a", lane: str = "fast") -> UpstreamSettings:
    return UpstreamSettings(url=url, name=name, engine=engine, lane=lane)


async def test_samples_go_to_different_replicas() -> None:
    """With three replicas each has one sample of a round of three."""
    policy = PRESETS["majority"].override(ALL)
    async with (
        open_upstream() as a,
        open_upstream() as b,
        open_upstream() as c,
        open_gateway(a, b, c, default_policy=policy) as client,
    ):
        await client.chat()
        assert [1, 1, 1] == [len(each.seen) for each in (a, b, c)]


async def test_each_sample_has_a_salt_of_its_own() -> None:
    """On vLLM sample 0 keeps the client's salt or none, each other index has a fixed one, the same in every round."""
    policy = PRESETS["majority"].override(ALL | {"salt": True, "cache": False})
    async with open_upstream() as upstream:
        async with open_gateway(upstreams=(at(upstream.url),), default_policy=policy) as client:
            await client.chat()
            await client.chat()
            await client.chat(cache_salt="mine")
        salts = [
            sorted(str(each.body.get("cache_salt")) for each in upstream.seen[i : i + 3]) for i in (0, 3, 6)
        ]
        assert salts[0] == salts[1]
        assert ("None", 3) == (salts[0][0], len(set(salts[0])))
        assert "mine" in salts[2]
        assert not set(salts[0]) & set(salts[2])


async def test_engines_without_salts_get_none() -> None:
    """A plain OpenAI upstream is sent no member that it does not know."""
    policy = PRESETS["majority"].override(ALL | {"salt": True})
    async with open_upstream() as upstream:
        async with open_gateway(upstreams=(at(upstream.url, "openai"),), default_policy=policy) as client:
            await client.chat()
        assert all("cache_salt" not in seen.body for seen in upstream.seen)


async def test_samples_start_apart() -> None:
    """`staggered:50ms`: sample i is not sent before i times 50 ms have passed."""
    policy = PRESETS["majority"].override(ALL | {"spread": "staggered:50ms"})
    async with open_upstream() as upstream, open_gateway(upstream, default_policy=policy) as client:
        began = monotonic()
        asked = asyncio.create_task(client.chat())
        for number in range(3):
            await upstream.asked(number + 1)
            assert monotonic() - began >= number * 0.05
        await asked
        staggered = {"model": "m", "policy": "majority", "spread": "staggered", "result": "same"}
        assert 1 == await client.metric("scg_pairs_total", **staggered)
