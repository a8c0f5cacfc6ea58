"""The reference lane as a client sees it, against scripted upstreams on real sockets."""

import pytest

from gateway.core.policy import PRESETS
from gateway.settings.model import UpstreamSettings
from tests.doubles.gateway import open_gateway
from tests.doubles.upstream import Upstream, open_upstream


def lanes(fast: Upstream, reference: Upstream, *, trust: bool = True) -> tuple[UpstreamSettings, ...]:
    return (
        UpstreamSettings(url=fast.url, name="fast"),
        UpstreamSettings(url=reference.url, name="ref", lane="reference", trust=trust),
    )


async def test_it_arbitrates_where_samples_disagree() -> None:
    """41, 42, 42 under `strict`: the reference lane's answer is given and pinned; the vote's figures stay."""
    async with (
        open_upstream("41", "42", "42") as fast,
        open_upstream("43") as reference,
        open_gateway(upstreams=lanes(fast, reference), default_policy=PRESETS["strict"]) as client,
    ):
        got = await client.chat()
        assert ("majority", "0.67", "reference") == got.about("outcome", "agreement", "source")
        assert (3, 1) == (len(fast.seen), len(reference.seen))
        assert ["43", "43"] == [got.content, (await client.chat()).content]


async def test_it_is_left_alone_where_they_agree() -> None:
    """42 three times: the reference lane is not asked."""
    async with open_upstream("42") as fast, open_upstream("43") as reference:
        async with open_gateway(upstreams=lanes(fast, reference), default_policy=PRESETS["strict"]) as client:
            assert "42" == (await client.chat()).content
        assert (3, 0) == (len(fast.seen), len(reference.seen))


@pytest.mark.parametrize("policy", ["reference", "serial"])
async def test_its_policies_ask_nobody_else(policy: str) -> None:
    """Under `reference` and `serial` one sample comes from the reference lane."""
    async with open_upstream("42") as fast, open_upstream("43") as reference:
        async with open_gateway(upstreams=lanes(fast, reference)) as client:
            got = await client.chat({"x-consistency-policy": policy})
        assert ("43", "reference") == (got.content, *got.about("source"))
        assert (0, 1) == (len(fast.seen), len(reference.seen))


async def test_without_one_its_policies_are_refused() -> None:
    """Where no upstream is a reference lane, asking for one is a 400 that says what is missing."""
    async with open_upstream("42") as fast, open_gateway(fast) as client:
        got = await client.chat({"x-consistency-policy": "strict"})
        assert (400, "x-consistency-policy") == (got.status, got.json["error"]["param"])
        assert "lane: reference" in got.json["error"]["message"]


async def test_one_that_fails_its_probe_is_not_used() -> None:
    """A server whose answers differ is no reference: 503, a reason on /readyz, and nothing pinned."""
    async with (
        open_upstream("41", "42") as fast,
        open_upstream("a", "b") as reference,
        open_gateway(
            upstreams=lanes(fast, reference, trust=False), default_policy=PRESETS["strict"]
        ) as client,
    ):
        ready = (await client.get("/readyz")).json
        assert ("degraded", True) == (
            ready["status"],
            "upstream ref is no reference lane: " in ready["reasons"][0],
        )
        got = await client.chat()
        assert (503, "reference_unavailable") == (got.status, got.json["error"]["code"])
        assert 0 == await client.metric("scg_pins_total", result="won")


async def test_the_plurality_may_stand_in() -> None:
    """With `reference_fallback: return` the plurality is given while the lane fails, and not pinned."""
    policy = PRESETS["strict"].override({"reference_fallback": "return"})
    async with (
        open_upstream("41", "42", "42") as fast,
        open_upstream(500) as reference,
        open_gateway(upstreams=lanes(fast, reference), default_policy=policy) as client,
    ):
        got = await client.chat()
        assert (200, "42", "scg; fwd=miss") == (got.status, got.content, got.headers["cache-status"])
