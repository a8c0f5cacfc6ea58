"""Upstreams that fail, refuse or vanish: who is asked instead, how often, and what a client sees of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic
from typing import Any

import pytest

from gateway.core.policy import PRESETS
from gateway.settings.model import BreakerSettings, RetrySettings, Settings, UpstreamSettings
from tests.doubles.gateway import Client, open_gateway, open_gateway_for
from tests.doubles.redis_server import free_port
from tests.doubles.upstream import HALF, RESET, Answer, Reply, Upstream, open_upstream
from tests.doubles.waiting import until, until_async
from tests.upstream.raw_server import Connection, Play, keeping, open_raw, response

SINGLE = PRESETS["single"].override({"cache": False})
THREE = PRESETS["majority"].override({"cache": False, "stop": "all"})
FOR_EVER = BreakerSettings(failures=3, cooldown=1e6)


def refusal(status: int, **fields: str) -> Reply:
    headers = {"content-type": "application/json"} | {name.replace("_", "-"): fields[name] for name in fields}
    return Reply(status, b'{"error":{"message":"no"}}', headers)


BUSY = refusal(429, retry_after="1000")
SOON = refusal(429, retry_after="0")


async def retried(client: Client, upstream: str = "u0") -> dict[str, float]:
    """Calls made once more, by reason."""
    reasons = ("unreachable", "broken", "refused")
    found = {
        each: await client.metric("scg_upstream_retries_total", upstream=upstream, reason=each)
        for each in reasons
    }
    return {reason: number for reason, number in found.items() if number}


async def abstained(client: Client, policy: str = "majority") -> float:
    return await client.metric("scg_samples_total", model="m", policy=policy, fate="abstained")


# Samples.


async def test_a_replica_that_vanishes_costs_nothing() -> None:
    """A sample that cannot be sent is asked of another replica: no abstention, and a vote of all k."""
    async with open_upstream() as here, AsyncExitStack() as stack:
        async with open_upstream() as away:
            client = await stack.enter_async_context(open_gateway(away, here, default_policy=THREE))
        got = await client.chat()
        assert (200, ("unanimous", "3")) == (got.status, got.about("outcome", "samples"))
        assert ({"unreachable"}, 0.0) == (set(await retried(client)), await abstained(client))
        assert 0 == await client.metric("scg_upstream_up", upstream="u0")


@pytest.mark.parametrize(
    ("answer", "reason"), [(BUSY, "refused"), (refusal(503), "refused"), (RESET, "broken")]
)
async def test_what_was_not_begun_is_asked_elsewhere(answer: Answer, reason: str) -> None:
    """A replica that refuses, or breaks off without a byte, is replaced by another one for the same sample."""
    async with (
        open_upstream(answer) as bad,
        open_upstream() as good,
        open_gateway(bad, good, default_policy=THREE) as client,
    ):
        got = await client.chat()
        assert (200, ("unanimous", "3")) == (got.status, got.about("outcome", "samples"))
        assert 0 == await abstained(client)
        assert {reason} == set(await retried(client))


@pytest.mark.parametrize("answer", [500, HALF, refusal(502), "\0html"])
async def test_what_was_begun_is_an_abstention(answer: Answer) -> None:
    """Half an answer, 500 and garbage are not repeated inside a sample: the round replaces the first of them."""
    async with (
        open_upstream(answer, "ok", "ok", "ok") as upstream,
        open_gateway(upstream, default_policy=THREE) as client,
    ):
        got = await client.chat()
        assert (200, ("unanimous", "3")) == (got.status, got.about("outcome", "samples"))
        assert (4, 1.0, {}) == (len(upstream.seen), await abstained(client), await retried(client))


async def test_its_queue_is_published() -> None:
    """`scg_upstream_queue` is how many samples wait for a place at an upstream that takes one at a time."""
    async with (
        open_upstream() as upstream,
        open_gateway(upstream, known={"max_in_flight": 1}, default_policy=SINGLE) as client,
    ):
        upstream.gates = {0: asyncio.Event()}
        asked = [asyncio.create_task(client.chat(seed=seed)) for seed in range(3)]
        line = client.inside.pool.upstreams[0].slots
        await until(lambda: line.waiting == 2)
        assert 2 == await client.metric("scg_upstream_queue", upstream="u0")
        upstream.gates[0].set()
        assert {200} == {got.status for got in await asyncio.gather(*asked)}
        assert 0 == await client.metric("scg_upstream_queue", upstream="u0")


async def test_the_only_one_is_asked_again_when_it_wants_to_be() -> None:
    """A 429 with a short retry-after is waited for, and the client gets its answer."""
    async with (
        open_upstream(SOON, "ok") as upstream,
        open_gateway(upstream, default_policy=SINGLE) as client,
    ):
        got = await client.chat()
        assert (200, "ok", 2) == (got.status, got.content, len(upstream.seen))
        assert {"refused": 1.0} == await retried(client)


async def test_who_asks_for_much_patience_is_not_waited_for() -> None:
    """A longer retry-after passes on to the client, once for the sample and once for what replaced it."""
    async with (
        open_upstream(BUSY) as upstream,
        open_gateway(upstream, default_policy=SINGLE) as client,
    ):
        got = await client.chat()
        assert (429, "1000", 2) == (got.status, got.headers["retry-after"], len(upstream.seen))
        assert {} == await retried(client)


async def test_a_replica_that_asks_for_a_rest_has_it() -> None:
    """After its 429 it is not asked again before its time, as long as another one is there."""
    async with (
        open_upstream(BUSY) as busy,
        open_upstream() as free,
        open_gateway(busy, free, default_policy=THREE) as client,
    ):
        await client.chat()
        asked = len(busy.seen)  # one or two of three samples, begun at once
        for _ in range(3):
            assert 200 == (await client.chat()).status
        assert (asked, 12) == (len(busy.seen), len(free.seen))


@pytest.mark.parametrize("limit", [0, 1, 2, 5])
async def test_retries_are_added_and_never_multiply(limit: int) -> None:
    """All samples of a request share its allowance: k, one in place of the first abstention, and no more than that."""
    five = THREE.override({"k": 5, "min_ballots": 1})
    async with open_upstream(SOON) as upstream:
        retries = RetrySettings(limit=limit, backoff=0.001)
        async with open_gateway(upstream, default_policy=five, retries=retries) as client:
            assert 429 == (await client.chat()).status
        assert 5 + 1 + limit == len(upstream.seen)


async def test_a_spent_budget_stops_all_retries() -> None:
    """When too much has been repeated lately a refusal passes on at once, and that is counted."""
    async with (
        open_upstream(SOON) as upstream,
        open_gateway(upstream, default_policy=SINGLE) as client,
    ):
        budget, later = client.inside.retries.budget, monotonic() + 1e6
        while budget.take(later):
            pass
        assert 429 == (await client.chat()).status
        assert ({}, 2.0) == (await retried(client), await client.metric("scg_retries_refused_total"))


@pytest.mark.parametrize("body", [b"<html>Bad Gateway</html>", b"", b"[]", b"\xff", b"[" * 10_000])
async def test_an_error_that_is_no_json_is_told_in_ours(body: bytes) -> None:
    """A proxy's HTML keeps its status, and reaches the client as an error that SDKs can read."""
    html = Reply(502, body, {"content-type": "text/html"})
    async with open_upstream(html) as upstream, open_gateway(upstream, default_policy=SINGLE) as client:
        got = await client.chat()
        assert (502, "application/json") == (got.status, got.headers["content-type"])
        assert ("upstream_error", True) == (
            got.json["error"]["code"],
            got.json["error"]["message"].startswith("u0 answered 502: "),
        )


