"""How long a policy waits: for one sample (`sample_timeout`), and for a verdict (`deadline`)."""

from typing import Any

import pytest

from gateway.core.policy import PRESETS
from tests.doubles.gateway import open_gateway
from tests.doubles.upstream import HANG, open_upstream

SHORT = 0.2  # seconds, that the gateway waits for what never comes


@pytest.mark.parametrize("members", [{}, {"stream": True}], ids=["plain", "streamed"])
async def test_no_verdict_within_the_deadline(members: dict[str, Any]) -> None:
    """A vote that has none by then is a 504 that says so and is not to be tried again; its samples are given up."""
    policy = PRESETS["majority"].override({"deadline": SHORT})
    async with open_upstream(HANG) as upstream, open_gateway(upstream, default_policy=policy) as client:
        got = await client.chat(**members)
        error = got.json["error"]
        assert (504, "deadline_exceeded", "false") == (
            got.status, error["code"], got.headers["x-should-retry"],
        )  # fmt: skip
        assert f"no verdict within {SHORT} s" in error["message"]
        for seen in upstream.seen:
            await seen.closed.wait()


async def test_a_late_sample_is_replaced() -> None:
    """One that does not come within `sample_timeout` abstains: index k, with its own seed, votes in its place."""
    enough = 1.0  # for the others to come
    policy = PRESETS["majority"].override({"sample_timeout": enough, "stop": "all"})
    async with (
        open_upstream(HANG, "42", "42", "42") as upstream,
        open_gateway(upstream, default_policy=policy) as client,
    ):
        got = await client.chat(temperature=0.8, seed=100)
        assert ("42", "unanimous", "1.00", "3") == (
            got.content, *got.about("outcome", "agreement", "samples"),
        )  # fmt: skip
        assert [100, 101, 102, 103] == sorted(seen.body["seed"] for seen in upstream.seen)
        assert 1 == await client.metric("scg_samples_total", model="m", policy="majority", fate="abstained")
        await upstream.seen[0].closed.wait()


async def test_late_samples_are_no_verdict() -> None:
    """Where every sample is late there is no quorum to come: a 504, though the deadline is far."""
    policy = PRESETS["majority"].override({"sample_timeout": SHORT})
    async with open_upstream(HANG) as upstream, open_gateway(upstream, default_policy=policy) as client:
        got = await client.chat()
        assert (504, "deadline_exceeded") == (got.status, got.json["error"]["code"])
        assert "no sample came in time" in got.json["error"]["message"]
