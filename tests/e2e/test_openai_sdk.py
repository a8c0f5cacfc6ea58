"""openai-python against the gateway, in front of the real PyTorch backend and a real Redis."""

import json
import time
import urllib.parse
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.doubles import processes
from tests.doubles.processes import Running
from tests.doubles.redis_server import RedisServer

pytestmark = [pytest.mark.backend, pytest.mark.processes]

SUM: list[Any] = [{"role": "user", "content": "What is 23 + 48 - 17 + 5?"}]


def client_of(running: Running) -> OpenAI:
    return OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0)


def test_the_sync_client(gateway: Running) -> None:
    """A chat completion: the model's answer, with the verdict in the raw response's header."""
    raw = client_of(gateway).chat.completions.with_raw_response.create(
        model="demo", messages=SUM, temperature=0, max_tokens=200
    )
    completion = raw.parse()
    assert "#### " in (completion.choices[0].message.content or "")
    assert ("vote", "unanimous", "1.00") == tuple(
        raw.headers[f"x-consistency-{name}"] for name in ("source", "outcome", "agreement")
    )


def test_streaming_gives_the_plain_answer(gateway: Running) -> None:
    """The text of a stream, put together, is the text of the plain answer; usage comes where it is asked for."""
    client = client_of(gateway)
    plain = client.chat.completions.create(model="demo", messages=SUM, temperature=0, max_tokens=200)
    fresh = {"cache-control": "no-cache"}
    stream = client.chat.completions.create(
        model="demo",
        messages=SUM,
        temperature=0,
        max_tokens=200,
        stream=True,
        stream_options={"include_usage": True},
        extra_headers=fresh,
    )
    chunks = list(stream)
    assert plain.choices[0].message.content == "".join(
        chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices
    )
    assert plain.usage
    assert chunks[-1].usage
    assert plain.usage.completion_tokens == chunks[-1].usage.completion_tokens


async def test_the_async_client(gateway: Running) -> None:
    """The async client, a text completion, and a policy chosen in the body."""
    async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0) as client:
        raw = await client.completions.with_raw_response.create(
            model="demo", prompt="1+1?", temperature=0, max_tokens=20, extra_body={"consistency": {"k": 5}}
        )
        assert ("5", "3") == (raw.headers["x-consistency-k"], raw.headers["x-consistency-samples"])
        assert ["demo"] == [model.id async for model in client.models.list()]


def test_errors_are_the_sdks_own(gateway: Running) -> None:
    """A bad choice is a BadRequestError that names it; an unknown model is the backend's NotFoundError."""
    client = client_of(gateway)
    with pytest.raises(openai.BadRequestError, match="99 is more than limits") as caught:
        client.chat.completions.create(model="demo", messages=SUM, extra_body={"consistency": {"k": 99}})
    assert "consistency.k" == caught.value.param
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="nobody", messages=SUM)


def test_64_copies_from_8_threads_are_one_answer(
    gateway: Running, demo_backend: Running, redis_server: RedisServer, tmp_path: Path
) -> None:
    """64 copies at once: one vote, one answer; another gateway process then serves it from Redis."""

    def ask(running: Running) -> tuple[str, str, str]:
        with client_of(running) as client:
            raw = client.chat.completions.with_raw_response.create(
                model="demo", messages=SUM, temperature=0.8, seed=11, max_tokens=200
            )
        return raw.text, raw.headers["x-consistency-source"], raw.headers["x-consistency-agreement"]

    with ThreadPoolExecutor(8) as pool:
        first = list(pool.map(ask, [gateway] * 64))
    assert 1 == len({(text, agreement) for text, _, agreement in first})
    assert 1 == Counter(source for _, source, _ in first)["vote"]
    assert 1 == gateway.metric("scg_rounds_total")

    with processes.gateway(tmp_path, demo_backend.url, CACHE__URL=redis_server.url) as other:
        with ThreadPoolExecutor(8) as pool:
            second = list(pool.map(ask, [other] * 64))
        assert {(first[0][0], "cache", first[0][2])} == set(second)
        assert 0 == other.metric("scg_rounds_total")
        assert other.metric("scg_cache_requests_total", result="hit_redis") >= 1


def test_prometheus_has_the_consistency_rate(gateway: Running, prometheus: Running) -> None:
    """A real Prometheus scrapes the gateway, and the documented query returns the rate of the pairs so far."""
    client = client_of(gateway)
    for seed in range(8):
        client.chat.completions.create(
            model="demo", messages=SUM, temperature=1, seed=seed * 100, max_tokens=200
        )
    same = gateway.metric("scg_pairs_total", result="same")
    assert 8 == gateway.metric("scg_pairs_total")
    query = 'sum(scg_pairs_total{result="same"}) / sum(scg_pairs_total)'
    whole = "sum(scg_pairs_total)"
    deadline = time.monotonic() + 100
    while ask_prometheus(prometheus, whole) != 8:
        assert time.monotonic() < deadline, "Prometheus has not scraped all pairs"
        time.sleep(0.1)
    assert (same / 8 if same else None) == ask_prometheus(prometheus, query)


def ask_prometheus(running: Running, query: str) -> float | None:
    """The value of an instant query; None where it returns nothing."""
    with urllib.request.urlopen(f"{running.url}/api/v1/query?query={urllib.parse.quote(query)}") as answer:
        found = json.load(answer)["data"]["result"]
    return float(found[0]["value"][1]) if found else None


def test_a_stop_finishes_what_is_under_way(gateway: Running) -> None:
    """SIGTERM in the middle of a vote: the client still gets its answer, and the process ends with 0."""
    with ThreadPoolExecutor(1) as pool:
        for seed in count():
            asked = pool.submit(
                client_of(gateway).chat.completions.create,
                model="demo",
                messages=SUM,
                temperature=0,
                max_tokens=200,
                seed=seed,
            )
            while not (asked.done() or gateway.metric("scg_upstream_in_flight")):
                pass
            if not asked.done():  # else it was over before it could be seen
                break
        code = gateway.stop()
        assert ("#### " in (asked.result().choices[0].message.content or ""), 0) == (True, code)
