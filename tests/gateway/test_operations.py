"""Probes, metrics, models, admin endpoints and what passes through."""

import asyncio
import json

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.core.policy import PRESETS
from gateway.settings.model import Settings, UpstreamSettings
from tests.doubles.gateway import open_gateway, open_gateway_for
from tests.doubles.upstream import Reply, open_upstream
from tests.doubles.waiting import until

CONTRACT = """
scg_requests scg_request_seconds scg_overhead_seconds scg_first_chunk_seconds scg_rounds scg_round_agreement
scg_round_distinct_answers scg_round_distinct_texts scg_divergence_characters scg_margin scg_samples
scg_samples_saved scg_completion_tokens scg_pairs scg_cache_requests scg_pins scg_upstream_seconds
scg_upstream_requests scg_upstream_up scg_upstream_in_flight scg_upstream_queue scg_breaker_state
scg_in_flight_requests scg_build_info
"""


async def test_every_metric_is_there_from_the_start() -> None:
    """Before the first request each name of the contract is exported, so that dashboards and alerts resolve."""
    async with open_upstream() as upstream, open_gateway(upstream) as client:
        families = text_string_to_metric_families((await client.get("/metrics")).text)
        assert [] == sorted(set(CONTRACT.split()) - {family.name for family in families})


async def test_requests_are_counted_by_what_they_were() -> None:
    """One vote, one hit and one refusal land under their own labels."""
    async with open_upstream("a") as upstream, open_gateway(upstream) as client:
        await client.chat()
        await client.chat()
        await client.chat(seed="x")
        labels = {"endpoint": "chat_completions", "model": "m", "policy": "majority"}
        assert 1 == await client.metric("scg_requests_total", **labels, source="vote", status="200")
        assert 1 == await client.metric("scg_requests_total", **labels, source="cache", status="200")
        refused = labels | {"model": "other", "policy": "none"}
        assert 1 == await client.metric("scg_requests_total", **refused, source="none", status="400")
        assert 6 == await client.metric("scg_completion_tokens_total", kind="spent")
        assert 6 == await client.metric("scg_completion_tokens_total", kind="returned")


async def test_unknown_models_share_a_label() -> None:
    """Names that no upstream serves become `other`, so that clients cannot grow the metrics without bound."""
    async with open_upstream("a") as upstream, open_gateway(upstream) as client:
        for number in range(5):
            await client.chat(model=f"made-up-{number}")
        assert 5 == await client.metric(
            "scg_rounds_total", model="other", policy="majority", outcome="unanimous"
        )


async def test_a_pattern_does_not_make_a_model_known() -> None:
    """A made-up name that a configured pattern matches is `other` too, and cannot break the metrics."""
    async with open_upstream("a") as upstream:
        named = UpstreamSettings(url=upstream.url, models=("m*",))
        async with open_gateway_for(Settings(upstreams=(named,))) as client:
            await client.post("/v1/chat/completions", b'{"model":"m\\ud800","messages":[]}')
            assert 1 == await client.metric(
                "scg_rounds_total", model="other", policy="majority", outcome="unanimous"
            )


async def test_an_upstream_that_lists_no_models_is_told_of() -> None:
    """Nothing can be pinned for an upstream whose models nobody may see: readiness says so, and what to do."""
    async with open_upstream("a") as upstream:
        upstream.models = Reply(401)
        async with open_gateway(upstream) as client:
            assert "set its api_key or revision" in (await client.get("/readyz")).json["reasons"][0]


async def test_health_and_readiness() -> None:
    """Both answer 200 once the first look has ended."""
    async with open_upstream() as upstream, open_gateway(upstream) as client:
        assert (200, {"status": "ok"}) == ((got := await client.get("/healthz")).status, got.json)
        assert (200, {"status": "ok", "reasons": []}) == (
            (got := await client.get("/readyz")).status,
            got.json,
        )


async def test_draining_refuses_new_requests() -> None:
    """While shutting down: readiness 503, new requests 503 with retry-after, health still 200."""
    async with open_upstream() as upstream, open_gateway(upstream) as client:
        client.inside.traffic.is_leaving = client.inside.traffic.is_draining = True
        got = await client.chat()
        assert (503, "1", "draining") == (got.status, got.headers["retry-after"], got.json["error"]["code"])
        assert (503, 200) == ((await client.get("/readyz")).status, (await client.get("/healthz")).status)


