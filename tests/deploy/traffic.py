"""Something of everything that a gateway counts, scripted, for a Prometheus to see."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.core.policy import PRESETS
from gateway.serving.keyring import digest_of
from gateway.settings.model import BreakerSettings, KeySettings
from tests.doubles.gateway import Client, open_gateway
from tests.doubles.upstream import Reply, Upstream, open_upstream
from tests.doubles.waiting import until
from tests.wire.recordings import recorded

KEY = "a-key-that-nobody-would-guess"
NAMED = {"authorization": f"Bearer {KEY}"}
OFTEN = 5


@asynccontextmanager
async def quiet_gateway() -> AsyncIterator[tuple[Client, Upstream]]:
    """A gateway for one tenant that nobody has asked anything, in front of an upstream and a broken one."""
    policies = {
        **PRESETS,
        "majority": PRESETS["majority"].override({"recheck": 1.0}),
        "single": PRESETS["single"].override({"measure": 1.0}),
    }
    tenant = KeySettings(name="team-a", sha256=digest_of(KEY), rpm=600)
    async with (
        open_upstream("42") as upstream,
        open_upstream(500) as broken,
        open_gateway(
            upstream,
            broken,
            policies=policies,
            default_policy=policies["majority"],
            keys=(tenant,),
            breaker=BreakerSettings(cooldown=3600),
            known={"engine": "vllm"},
        ) as client,
    ):
        client.inside.background.apart = (0.0, 0.0)
        yield client, upstream


async def make_traffic(client: Client, upstream: Upstream, wave: int) -> None:
    """Ask so that everything is counted at least once; each wave asks questions of its own."""
    first = 1000 * wave
    while not await client.metric("scg_upstream_ejections_total", upstream="u1"):
        first += 1
        await client.chat(NAMED, seed=first)
    await _votes(client, upstream, first)
    await _measurements(client, upstream, first)
    await _failures(client, upstream, first)
    upstream.models = Reply(body=json.dumps({"data": [{"id": "m", "root": f"{wave}"}]}).encode())
    await client.inside.pool.look()


async def _votes(client: Client, upstream: Upstream, first: int) -> None:
    """Unanimous, split, apart by a stagger, streamed, with log-probabilities, joined."""
    upstream.answers = ["42", "42", "41 and a half"]
    for seed in range(first, first + OFTEN):
        await client.chat(NAMED, seed=seed, consistency={"stop": "all"})
        await client.chat(NAMED, seed=seed, consistency={"stop": "all"})
    await client.chat(NAMED, seed=first + 100, consistency={"spread": "staggered:1ms"})
    await client.chat(NAMED, seed=first + 101, stream=True)
    upstream.answers = [Reply(body=recorded("chat_logprobs"))]
    await client.chat(NAMED, seed=first + 102, logprobs=True, top_logprobs=2)
    upstream.answers = ["42"]
    await asyncio.gather(*(client.chat(NAMED, seed=first + 103) for _ in range(OFTEN)))
    await client.post("/v1/embeddings", {"model": "m", "input": "a"}, NAMED)


async def _measurements(client: Client, upstream: Upstream, first: int) -> None:
    """Single samples with later ones, and hits that are voted on again."""
    for seed in range(first + 200, first + 200 + OFTEN):
        upstream.answers = ["7", "7", "8"] if seed % 2 else ["7"]
        await client.chat(NAMED, seed=seed, consistency={"policy": "single"})
        await until(lambda: not len(client.inside.background))


async def _failures(client: Client, upstream: Upstream, first: int) -> None:
    """Calls that fail, answers that cannot be read, a key that is not known."""
    upstream.answers = [500, "nothing to be read"]
    await client.chat(NAMED, seed=first + 300, consistency={"answer": "number"})
    await client.chat({"authorization": "Bearer of-nobody"}, seed=first + 301)
