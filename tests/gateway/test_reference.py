"""The reference lane as a client sees it, against scripted upstreams on real sockets."""

import asyncio
import json
import logging

import pytest

from gateway.core.policy import PRESETS
from gateway.settings.model import UpstreamSettings
from gateway.wire.sse import EventDecoder
from tests.doubles.gateway import HELLO, Client, open_gateway
from tests.doubles.upstream import Paced, Upstream, open_upstream


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


async def test_an_answer_names_the_policy_that_was_asked_for() -> None:
    """Policies that vote alike share a pin, and each request is told the name of its own."""
    async with (
        open_upstream("42") as fast,
        open_upstream("43") as reference,
        open_gateway(upstreams=lanes(fast, reference)) as client,
    ):
        for policy, source in (("reference", "reference"), ("serial", "cache"), ("reference", "cache")):
            got = await client.chat({"x-consistency-policy": policy})
            assert (policy, source) == got.about("policy", "source")
        usage = {"stream": True, "stream_options": {"include_usage": True}}
        got = await client.chat({"x-consistency-policy": "serial"}, **usage)
        assert ("serial", True) == (*got.about("policy"), '"policy":"serial"' in got.text)


async def test_without_one_its_policies_are_refused() -> None:
    """Where no upstream is a reference lane, asking for one is a 400 that says what is missing."""
    async with open_upstream("42") as fast, open_gateway(fast) as client:
        got = await client.chat({"x-consistency-policy": "strict"})
        assert (400, "x-consistency-policy") == (got.status, got.json["error"]["param"])
        assert "lane: reference" in got.json["error"]["message"]


async def test_one_that_fails_its_probe_is_not_used(caplog: pytest.LogCaptureFixture) -> None:
    """A server whose answers differ is no reference: an error in the log, a reason on /readyz, 503, nothing pinned."""
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
        (loud,) = (each.getMessage() for each in caplog.records if each.levelno == logging.ERROR)
        assert loud.startswith("upstream ref is no reference lane: ")
        assert loud.endswith("It is not used as one; `trust: on` would use it unprobed")
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


async def streamed(client: Client, fast: Upstream) -> tuple[str, str, str]:
    """What the head, the comment and the usage chunk say of the source of a stream that begins before its verdict."""
    fast.gates = {2: asyncio.Event()}
    body = HELLO | {"stream": True, "stream_options": {"include_usage": True}}
    async with client.session.post(client.url + "/v1/chat/completions", json=body) as response:
        fast.gates[2].set()
        said = await response.read()
    comment = next(line for line in said.decode().splitlines() if line.startswith(": x-consistency-"))
    told = dict(word.partition("=")[::2] for word in comment.split())
    usage = json.loads(EventDecoder().feed(said)[-2].data)
    return (
        response.headers["x-consistency-source"],
        told["x-consistency-source"],
        usage["consistency"]["source"],
    )


async def test_a_stream_says_that_it_arbitrated() -> None:
    """The head of a stream could only say `vote`; comment, usage chunk and metrics name the reference lane."""
    async with (
        open_upstream("41", "42", "42") as fast,
        open_upstream("43") as reference,
        open_gateway(upstreams=lanes(fast, reference), default_policy=PRESETS["strict"]) as client,
    ):
        assert ("vote", "reference", "reference") == await streamed(client, fast)
        labels = {"endpoint": "chat_completions", "model": "m", "policy": "strict", "status": "200"}
        assert 1 == await client.metric("scg_requests_total", source="reference", **labels)
        count = "scg_request_seconds_count"
        assert 1 == await client.metric(count, endpoint="chat_completions", source="reference")


async def test_a_stream_from_it_alone_says_so_at_once() -> None:
    """Under `reference` nothing else can answer: the head of a stream that is shown as it comes says so."""
    paced = Paced("43", 1)
    async with (
        open_upstream("42") as fast,
        open_upstream(paced) as reference,
        open_gateway(upstreams=lanes(fast, reference), default_policy=PRESETS["reference"]) as client,
        client.session.post(client.url + "/v1/chat/completions", json=HELLO | {"stream": True}) as response,
    ):
        assert "reference" == response.headers["x-consistency-source"]
        paced.go.set()
        assert b": x-consistency-source=reference " in await response.read()