async def test_a_stream_is_asked_elsewhere_too() -> None:
    """A streamed vote meets a refusing replica: the client's stream is whole, and nothing shows of it."""
    async with (
        open_upstream(BUSY) as busy,
        open_upstream("hello") as free,
        open_gateway(busy, free, default_policy=THREE) as client,
    ):
        got = await client.chat(stream=True)
        assert (200, True, 0.0) == (
            got.status,
            got.text.endswith("data: [DONE]\n\n"),
            await abstained(client),
        )
        assert "error" not in got.text


# The breaker.


async def ejected(client: Client, bad: Upstream) -> None:
    """Ask until the breaker of u0 opens."""
    for _ in range(3):
        assert 200 == (await client.chat()).status
    assert (1.0, 1.0) == (
        await client.metric("scg_breaker_state", upstream="u0"),
        await client.metric("scg_upstream_ejections_total", upstream="u0"),
    )
    assert 3 == len(bad.seen)


async def test_a_replica_that_keeps_failing_is_left_alone() -> None:
    """Three failures in a row open its breaker: it is asked no more, `/readyz` says so, and nobody's request failed."""
    async with open_upstream(500) as bad, open_upstream() as good:
        two = THREE.override({"k": 2, "min_ballots": 1})
        async with open_gateway(bad, good, default_policy=two, breaker=FOR_EVER) as client:
            await ejected(client, bad)
            for _ in range(3):
                assert ("unanimous",) == (await client.chat()).about("outcome")
            assert 3 == len(bad.seen)
            reasons = (await client.get("/readyz")).json["reasons"]
            assert ["upstream u0 keeps failing and is left alone for a while"] == reasons


