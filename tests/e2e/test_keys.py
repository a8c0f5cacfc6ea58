"""openai-python and anthropic-python with keys: their own errors, and their own waiting for limits."""

import asyncio
from typing import Any

import anthropic
import openai
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from gateway.core.rate import Draw
from gateway.store.memory import MemoryStore
from gateway.store.rates import Rates
from tests.doubles.gateway import HELLO, open_gateway
from tests.doubles.upstream import open_upstream
from tests.doubles.waiting import until_async
from tests.gateway.tenants import ADMIN, KEYS, A, B, key

CHAT: Any = {"model": "m", "messages": HELLO["messages"], "temperature": 0}
MESSAGE: Any = {"model": "m", "messages": HELLO["messages"], "max_tokens": 5}


async def test_openai_python() -> None:
    """A key that is known has its answer; others an AuthenticationError, its limit a RateLimitError with its code."""
    async with (
        open_upstream("42") as upstream,
        open_gateway(upstream, keys=(key("a", A, rpm=1), key("b", B))) as gateway,
        AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=A, max_retries=0) as client,
    ):
        assert "42" == (await client.chat.completions.create(**CHAT)).choices[0].message.content
        with pytest.raises(openai.RateLimitError) as limited:
            await client.chat.completions.create(**CHAT)
        assert ("rate_limit_exceeded", "0") == (
            limited.value.code,
            limited.value.response.headers["x-ratelimit-remaining-requests"],
        )
        with pytest.raises(openai.AuthenticationError) as unknown:
            await client.with_options(api_key="none").models.list()
        assert "invalid_api_key" == unknown.value.code
        with pytest.raises(openai.PermissionDeniedError):
            await client.with_options(api_key=B).get("/consistency/summary", cast_to=object)


async def test_openai_python_waits_as_it_is_told() -> None:
    """Its own retries come after `retry-after-ms`, and get through once a request is left."""
    now = 0.0
    async with (
        open_upstream("42") as upstream,
        open_gateway(upstream, keys=(key("a", A, rpm=600),)) as gateway,
        AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=A, max_retries=1000) as client,
    ):
        store = gateway.inside.store
        assert isinstance(store, MemoryStore)
        store._rates = Rates(lambda: now)
        await store.draw("a", [Draw("requests", 600, 601, is_fact=True)])
        asking = asyncio.ensure_future(client.chat.completions.with_raw_response.create(**CHAT))

        async def is_limited() -> bool:
            return 2 <= await gateway.metric("scg_tenant_limited_total", tenant="a", limit="requests")

        await until_async(is_limited)
        now = 60.0
        assert (await asking).retries_taken >= 2


async def test_anthropic_python() -> None:
    """The same in Anthropic's errors."""
    async with (
        open_upstream("42") as upstream,
        open_gateway(upstream, keys=(key("a", A, rpm=1), *KEYS[1:])) as gateway,
        AsyncAnthropic(base_url=gateway.url, api_key=A, max_retries=0) as client,
    ):
        (block,) = (await client.messages.create(**MESSAGE)).content
        assert "42" == block.text
        with pytest.raises(anthropic.RateLimitError):
            await client.messages.create(**MESSAGE)
        with pytest.raises(anthropic.AuthenticationError):
            await client.with_options(api_key="none").messages.create(**MESSAGE)
        assert "42" == (await client.with_options(api_key=ADMIN).messages.create(**MESSAGE)).content[0].text
