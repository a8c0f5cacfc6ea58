"""Requests and tokens a minute: what is counted, what is told, who is refused."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.settings.model import CacheSettings, UpstreamSettings
from gateway.store.memory import MemoryStore
from gateway.store.rates import Rates
from tests.doubles.gateway import HELLO, Client, Got, open_gateway
from tests.doubles.redis_server import RedisServer
from tests.doubles.upstream import MODELS, Answer, Reply, Upstream, open_upstream, plain
from tests.doubles.waiting import until, until_async
from tests.gateway.tenants import A, B, bearer, key
from tests.upstream.raw_server import Connection, open_raw, response

LIMIT, REMAINING, RESET = "x-ratelimit-limit-", "x-ratelimit-remaining-", "x-ratelimit-reset-"
SAMPLE = 8  # tokens of one, prompt and completion, as the upstream tells them


@asynccontextmanager
async def limited(
    *answers: Answer, rpm: int | None = None, tpm: int | None = None, **settings: Any
) -> AsyncIterator[tuple[Upstream, Client]]:
    """A gateway where tenant a has these limits and b has none."""
    keys = (key("a", A, rpm=rpm, tpm=tpm), key("b", B))
    async with (
        open_upstream(*(answers or ("x",))) as upstream,
        open_gateway(upstream, keys=keys, **settings) as client,
    ):
        if isinstance(store := client.inside.store, MemoryStore):
            store._rates = Rates(lambda: 0.0)  # nothing is filled up meanwhile
        yield upstream, client


def told(got: Got, bucket: str) -> tuple[str, str]:
    return got.headers[LIMIT + bucket], got.headers[REMAINING + bucket]


async def remaining(client: Client) -> int:
    """Tokens that a has left, looked at without drawing any."""
    got = await client.get("/v1/models", bearer(A))
    return int(got.headers[f"{REMAINING}tokens"])


async def settled(client: Client, tokens: int) -> None:
    """Wait until a has at least so many tokens left: what was reserved is given back behind the answer."""

    async def has() -> bool:
        return await remaining(client) >= tokens

    await until_async(has)


async def test_requests_of_a_minute() -> None:
    """Votes, hits and what passes through count alike; the next one is a 429 that says when to come back."""
    async with limited(rpm=4) as (upstream, client):
        answers = [await client.chat(bearer(A)) for _ in range(2)]
        answers += [await client.chat(bearer(A), n=2), await client.get("/v1/models", bearer(A))]
        assert ["vote", "cache", "passthrough", "passthrough"] == [
            got.headers["x-consistency-source"] for got in answers
        ]
        assert [("4", "3"), ("4", "2"), ("4", "1"), ("4", "0")] == [told(got, "requests") for got in answers]
        asked = len(upstream.seen)
        for got in (await client.chat(bearer(A)), await client.chat(bearer(A), seed=1)):
            assert (429, "rate_limit_error", "rate_limit_exceeded") == (
                got.status, got.json["error"]["type"], got.json["error"]["code"],
            )  # fmt: skip
            assert "a has used its 4 requests per minute" in got.json["error"]["message"]
            assert 1 <= int(got.headers["retry-after"]) <= 15
            assert 1 <= int(got.headers["retry-after-ms"]) <= 15_000
            assert (("4", "0"), True) == (
                told(got, "requests"),
                got.headers[f"{RESET}requests"].endswith("s"),
            )
        assert asked == len(upstream.seen)
        assert 2 == await client.metric("scg_tenant_limited_total", tenant="a", limit="requests")
        assert 2 == await client.metric("scg_tenant_requests_total", tenant="a", status="429")


async def test_another_tenant_has_its_own_limit() -> None:
    """Whoever has none is told of none."""
    async with limited(rpm=1) as (_, client):
        assert [200, 429] == [(await client.chat(bearer(A))).status for _ in range(2)]
        got = await client.chat(bearer(B))
        assert (200, []) == (got.status, [name for name in got.headers if "ratelimit" in name.lower()])


async def test_anthropics_clients_are_told_in_their_form() -> None:
    """A 429 on /v1/messages is a rate_limit_error of Anthropic's."""
    async with limited(rpm=1) as (_, client):
        body = {"model": "m", "max_tokens": 5, "messages": HELLO["messages"]}
        assert 200 == (await client.post("/v1/messages", body, {"x-api-key": A})).status
        got = await client.post("/v1/messages", body, {"x-api-key": A})
        assert (429, "error", "rate_limit_error") == (got.status, got.json["type"], got.json["error"]["type"])


