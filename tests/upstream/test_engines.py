"""What each engine is sent, and how it is told from the others."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.settings.model import Timeouts
from gateway.upstream.client import Client
from gateway.upstream.engines import (
    CHAT,
    COMPLETIONS,
    DIALECTS,
    MESSAGES,
    RESPONSES,
    dialect,
    salt_of,
    sample_members,
)
from gateway.upstream.http_client import HttpClient
from gateway.upstream.looks import look
from gateway.wire.body import parse_body
from tests.doubles.upstream import Reply, open_upstream

RECORDED = Path(__file__).parents[1] / "wire" / "recorded"
PATHS = (CHAT, COMPLETIONS, RESPONSES, MESSAGES)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    made = HttpClient(Timeouts())
    yield made
    await made.aclose()


@pytest.mark.parametrize(
    ("engine", "taken"),
    [
        ("vllm", (True, True, True, False)),
        ("sglang", (True, True, False, False)),
        ("lmdeploy", (True, True, True, False)),
        ("openai", (True, True, False, False)),
        ("torch", (True, True, False, False)),
        ("auto", (True, True, False, False)),
    ],
)
def test_seeds(engine: str, taken: tuple[bool, ...]) -> None:
    """A seed goes only where endpoint and engine take one; nobody takes one on /v1/messages."""
    assert taken == tuple("seed" in sample_members(engine, path, seed=7) for path in PATHS)
    assert {"seed": "7"} == sample_members(engine, CHAT, seed=7)


@pytest.mark.parametrize(
    ("engine", "taken"),
    [
        ("vllm", (True, True, True, True)),
        ("sglang", (True, True, True, False)),
        ("lmdeploy", (False, False, False, False)),
        ("openai", (False, False, False, False)),
        ("torch", (False, False, False, False)),
    ],
)
def test_salts(engine: str, taken: tuple[bool, ...]) -> None:
    """A salt goes only to engines that keep their prefixes apart by one."""
    assert taken == tuple("cache_salt" in sample_members(engine, path, salt="scg-1") for path in PATHS)


@pytest.mark.parametrize(
    ("engine", "told"),
    [
        ("vllm", (True, True, True, False)),
        ("sglang", (True, True, True, False)),
        ("lmdeploy", (True, False, False, False)),
        ("openai", (True, True, False, False)),
        ("torch", (True, True, False, False)),
    ],
)
def test_logprobs(engine: str, told: tuple[bool, ...]) -> None:
    """Where an engine tells how likely its tokens were, and so may be asked for it."""
    assert told == tuple(path in dialect(engine).logprobs for path in PATHS)


@pytest.mark.parametrize("engine", DIALECTS)
def test_token_ids(engine: str) -> None:
    """All but OpenAI tell the tokens' ids of their first two endpoints to whoever asks; no sample asks by itself."""
    expected = (engine != "openai",) * 2 + (False,) * 2
    assert expected == tuple(path in dialect(engine).return_token_ids for path in PATHS)
    everything = [sample_members(engine, path, seed=1, salt="a", greedy=True) for path in PATHS]
    assert not any("return_token_ids" in members for members in everything)


@pytest.mark.parametrize("engine", DIALECTS)
def test_only_lmdeploy_has_to_be_told_twice_to_be_greedy(engine: str) -> None:
    """At temperature 0 LMDeploy is sent `top_k: 1` on every endpoint, in place of the client's own; nobody else is."""
    wanted = {"top_k": "1"} if engine == "lmdeploy" else {}
    assert [wanted] * 4 == [sample_members(engine, path, greedy=True) for path in PATHS]
    assert [{}] * 4 == [sample_members(engine, path) for path in PATHS]


def test_a_sample_spliced_into_a_body() -> None:
    """The members are texts for `Body.forwarded`, and take the place of the client's."""
    body = parse_body(b'{"temperature":0, "top_k": 40,"seed":1,"messages":[]}')
    added = sample_members("lmdeploy", CHAT, seed=5, salt="scg-1", greedy=True)
    assert b'{"temperature":0,"messages":[],"top_k":1,"seed":5}' == body.forwarded((), added)


@given(st.integers(1, 64), st.none() | st.text())
def test_salts_that_vllm_takes(index: int, own: str | None) -> None:
    """Each index has a salt of its own, the same every time, of at most 128 characters that vLLM and JSON take."""
    salt = salt_of(index, own)
    assert salt is not None
    assert salt == salt_of(index, own) != salt_of(index + 1, own)
    assert salt.isascii()
    assert salt.replace("-", "").isalnum()
    assert len(salt) <= 128


