"""API keys: who may ask, what for, and what goes upstream."""

import pytest
from yarl import URL

from gateway.serving.keyring import digest_of
from gateway.settings.model import UpstreamSettings
from tests.doubles.gateway import HELLO, open_gateway
from tests.doubles.upstream import open_upstream
from tests.gateway.tenants import ADMIN, KEYS, A, B, bearer, key, keyed


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, "no API key"),
        (bearer(""), "no API key"),
        ({"x-api-key": ""}, "no API key"),
        ({"authorization": f"Basic {A}"}, "no API key"),
        (bearer(A[:-1]), "not known"),
        (bearer(A + "x"), "not known"),
        (bearer(A.upper()), "not known"),
        (bearer(digest_of(A)), "not known"),
        (bearer("\u00e9"), "not known"),
        ({"x-api-key": "none"}, "not known"),
    ],
)
async def test_without_a_key_that_is_known(headers: dict[str, str], said: str) -> None:
    """A 401 with OpenAI's code and a challenge, which does not repeat the key; nothing is asked upstream."""
    async with keyed() as (upstream, client):
        for path in ("/v1/chat/completions", "/v1/embeddings", "/tokenize", "/v1/made-up"):
            got = await client.post(path, HELLO, headers)
            error = got.json["error"]
            assert (401, "invalid_api_key", "Bearer") == (
                got.status,
                error["code"],
                got.headers["www-authenticate"],
            )
            assert said in error["message"]
            assert A not in got.text
        assert 401 == (await client.get("/v1/models", headers)).status
        assert [] == upstream.seen


async def test_anthropics_clients() -> None:
    """They send x-api-key, and are refused in their own form."""
    async with keyed("hi") as (_, client):
        body = {"model": "m", "max_tokens": 5, "messages": HELLO["messages"]}
        refused = await client.post("/v1/messages", body, {"x-api-key": "wrong"})
        assert (401, "error", "authentication_error") == (
            refused.status,
            refused.json["type"],
            refused.json["error"]["type"],
        )
        assert 200 == (await client.post("/v1/messages", body, {"x-api-key": A})).status


async def test_probes_and_metrics_need_no_key() -> None:
    """Health, readiness and metrics answer anybody."""
    async with keyed() as (_, client):
        for path in ("/healthz", "/readyz", "/metrics"):
            assert 200 == (await client.get(path)).status


async def test_a_key_never_goes_upstream() -> None:
    """Neither with a vote nor with what passes through, however it was sent; other fields do."""
    async with keyed("x") as (upstream, client):
        for headers in (bearer(A), {"x-api-key": A}, bearer(A) | {"x-api-key": "another"}):
            assert 200 == (await client.chat(headers | {"openai-project": "p"}, seed=len(headers))).status
            assert 200 == (await client.chat(headers | {"openai-project": "p"}, n=2)).status
        assert 200 == (await client.get("/v1/models", bearer(A))).status
        names = {name for seen in upstream.seen for name in seen.names}
        assert names.isdisjoint({"authorization", "x-api-key"})
        assert "openai-project" in names


async def test_the_upstreams_own_key_is_sent() -> None:
    """What the upstream is configured with takes the place of the client's."""
    async with open_upstream("x") as upstream:
        named = UpstreamSettings(url=upstream.url, api_key="theirs")
        async with open_gateway(upstreams=(named,), keys=KEYS) as client:
            assert 200 == (await client.chat(bearer(A))).status
            assert {"Bearer theirs"} == {seen.headers["authorization"] for seen in upstream.seen}


async def test_without_keys_the_clients_own_goes_upstream() -> None:
    """Where no keys are configured, the upstream decides who may."""
    async with open_upstream("x") as upstream, open_gateway(upstream) as client:
        await client.chat(bearer("anything"))
        assert "Bearer anything" == upstream.seen[0].headers["authorization"]


async def test_tenants_share_no_pins() -> None:
    """Two tenants have a key each to the same question; two keys of one tenant, or two ways to send it, have one."""
    keys = (*KEYS, key("a", "the next key of team a"))
    async with keyed("x", keys=keys) as (_, client):
        first = await client.chat(bearer(A))
        other = await client.chat(bearer(B))
        assert ("vote", "vote") == (*first.about("source"), *other.about("source"))
        assert first.about("key") != other.about("key")
        for same in (bearer("the next key of team a"), {"x-api-key": A}):
            assert ("cache", *first.about("key")) == (await client.chat(same)).about("source", "key")


async def test_who_may_replace_a_pin() -> None:
    """`no-cache` votes again for a key with `replace: true`; for others the pin stands, and is what they get."""
    again = {"cache-control": "no-cache"}
    async with keyed("41", "41", "42", "42", "43", "43") as (_, client):
        for headers, expected in (
            (bearer(A), ("41", "vote")),
            (bearer(A) | again, ("41", "cache")),
            (bearer(ADMIN), ("42", "vote")),
            (bearer(ADMIN) | again, ("43", "vote")),
            (bearer(ADMIN), ("43", "cache")),
        ):
            got = await client.chat(headers)
            assert expected == (got.content, *got.about("source"))


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_admin_endpoints_take_an_admin_key(method: str) -> None:
    """Where there are keys it is the key that counts, not where the request comes from."""
    async with keyed("x") as (_, client):
        pinned = (await client.chat(bearer(A))).headers["x-consistency-key"]
        url = f"{client.url}/v1/consistency/cache/{pinned}"
        for headers, status in (
            ({}, 401),
            (bearer(A), 403),
            (bearer(ADMIN) | {"x-forwarded-for": "203.0.113.9"}, 200),
        ):
            async with client.session.request(method, url, headers=headers) as response:
                assert status == response.status
        assert 403 == (await client.get("/v1/consistency/summary", bearer(A))).status
        assert 200 == (await client.get("/v1/consistency/summary", bearer(ADMIN))).status


@pytest.mark.parametrize(
    "path",
    [
        "/v1/load_lora_adapter",
        "/v1/unload_lora_adapter",
        "/v1/load_lora_adapter/",
        "/v1//load_lora_adapter",
        "/v1/%6coad_lora_adapter",
        "/v1/load_lora_adapter;a=b",
        "/v1/Load_Lora_Adapter",
        "/v1/load_lora_adapter/x",
    ],
)
async def test_what_changes_a_server_takes_an_admin_key(path: str) -> None:
    """However the path is spelt."""
    async with keyed() as (_, client):

        async def status(secret: str) -> int:
            async with client.session.post(
                URL(client.url + path, encoded=True), json={}, headers=bearer(secret)
            ) as got:
                return got.status

        assert (403, 200) == (await status(A), await status(ADMIN))


async def test_tenants_are_counted() -> None:
    """Requests by tenant and status: the configured names, and one word each for no key and for unknown ones."""
    async with keyed("x") as (_, client):
        assert 0 == await client.metric("scg_tenant_requests_total", tenant="a", status="200")
        await client.chat(bearer(A))
        await client.chat(bearer(A))
        await client.chat(bearer(B), seed="x")
        await client.chat()
        for number in range(3):
            await client.chat(bearer(f"made-up-{number}"))
        for tenant, status, count in (
            ("a", "200", 2), ("b", "400", 1), ("anonymous", "401", 1), ("other", "401", 3), ("ops", "200", 0),
        ):  # fmt: skip
            assert count == await client.metric("scg_tenant_requests_total", tenant=tenant, status=status)
        text = (await client.get("/metrics")).text
        assert "made-up" not in text