@pytest.mark.parametrize("streamed", [False, True])
async def test_tokens_are_those_that_were_spent(*, streamed: bool) -> None:
    """A vote costs prompt and completion of its samples, a hit nothing; what was reserved is given back."""
    usual = {"stream": True, "stream_options": {"include_usage": True}} if streamed else {}
    async with limited(tpm=100_000) as (_, client):
        got = await client.chat(bearer(A), **usual)
        assert "100000" == got.headers[f"{LIMIT}tokens"]
        assert 99_000 < int(got.headers[f"{REMAINING}tokens"]) < 100_000 - 2 * SAMPLE  # the reservation
        for spent, returned in ((2 * SAMPLE, 6), (2 * SAMPLE, 9)):
            assert 200 == (await client.chat(bearer(A), **usual)).status
            assert spent == await client.metric("scg_tenant_tokens_total", tenant="a", kind="spent")
            assert returned == await client.metric("scg_tenant_tokens_total", tenant="a", kind="returned")
        await settled(client, 100_000 - 2 * SAMPLE)


async def test_tokens_of_a_minute() -> None:
    """Without tokens there is no vote, and what is pinned is given out all the same."""
    async with limited(tpm=40) as (upstream, client):
        assert 200 == (await client.chat(bearer(A))).status
        await settled(client, 40 - 2 * SAMPLE)
        asked = len(upstream.seen)
        for members in ({"seed": 1}, {"n": 2}):
            got = await client.chat(bearer(A), **members)
            assert (429, "rate_limit_exceeded") == (got.status, got.json["error"]["code"])
            assert "a has used its 40 tokens per minute" in got.json["error"]["message"]
            assert 1 <= int(got.headers["retry-after"]) <= 60
        assert asked == len(upstream.seen)
        assert ("cache",) == (await client.chat(bearer(A))).about("source")
        assert 2 == await client.metric("scg_tenant_limited_total", tenant="a", limit="tokens")


async def test_who_joins_a_vote_pays_none() -> None:
    """Two identical requests at once are two requests, and the tokens of one vote."""
    async with limited(rpm=10, tpm=100_000) as (upstream, client):
        upstream.gates = {0: asyncio.Event()}
        both = [asyncio.create_task(client.chat(bearer(A))) for _ in range(2)]
        await until(lambda: client.inside.in_flight == 2)
        await upstream.asked(2)
        upstream.gates[0].set()
        assert ["joined", "vote"] == sorted(
            got.headers["x-consistency-source"] for got in await asyncio.gather(*both)
        )
        await settled(client, 100_000 - 2 * SAMPLE)
        assert 2 * SAMPLE == await client.metric("scg_tenant_tokens_total", tenant="a", kind="spent")


async def test_a_client_that_leaves_pays_what_was_spent() -> None:
    """Its reservation is given back; the prompts that were read, about so many tokens, are not."""
    async with limited(tpm=100_000) as (upstream, client):
        upstream.gates = {0: asyncio.Event(), 1: asyncio.Event()}
        leaving = asyncio.create_task(client.chat(bearer(A)))
        await upstream.asked(2)
        leaving.cancel()
        await until(lambda: client.inside.in_flight == 0)
        await settled(client, 100_000 - 100)
        spent = await client.metric("scg_tenant_tokens_total", tenant="a", kind="spent")
        assert 10 < spent < 100


async def test_what_passes_through_costs_what_its_answer_says() -> None:
    """Its usage where it tells one, else about what its body is."""
    usage = Reply(body=b'{"usage": {"prompt_tokens": 70, "total_tokens": 90}}')
    async with limited(usage, tpm=100_000) as (_, client):
        assert 200 == (await client.chat(bearer(A), n=2)).status
        assert 90 == await client.metric("scg_tenant_tokens_total", tenant="a", kind="spent")
        assert 200 == (await client.post("/v1/embeddings", {"input": "x" * 400}, bearer(A))).status
        assert 190 <= await client.metric("scg_tenant_tokens_total", tenant="a", kind="spent") <= 210


@pytest.mark.parametrize(("theirs", "expected"), [("5", ("50", "5", "3s")), ("500", ("10", "9", None))])
@pytest.mark.parametrize("n", [1, 2])
async def test_the_tighter_limit_is_told(theirs: str, expected: tuple[str, str, str | None], n: int) -> None:
    """Of each kind the upstream's fields or ours, whichever leaves less, all three from the same; others pass."""
    fields = {"content-type": "application/json", "x-ratelimit-other": "1", f"{LIMIT}requests": "50",
              f"{REMAINING}requests": theirs, f"{RESET}requests": "3s", f"{REMAINING}tokens": "77"}  # fmt: skip
    async with limited(Reply(200, plain("x", 0), fields), rpm=10) as (_, client):
        got = await client.chat(bearer(A), n=n)
        assert (expected[0], expected[1]) == told(got, "requests")
        assert expected[2] in {None, got.headers[f"{RESET}requests"]}
        assert ("1", "77") == (got.headers["x-ratelimit-other"], got.headers[f"{REMAINING}tokens"])
        assert 1 == len(got.headers.getall(f"{LIMIT}requests"))


