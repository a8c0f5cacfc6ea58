"""A replica that takes requests and answers none, beside one that lives: what clients have of it."""

import asyncio

from gateway.core.policy import PRESETS
from gateway.settings.model import BreakerSettings
from tests.doubles.gateway import Client, open_gateway
from tests.doubles.upstream import HANG, open_upstream

ONCE = BreakerSettings(failures=1, cooldown=1e6)
VOTE = PRESETS["majority"].override({"cache": False, "deadline": 4.0})
SINGLE = PRESETS["single"].override({"cache": False, "deadline": 4.0})


async def timeouts(client: Client, upstream: str) -> float:
    return await client.metric("scg_upstream_requests_total", upstream=upstream, result="timeout")


async def test_a_replica_that_hangs_costs_an_abstention() -> None:
    """Its sample is replaced before the deadline, and then it is left alone and said to be in bad health."""
    async with (
        open_upstream() as good,
        open_upstream(HANG) as hung,
        open_gateway(good, hung, default_policy=VOTE, breaker=ONCE) as client,
    ):
        got = await client.chat()
        assert (200, ("unanimous", "2")) == (got.status, got.about("outcome", "samples"))
        assert (0.0, 1.0) == (await timeouts(client, "u0"), await timeouts(client, "u1"))
        assert 200 == (await client.chat()).status
        assert (4, 1) == (len(good.seen), len(hung.seen))
        assert "degraded" == (await client.get("/readyz")).json["status"]


async def test_a_lone_sample_is_asked_of_another_one() -> None:
    """Under k=1 whoever met with the silent replica has the answer of the other one, within the deadline."""
    async with (
        open_upstream() as good,
        open_upstream(HANG) as hung,
        open_gateway(good, hung, default_policy=SINGLE, breaker=ONCE) as client,
    ):
        good.gates[0] = asyncio.Event()
        one = asyncio.create_task(client.chat(user="one"))
        await asyncio.wait(
            {asyncio.create_task(good.asked(1)), asyncio.create_task(hung.asked(1))},
            return_when=asyncio.FIRST_COMPLETED,
        )
        other = asyncio.create_task(client.chat(user="other"))  # of the one that has less to do
        await good.asked(1)
        await hung.asked(1)
        good.gates[0].set()
        assert [200, 200] == [(await one).status, (await other).status]
        assert (0.0, 1.0) == (await timeouts(client, "u0"), await timeouts(client, "u1"))


async def test_the_only_upstream_is_waited_for_to_the_end() -> None:
    """Where nobody else is there a silent call goes on until the deadline, and counts as a time-out."""
    policy = SINGLE.override({"deadline": 0.2})
    async with (
        open_upstream(HANG) as hung,
        open_gateway(hung, default_policy=policy, breaker=ONCE) as client,
    ):
        got = await client.chat()
        assert (504, "deadline_exceeded", 1) == (got.status, got.json["error"]["code"], len(hung.seen))
        assert 1.0 == await timeouts(client, "u0")