async def test_models_of_one_upstream_are_its_own_answer() -> None:
    """GET /v1/models in front of one upstream: byte for byte what it says."""
    async with open_upstream() as upstream, open_gateway(upstream) as client:
        assert upstream.models.body == (await client.get("/v1/models")).body


async def test_models_of_several_upstreams_are_listed_once() -> None:
    """GET /v1/models in front of several: each model once, and the dead one is skipped."""
    listed = [
        json.dumps({"data": [{"id": name} for name in names]}).encode() for names in (("a", "b"), ("b", "c"))
    ]
    async with open_upstream() as dead:
        pass
    async with open_upstream() as one, open_upstream() as two:
        one.models, two.models = Reply(body=listed[0]), Reply(body=listed[1])
        async with open_gateway(one, dead, two) as client:
            got = (await client.get("/v1/models")).json
            assert ("list", ["a", "b", "c"]) == (got["object"], [model["id"] for model in got["data"]])


@pytest.mark.parametrize(
    ("refusals", "status", "message"),
    [
        ((Reply(429, b'{"error":{"message":"wait"}}', {"retry-after": "7"}), Reply(401)), 429, "wait"),
        ((Reply(404, b'{"detail":"Not Found"}'), Reply(404)), 404, "Not Found"),
        ((Reply(302, b"", {"location": "/x"}), Reply(401, b"<html>")), 401, "u1 answered 401: <html>"),
    ],
)
async def test_models_that_nobody_lists(refusals: tuple[Reply, Reply], status: int, message: str) -> None:
    """GET /v1/models in front of several that refuse: the first refusal, in OpenAI's shape, not an empty list."""
    async with open_upstream() as one, open_upstream() as two:
        one.models, two.models = refusals
        async with open_gateway(one, two) as client:
            got = await client.get("/v1/models")
            assert (status, message) == (got.status, got.json["error"]["message"])
            assert ("7" if status == 429 else None) == got.headers.get("retry-after")


async def test_models_that_one_of_several_lists() -> None:
    """A refusal beside a list is passed over, even if nothing is in the list."""
    async with open_upstream() as one, open_upstream() as two:
        one.models, two.models = Reply(401), Reply(body=b'{"data":[]}')
        async with open_gateway(one, two) as client:
            assert (200, []) == ((got := await client.get("/v1/models")).status, got.json["data"])


async def test_whatever_the_gateway_answers_itself_has_the_requests_id() -> None:
    """Models of several upstreams, the summary, a pin looked at and deleted, health: the id is given back."""
    async with open_upstream() as one, open_upstream() as two, open_gateway(one, two) as client:
        pin = f"/v1/consistency/cache/{(await client.chat()).headers['x-consistency-key']}"
        given = {"x-request-id": "mine"}
        for path in ("/v1/models", "/v1/consistency/summary", pin, "/healthz", "/readyz"):
            got = await client.get(path, given)
            assert (200, "mine") == (got.status, got.headers["x-request-id"])
            assert ("passthrough" if path == "/v1/models" else None) == got.headers.get(
                "x-consistency-source"
            )
        async with client.session.delete(client.url + pin, headers=given) as response:
            assert (200, "mine") == (response.status, response.headers["x-request-id"])


async def test_models_while_everybody_is_down() -> None:
    """GET /v1/models in front of several upstreams that are all gone: a 502, not an empty list."""
    async with open_upstream() as one, open_upstream() as two:
        pass
    async with open_gateway(one, two) as client:
        got = await client.get("/v1/models")
        assert (502, "upstream_unreachable") == (got.status, got.json["error"]["code"])


async def test_an_upstream_that_takes_one_at_a_time() -> None:
    """`max_in_flight: 1` holds for samples and for what passes through alike."""
    async with open_upstream("a") as upstream:
        one = UpstreamSettings(url=upstream.url, max_in_flight=1)
        async with open_gateway_for(Settings(upstreams=(one,))) as client:
            upstream.gates = {0: asyncio.Event()}
            first = asyncio.create_task(client.chat(n=2))
            await upstream.asked(1)
            second = asyncio.create_task(client.chat(n=2, seed=2))
            third = asyncio.create_task(client.chat())
            await until(lambda: client.inside.in_flight == 3)
            assert 1 == await client.metric("scg_upstream_in_flight", upstream="upstream-1")
            upstream.gates[0].set()
            assert [200] * 3 == [each.status for each in await asyncio.gather(first, second, third)]