async def test_an_upstreams_odd_field_stays_one() -> None:
    """What ends a line for Unicode ends none in a header: no field of an upstream's is cut, or taken for another."""
    odd = f"a\u2028{REMAINING}requests: 0"
    fields = {"content-type": "application/json", "x-odd": odd, "x-after": "b"}
    async with limited(Reply(200, plain("x", 0), fields), rpm=10) as (_, client):
        got = await client.chat(bearer(A), n=2)
        assert (odd, "b", ("10", "9")) == (
            got.headers["x-odd"],
            got.headers["x-after"],
            told(got, "requests"),
        )


async def test_streams_tell_in_their_head() -> None:
    """Voted on or passed through, limits stand in the header once."""
    async with limited(rpm=10) as (_, client):
        for members in ({}, {"n": 2}):
            got = await client.chat(bearer(A), stream=True, **members)
            assert ("text/event-stream", ["10"]) == (
                got.headers["content-type"].partition(";")[0],
                got.headers.getall(f"{LIMIT}requests"),
            )


async def test_upstreams_do_not_hear_of_what_is_refused() -> None:
    """The list of models is asked of no upstream once the tenant has no request left."""

    async def lists_models(connection: Connection) -> None:
        while await connection.request():
            await connection.send(response(json.dumps(MODELS).encode(), b"Content-Type: application/json"))

    async with open_raw(lists_models) as raw:
        named = tuple(UpstreamSettings(name=name, url=raw.url) for name in ("one", "two"))
        async with open_gateway(upstreams=named, keys=(key("a", A, rpm=1),)) as client:
            ids = [{"x-request-id": name} for name in ("first", "second")]
            assert [200, 429] == [(await client.get("/v1/models", bearer(A) | each)).status for each in ids]
            asked = b"".join(each for connection in raw.connections for each in connection.requests)
            assert (2, 0) == (asked.count(b"x-request-id: first"), asked.count(b"x-request-id: second"))


@pytest.mark.processes
async def test_gateways_share_a_limit_through_redis(redis_server: RedisServer) -> None:
    """Two a minute are two, whichever gateway is asked; a new one begins where the others stand."""
    cache = CacheSettings(url=redis_server.url, timeout=30)
    keys = (key("a", A, rpm=2, tpm=100_000),)
    async with (
        open_upstream("x") as upstream,
        open_gateway(upstream, keys=keys, cache=cache) as one,
        open_gateway(upstream, keys=keys, cache=cache) as other,
    ):
        statuses = [(await each.chat(bearer(A))).status for each in (one, other, one, other)]
        assert [200, 200, 429, 429] == statuses
        async with open_gateway(upstream, keys=keys, cache=cache) as late:
            assert 429 == (await late.chat(bearer(A))).status


@pytest.mark.processes
async def test_gateways_share_the_tokens_of_a_minute_through_redis(redis_server: RedisServer) -> None:
    """What a vote through one gateway has cost is gone from the bucket of the other, which refuses the next one."""
    cache = CacheSettings(url=redis_server.url, timeout=30)
    keys, dear = (key("a", A, tpm=10_000),), plain("x", 0).replace(b'ion_tokens": 3', b'ion_tokens": 50000')
    async with (
        open_upstream(Reply(body=dear)) as upstream,
        open_gateway(upstream, keys=keys, cache=cache) as one,
        open_gateway(upstream, keys=keys, cache=cache) as other,
    ):
        assert 200 == (await one.chat(bearer(A))).status

        async def is_spent() -> bool:
            return await remaining(other) == 0

        await until_async(is_spent)  # it is drawn behind the answer
        refused = await other.chat(bearer(A), seed=1)
        assert (429, "rate_limit_exceeded") == (refused.status, refused.json["error"]["code"])
        assert ("10000", "0") == told(refused, "tokens")
        assert 1 == await other.metric("scg_tenant_limited_total", tenant="a", limit="tokens")
        assert 2 == len(upstream.seen)


@pytest.mark.processes
async def test_limits_hold_without_redis(redis_server: RedisServer) -> None:
    """Redis dies: the gateway goes on answering, and goes on counting from where it stood."""
    cache = CacheSettings(url=redis_server.url, timeout=30)
    async with limited(rpm=2, cache=cache) as (_, client):
        assert 200 == (await client.chat(bearer(A))).status
        redis_server.kill()
        assert [200, 429, 429] == [(await client.chat(bearer(A))).status for _ in range(3)]
        assert 200 == (await client.chat(bearer(B))).status
