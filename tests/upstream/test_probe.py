"""The probe against servers that say what they are told to."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.core.probe import ProbePlan
from gateway.settings.model import Timeouts
from gateway.upstream.client import Client
from gateway.upstream.http_client import HttpClient
from gateway.upstream.probe import Target, probe
from gateway.upstream.slots import Slots
from tests.doubles.redis_server import free_port
from tests.doubles.upstream import HTML, Reply, Upstream, open_upstream
from tests.doubles.waiting import until

PLAN = ProbePlan(needles=2, copies=2, others=2, tokens=8)
ANSWERS = 2 + 2 + 2 + 4 + 4
REQUESTS = 1 + 2 + 2 + 6 + 6 + 6  # the first one finds out how the server is spoken to


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    made = HttpClient(Timeouts())
    yield made
    await made.aclose()


def scored(text: str, *logprobs: float) -> Reply:
    """A chat completion with logprobs."""
    message = {"role": "assistant", "content": text}
    content = [{"token": "x", "logprob": value, "top_logprobs": []} for value in logprobs]
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": {"content": content}}
    return Reply(body=json.dumps({"id": "c", "choices": [choice]}).encode())


def target(client: Client, upstream: Upstream, engine: str = "vllm", at_once: int | None = None) -> Target:
    return Target(client, upstream.url, "m", engine, Slots(at_once), [("authorization", "Bearer x")])


async def test_the_same_for_all(client: Client) -> None:
    """A server that always says the same is deterministic."""
    async with open_upstream(scored("same", -0.5)) as upstream:
        result = await probe(target(client, upstream), PLAN)
        assert "deterministic" == result.verdict
        assert [(ANSWERS // 2, 1, 1)] * 2 == [
            (each.answers, each.texts, each.scores) for each in result.needles
        ]
        assert REQUESTS == len(upstream.seen)


async def test_a_difference(client: Client) -> None:
    """One answer among many that has other logprobs is found."""
    same = [scored("same", -0.5)] * (REQUESTS - 1)
    async with open_upstream(*same, scored("same", -0.75)) as upstream:
        assert "not deterministic" == (await probe(target(client, upstream, at_once=1), PLAN)).verdict


@pytest.mark.parametrize(
    ("engine", "members"),
    [
        ("vllm", {"seed": 1, "logprobs": True, "top_logprobs": 2, "cache_salt": ...}),
        ("lmdeploy", {"seed": 1, "logprobs": True, "top_logprobs": 2, "top_k": 1}),
        ("openai", {"seed": 1, "logprobs": True, "top_logprobs": 2}),
    ],
)
async def test_what_is_sent(client: Client, engine: str, members: dict[str, Any]) -> None:
    """Greedy requests in the engine's dialect, with its key; a wave's prefixes are kept from other waves and probes."""
    async with open_upstream(scored("same", -0.5)) as upstream:
        await probe(target(client, upstream, engine), PLAN)
        await probe(target(client, upstream, engine), PLAN)
    bodies = [seen.body for seen in upstream.seen]
    assert {"model", "messages", "temperature", "max_tokens", *members} == set(bodies[1])
    assert {"m"} == {body["model"] for body in bodies}
    assert {0} == {body["temperature"] for body in bodies}
    for name, value in members.items():
        if value is not ...:
            assert {value} == {body[name] for body in bodies}
    salts = {body.get("cache_salt") for body in bodies}
    assert (6 if engine == "vllm" else 1) == len(salts)
    assert {"Bearer x"} == {seen.headers["authorization"] for seen in upstream.seen}
    assert {"no-store"} == {seen.headers["cache-control"] for seen in upstream.seen}


async def test_a_server_without_chat(client: Client) -> None:
    """A server that refuses chats is asked for completions."""
    async with open_upstream(400, 404, "same") as upstream:
        upstream.answers += ["same"] * REQUESTS
        result = await probe(target(client, upstream), PLAN)
    assert "deterministic" == result.verdict
    paths = [seen.path for seen in upstream.seen]
    assert ["/v1/chat/completions"] * 2 + ["/v1/completions"] * REQUESTS == paths
    assert 2 == upstream.seen[-1].body["logprobs"]


async def test_a_server_without_logprobs(client: Client) -> None:
    """A server that refuses logprobs, or leaves them out, is judged by its texts."""
    async with open_upstream(400, *["same"] * REQUESTS) as upstream:
        result = await probe(target(client, upstream), PLAN)
    assert ("deterministic", [None, None]) == (result.verdict, [needle.scores for needle in result.needles])
    assert "logprobs" not in upstream.seen[-1].body


@pytest.mark.parametrize(
    ("answers", "missing", "detail"),
    [
        ((401, 401, 401, 401), ANSWERS, "status 401: "),
        ((503,), ANSWERS, "status 503: "),
        ((HTML,), ANSWERS, "no completion: "),
        ((*[scored("same", -0.5)] * (REQUESTS - 1), 429), 1, "status 429: "),
    ],
)
async def test_failures(client: Client, answers: tuple[Any, ...], missing: int, detail: str) -> None:
    """What a server does not answer is missing, and the server's own words say why; nothing is raised."""
    async with open_upstream(*answers) as upstream:
        result = await probe(target(client, upstream, at_once=1), PLAN)
    assert ("inconclusive", missing) == (result.verdict, result.missing)
    assert result.detail.startswith(detail)


async def test_nobody_there(client: Client) -> None:
    """A server that is away is inconclusive after one attempt."""
    nobody = Target(client, f"http://127.0.0.1:{free_port()}", "m", "vllm", Slots(None))
    result = await probe(nobody, PLAN)
    assert ("inconclusive", ANSWERS) == (result.verdict, result.missing)
    assert result.detail.startswith("unreachable: ")


async def test_one_at_a_time(client: Client) -> None:
    """Slots bound what is asked at once: with one, the rest of a batch waits until the first is answered."""
    slots, held = Slots(1), asyncio.Event()
    async with open_upstream(scored("same", -0.5)) as upstream:
        upstream.gates[5] = held  # the first of a batch of 3
        probing = asyncio.create_task(probe(Target(client, upstream.url, "m", "vllm", slots), PLAN))
        await until(lambda: slots.waiting == 2)
        assert 6 == len(await upstream.asked(6))
        held.set()
        assert "deterministic" == (await probing).verdict
    assert REQUESTS == len(upstream.seen)


async def test_no_slot(client: Client) -> None:
    """A server whose slots are all taken for too long is inconclusive, and is not asked."""
    slots = Slots(1)
    await slots.take(0)
    async with open_upstream("ok") as upstream:
        result = await probe(Target(client, upstream.url, "m", "vllm", slots, patience=0), PLAN)
    assert ("inconclusive", "no slot within 0 s", 0) == (result.verdict, result.detail, len(upstream.seen))