async def test_a_model_goes_to_the_upstream_that_serves_it() -> None:
    """With two upstreams a request goes only to those that list its model."""
    async with open_upstream("a") as one, open_upstream("a") as two:
        two.models = Reply(body=b'{"data":[{"id":"other"}]}')
        async with open_gateway(one, two) as client:
            await client.chat()
            assert (2, 0) == (len(one.seen), len(two.seen))


async def test_other_paths_pass_through() -> None:
    """Embeddings, a GET with a query, tokenize: method, path, query and body arrive as sent."""
    async with open_upstream() as upstream, open_gateway(upstream) as client:
        got = await client.post("/v1/embeddings", {"input": "a"})
        assert ("passthrough",) == got.about("source")
        assert {"path": "/v1/embeddings", "method": "POST", "body": '{"input": "a"}'} == got.json
        assert (
            "/v1/files?limit=3&after=a%2Fb"
            == (await client.get("/v1/files?limit=3&after=a%2Fb")).json["path"]
        )
        assert "/tokenize" == (await client.post("/tokenize", {"prompt": "a"})).json["path"]


async def test_paths_do_not_climb() -> None:
    """A path with dot segments is refused, encoded or not."""
    async with open_upstream() as upstream, open_gateway(upstream) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(client.url.rpartition(":")[2]))
        writer.write(b"GET /v1/%2e%2e/metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 404"))
        assert [] == upstream.seen


async def test_lora_loading_is_for_this_machine_only() -> None:
    """What changes the server passes from loopback, and not for somebody behind a proxy."""
    async with open_upstream() as upstream, open_gateway(upstream) as client:
        assert 200 == (await client.post("/v1/load_lora_adapter", {})).status
        got = await client.post("/v1/load_lora_adapter", {}, {"x-forwarded-for": "203.0.113.9"})
        assert (403, "forbidden") == (got.status, got.json["error"]["code"])


@pytest.mark.parametrize(
    "headers",
    [{"forwarded": "for=203.0.113.9"}, {"origin": "https://evil.example"}, {"host": "evil.example"}],
)
async def test_admin_endpoints_are_for_this_machine_only(headers: dict[str, str]) -> None:
    """A proxy, another site's page or a rebound name is refused."""
    async with open_upstream() as upstream, open_gateway(upstream) as client:
        assert 403 == (await client.get("/v1/consistency/summary", headers)).status


async def test_a_pin_can_be_looked_at_and_deleted() -> None:
    """GET shows the pinned body and figures, DELETE makes the next request vote again, then both are a 404."""
    async with open_upstream("41", "42", "42") as upstream, open_gateway(upstream) as client:
        path = f"/v1/consistency/cache/{(await client.chat()).headers['x-consistency-key']}"
        pin = (await client.get(path)).json
        assert ("majority", 3, "memory", "42") == (
            pin["outcome"],
            pin["samples"],
            pin["where"],
            json.loads(pin["body"])["choices"][0]["message"]["content"],
        )
        async with client.session.delete(client.url + path) as response:
            assert 200 == response.status
        assert 404 == (await client.get(path)).status
        assert ("vote",) == (await client.chat()).about("source")


async def test_the_summary_has_the_rate() -> None:
    """The summary says how many pairs were the same, by model, policy and spread, and how sure that is."""
    async with open_upstream("41", "42", "42", "42", "42") as upstream, open_gateway(upstream) as client:
        await client.chat(seed=1)
        await client.chat(seed=2)
        expected = {
            "model": "m",
            "policy": "majority",
            "spread": "together",
            "same": 1,
            "different": 1,
            "questions": 2,
            "rate": 0.5,
            "interval": [0.0945, 0.9055],
        }
        assert [expected] == (await client.get("/v1/consistency/summary")).json["consistency"]


async def test_the_fields_that_disagree(caplog: pytest.LogCaptureFixture) -> None:
    """Of JSON answers summary and log say how far samples agree on each field; the summary has the worst first."""
    caplog.set_level("INFO", "gateway")
    answers = '{"label": "a", "score": 1}', '{"label": "a", "score": 2}', '{"label": "a", "score": 1}'
    policy = PRESETS["majority"].override({"answer": "json"})
    async with open_upstream(*answers) as upstream, open_gateway(upstream, default_policy=policy) as client:
        await client.chat()
        (found,) = (await client.get("/v1/consistency/summary")).json["fields"]
        assert [("/score", 0.6667), ("/label", 1.0)] == [*found["fields"].items()]
    (logged,) = (vars(each)["said"] for each in caplog.records if each.message == "round")
    assert ("majority", {"/label", "/score"}) == (logged["policy"], logged["fields"].keys())