async def test_a_trial_brings_it_back() -> None:
    """After its cooldown one call is let through: a failure opens the breaker again, a success closes it."""
    async with open_upstream(500) as bad, open_upstream() as good:
        two = THREE.override({"k": 2, "min_ballots": 1})
        short = BreakerSettings(failures=3, cooldown=0.001)

        async def state() -> float:
            return await client.metric("scg_breaker_state", upstream="u0")

        async def half_open() -> bool:
            return await state() == 2

        async with open_gateway(bad, good, default_policy=two, breaker=short) as client:
            for _ in range(3):
                await client.chat()
            await until_async(half_open)
            await client.chat()
            assert (4, 2.0) == (
                len(bad.seen),
                await client.metric("scg_upstream_ejections_total", upstream="u0"),
            )
            await until_async(half_open)
            bad.answers = ["ok"]
            assert ("unanimous",) == (await client.chat()).about("outcome")
            assert (5, 0.0) == (len(bad.seen), await state())


async def test_the_last_upstream_is_asked_whatever_its_breaker_says() -> None:
    """An only upstream with an open breaker is asked all the same, and its first answer closes it."""
    async with (
        open_upstream(500) as upstream,
        open_gateway(upstream, default_policy=SINGLE, breaker=FOR_EVER) as client,
    ):
        for _ in range(3):
            assert 500 == (await client.chat()).status
        assert 1 == await client.metric("scg_breaker_state", upstream="u0")
        upstream.answers = ["ok"]
        assert 200 == (await client.chat()).status
        assert 0 == await client.metric("scg_breaker_state", upstream="u0")


async def test_clients_errors_open_no_breaker() -> None:
    """A 4xx is an answer: whoever sends bad requests takes nobody's upstream away."""
    async with (
        open_upstream(400) as upstream,
        open_gateway(upstream, default_policy=SINGLE, breaker=FOR_EVER) as client,
    ):
        for _ in range(10):
            assert 400 == (await client.chat()).status
        assert 0 == await client.metric("scg_breaker_state", upstream="u0")


# What passes through.


async def through(client: Client, method: str = "POST") -> tuple[int, bytes]:
    """What a path that nobody votes on answers."""
    async with client.session.request(method, client.url + "/v1/files", data=b"a") as response:
        return response.status, await response.read()


def files(answer: bytes) -> Play:
    """It lists no models, and answers for its files with this; with nothing, it closes instead."""

    async def play(connection: Connection) -> None:
        while request := await connection.request():
            if b" /v1/files " not in request:
                await connection.send(response(b'{"data":[]}'))
            elif answer:
                await connection.send(answer)
            else:
                return

    return play


OK = response(b"ok")