@given(st.text(), st.text())
def test_salts_keep_clients_apart(one: str, other: str) -> None:
    """Two clients share a salt only if they brought the same; sample 0 keeps what the client sent."""
    assert (one == other) == (salt_of(1, one) == salt_of(1, other))
    assert salt_of(1, one) != salt_of(1, None)
    assert salt_of(0, one) is None


# What servers answer: vLLM 0.32 recorded; the others from their sources.
SGLANG = {"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "sglang"}]}
LMDEPLOY = {"object": "list", "data": [{"id": "m", "object": "model", "owned_by": "lmdeploy"}]}
TORCH = {"object": "list", "data": [{"id": "m", "object": "model", "owned_by": "torch"}]}
OPENAI = {
    "object": "list",
    "data": [
        {"id": "gpt-4o", "object": "model", "created": 1, "owned_by": "system"},
        {"id": "ft:gpt-4o:acme", "object": "model", "created": 1, "owned_by": "acme"},
    ],
}
ROUTER = {"object": "list", "data": [{"id": "a", "owned_by": "vllm"}, {"id": "b", "owned_by": "sglang"}]}
ACME: dict[str, Any] = {"object": "list", "data": [{"id": "m", "object": "model", "owned_by": "acme"}]}
NUMBER = {"object": "list", "data": [{"id": "m", "owned_by": 5}]}
VLLM_ROUTES = (
    "/load", "/version", "/kv_event_sources", "/health", "/metrics", "/tokenize", "/detokenize", "/v1/models",
    "/v1/systemone", "/ping", "/invocations", "/v1/chat/completions", "/v1/chat/completions/batch",
    "/v1/responses", "/v1/responses/{response_id}", "/v1/responses/{response_id}/cancel", "/v1/completions",
    "/v1/messages", "/v1/messages/count_tokens", "/generative_scoring", "/scale_elastic_ep",
    "/is_scaling_elastic_ep",
)  # fmt: skip
SGLANG_ROUTES = ("/health", "/get_model_info", "/get_server_info", "/generate", "/flush_cache", CHAT)
LMDEPLOY_ROUTES = ("/v1/models", "/generate", "/v1/encode", "/get_ppl", "/pooling", "/health", CHAT)


def routes(*paths: str) -> Reply:
    described = {"openapi": "3.1.0", "info": {"title": "FastAPI"}, "paths": {path: {} for path in paths}}
    return Reply(body=json.dumps(described).encode())


@pytest.mark.parametrize(
    ("models", "openapi", "engine"),
    [
        (json.loads((RECORDED / "models.json").read_bytes()), Reply(500), "vllm"),
        (SGLANG, Reply(500), "sglang"),
        (LMDEPLOY, Reply(500), "lmdeploy"),
        (TORCH, Reply(500), "torch"),
        (OPENAI, routes(*VLLM_ROUTES), "openai"),
        (ROUTER, routes(*VLLM_ROUTES), "openai"),
        (ACME, routes(*VLLM_ROUTES), "vllm"),
        (ACME, routes(*SGLANG_ROUTES), "sglang"),
        (ACME, routes(*LMDEPLOY_ROUTES), "lmdeploy"),
        (NUMBER, routes(*VLLM_ROUTES), "vllm"),
        (ACME, routes(CHAT), "openai"),
        (ACME, Reply(404, b'{"detail":"Not Found"}'), "openai"),
        (ACME, Reply(200, b"<html>"), "openai"),
        (ACME, Reply(200, b'{"paths":[]}'), "openai"),
        ({"data": []}, routes(*VLLM_ROUTES), None),
    ],
)
async def test_an_engine_is_recognised(
    client: Client, models: Any, openapi: Reply, engine: str | None
) -> None:
    """By who signs its models, else by the paths that it has, else it is taken for plain OpenAI."""
    async with open_upstream() as upstream:
        upstream.models, upstream.openapi = Reply(body=json.dumps(models).encode()), openapi
        assert engine == (await look(client, upstream.url, [])).engine


async def test_what_was_known_holds(client: Client) -> None:
    """Routes are asked for once: what the configuration or an earlier look said holds until the models are signed."""
    async with open_upstream() as upstream:
        upstream.models, upstream.openapi = Reply(body=json.dumps(ACME).encode()), routes(*VLLM_ROUTES)
        assert "sglang" == (await look(client, upstream.url, [], "sglang")).engine
        upstream.models = Reply(body=json.dumps(LMDEPLOY).encode())
        assert "lmdeploy" == (await look(client, upstream.url, [], "sglang")).engine