@pytest.mark.parametrize(
    ("answer", "method", "expected"),
    [
        (response(b"no", b"Retry-After: 1000", status=b"429 Slow down"), "POST", (200, b"ok")),
        (response(b"no", status=b"429 Slow down"), "POST", (200, b"ok")),
        (response(b"no", b"Retry-After: 1000", status=b"503 Busy"), "POST", (200, b"ok")),
        (response(b"no", status=b"503 Gone half-way"), "POST", (503, b"no")),
        (response(b"no", status=b"503 Gone half-way"), "GET", (200, b"ok")),
        (response(b"no", status=b"500 Oops"), "GET", (500, b"no")),
        (b"", "GET", (200, b"ok")),
        (b"", "POST", (502, None)),
    ],
)
async def test_what_passes_through_is_repeated_where_that_is_safe(
    answer: bytes, method: str, expected: tuple[int, bytes | None]
) -> None:
    """Certainly not begun, or without effects by its method: another upstream. All else is the client's to decide."""
    async with open_raw(files(answer)) as bad, open_raw(files(OK)) as good:
        # So much heavier that the failing one has the first turn.
        named = (
            UpstreamSettings(url=bad.url, name="u0", weight=1e12),
            UpstreamSettings(url=good.url, name="u1", weight=1e-12),
        )
        async with open_gateway_for(Settings(upstreams=named)) as client:
            status, body = await through(client, method)
            assert (expected[0], expected[1] or body) == (status, body)


async def test_a_dead_upstream_is_skipped_by_what_passes_through() -> None:
    """Nothing was sent, so any method goes to another one."""
    async with open_raw(keeping(response(b'{"data":[]}'))) as good:
        dead = f"http://127.0.0.1:{free_port()}"
        named = (UpstreamSettings(url=dead, name="u0"), UpstreamSettings(url=good.url, name="u1"))
        async with open_gateway_for(Settings(upstreams=named)) as client:
            client.inside.pool.upstreams[0].mark(up=True)
            for _ in range(5):
                assert 200 == (await through(client))[0]


# Hedging.


@asynccontextmanager
async def slow_first(hedge: float | None, **more: Any) -> AsyncIterator[tuple[Client, Upstream, Upstream]]:
    """A slow upstream that has the first turn, and a quick one."""
    async with open_upstream("slow") as slow, open_upstream("quick") as quick:
        slow.gates = {0: asyncio.Event()}
        named = (
            UpstreamSettings(url=slow.url, name="u0", weight=1e12),
            UpstreamSettings(url=quick.url, name="u1", weight=1e-12),
        )
        retries = RetrySettings(hedge=hedge, **more)
        async with open_gateway(upstreams=named, default_policy=SINGLE, retries=retries) as client:
            yield client, slow, quick


@pytest.mark.parametrize("stream", [False, True])
async def test_a_hedge_wins(stream: bool) -> None:  # noqa: FBT001
    """A sample without a first byte is asked of another upstream, whose answer it is; the slow one is cut off."""
    async with slow_first(0.05) as (client, slow, quick):
        got = await client.chat(stream=stream)
        assert (200, 1, 1) == (got.status, len(slow.seen), len(quick.seen))
        await slow.seen[0].closed.wait()
        assert 1 == await client.metric("scg_hedges_total", result="won")
        assert 0 == await client.metric("scg_samples_total", model="m", policy="single", fate="abstained")


async def test_a_hedge_loses() -> None:
    """A slow upstream that answers before the second one is the sample after all."""
    async with slow_first(0.05) as (client, slow, quick):
        quick.gates = {0: asyncio.Event()}
        asking = asyncio.create_task(client.chat())
        await quick.asked(1)
        slow.gates[0].set()
        assert "slow" == (await asking).content
        await quick.seen[0].closed.wait()
        assert 1 == await client.metric("scg_hedges_total", result="lost")


@pytest.mark.parametrize("more", [{"hedge": None}, {"hedge": 0.01, "limit": 0}])
async def test_no_hedge_unless_it_is_wanted_and_allowed(more: dict[str, Any]) -> None:
    """Hedging is off by default, and spends the same allowance as retries."""
    async with slow_first(**more) as (client, slow, quick):
        asking = asyncio.create_task(client.chat())
        await slow.asked(1)
        await client.chat(seed=1)  # another question, answered meanwhile by whoever is free
        asked = len(quick.seen)
        slow.gates[0].set()
        assert ("slow", asked) == ((await asking).content, len(quick.seen))
        assert 0 == await client.metric("scg_hedges_total", result="won")
