"""openai-python's responses and anthropic's messages against the gateway, in front of what a real vLLM answered.

The upstream is a double that gives vLLM's recorded answers byte for byte; sockets, gateway and SDKs are real.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import openai
import pytest
from anthropic import AsyncAnthropic
from anthropic.types import ToolParam
from openai import AsyncOpenAI
from openai.types.responses import FunctionToolParam

from gateway.core.policy import PRESETS
from tests.doubles import shapes
from tests.doubles.gateway import open_gateway
from tests.doubles.upstream import Answer, Reply, Upstream, open_upstream
from tests.wire.recordings import kind_of, recorded

SUM = "3 + 2 = 5\n#### 5"
FUNCTION: FunctionToolParam = {
    "type": "function",
    "name": "add",
    "parameters": {"type": "object"},
    "strict": True,
}
TOOL: ToolParam = {"name": "add", "input_schema": {"type": "object"}}
ASKED: dict[str, Any] = {"model": "m", "input": "What is 2 + 3?", "temperature": 0}
TOLD: dict[str, Any] = {
    "model": "m", "max_tokens": 40, "messages": [{"role": "user", "content": "What is 2 + 3?"}],
    "extra_body": {"temperature": 0},
}  # fmt: skip
REJECTING = PRESETS["majority"].override({"min_agreement": 1.0, "on_disagreement": "reject"})


def real(*names: str) -> list[Answer]:
    """These recorded answers, one for each sample."""
    return [Reply(body=recorded(name), headers={"content-type": kind_of(name)}) for name in names]


def dumped(made: openai.BaseModel | anthropic.BaseModel) -> Any:
    """An SDK's object as the JSON value that it was read from."""
    return made.to_dict()


@asynccontextmanager
async def openai_client(
    answers: Sequence[Answer], **settings: Any
) -> AsyncIterator[tuple[AsyncOpenAI, Upstream]]:
    async with (
        open_upstream(*answers) as upstream,
        open_gateway(upstream, **settings) as gateway,
        AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=2) as client,
    ):
        yield client, upstream


@asynccontextmanager
async def anthropic_client(
    answers: Sequence[Answer], **settings: Any
) -> AsyncIterator[tuple[AsyncAnthropic, Upstream]]:
    async with (
        open_upstream(*answers) as upstream,
        open_gateway(upstream, **settings) as gateway,
        AsyncAnthropic(base_url=gateway.url, api_key="none", max_retries=2) as client,
    ):
        yield client, upstream


async def test_a_response_and_its_stream() -> None:
    """Voted on plainly, the pin is then streamed to the SDK's own accumulator: the same response."""
    async with openai_client(real("responses_end")) as (client, upstream):
        raw = await client.responses.with_raw_response.create(**ASKED)
        plain = raw.parse()
        assert (SUM, "unanimous") == (plain.output_text, raw.headers["x-consistency-outcome"])
        async with client.responses.stream(**ASKED) as stream:
            texts = [event.delta async for event in stream if event.type == "response.output_text.delta"]
            final = await stream.get_final_response()
        assert (SUM, SUM, plain.id) == ("".join(texts), final.output_text, final.id)
        assert plain.usage == final.usage
        assert 2 == len(upstream.seen)


async def test_a_stream_and_its_response() -> None:
    """Voted on as streams, the winner's events are what the SDK takes, and the pin is served plainly."""
    async with openai_client(real("responses_stream")) as (client, upstream):
        stream = await client.responses.create(**ASKED, max_output_tokens=12, stream=True)
        events = [event async for event in stream]
        assert list(range(len(events))) == [event.sequence_number for event in events]
        assert "response.completed" == events[-1].type
        plain = await client.responses.create(**ASKED, max_output_tokens=12)
        assert ("3 + 2 = 5\n##", "incomplete") == (plain.output_text, plain.status)
        assert 2 == len(upstream.seen)


@pytest.mark.parametrize("first", ["responses_tool", "responses_tool_stream"])
async def test_a_function_call(first: str) -> None:
    """A call, voted on in one form and given in both."""
    async with openai_client(real(first)) as (client, _):
        if first.endswith("_stream"):
            await (await client.responses.create(**ASKED, tools=[FUNCTION], stream=True)).close()
        plain = await client.responses.create(**ASKED, tools=[FUNCTION])
        async with client.responses.stream(**ASKED, tools=[FUNCTION]) as stream:
            final = await stream.get_final_response()
        for made in map(dumped, (plain, final)):
            (call,) = made["output"]
            assert ("function_call", "add", '{"sum":"5"}') == (call["type"], call["name"], call["arguments"])


async def test_a_responses_error_is_the_sdks_own() -> None:
    """No agreement is an UnprocessableEntityError that is not tried again; vLLM's 404 is a NotFoundError."""
    async with openai_client(("41", "42", "43"), default_policy=REJECTING) as (client, upstream):
        with pytest.raises(openai.UnprocessableEntityError) as caught:
            await client.responses.create(**ASKED)
        assert ("no_agreement", 3) == (caught.value.code, len(upstream.seen))
    async with openai_client([Reply(404, recorded("responses_unknown_model"))]) as (client, _):
        with pytest.raises(openai.NotFoundError, match="nobody"):
            await client.responses.create(**ASKED)


async def test_an_error_inside_a_response_stream() -> None:
    """A vote that fails when the stream has begun raises in the SDK."""
    async with openai_client(("41", "42", "43"), default_policy=REJECTING) as (client, _):
        with pytest.raises(openai.APIError, match="the samples agree at"):
            async for _event in await client.responses.create(**ASKED, stream=True):
                pass


async def test_a_message_and_its_stream() -> None:
    """Voted on plainly, the pin is then streamed to the SDK's own accumulator: the same message."""
    async with anthropic_client(real("messages_end")) as (client, upstream):
        raw = await client.messages.with_raw_response.create(**TOLD)
        plain = await raw.parse()
        assert "unanimous" == raw.headers["x-consistency-outcome"]
        async with client.messages.stream(**TOLD) as stream:
            texts = [text async for text in stream.text_stream]
            final = await stream.get_final_message()
        (block,) = plain.content
        assert block.type == "text"
        assert (SUM, SUM, plain.id) == (block.text, "".join(texts), final.id)
        assert ("end_turn", "end_turn") == (plain.stop_reason, final.stop_reason)
        assert plain.usage == final.usage
        assert 2 == len(upstream.seen)
        assert {"authorization", "anthropic-version"} <= upstream.seen[0].headers.keys()


async def test_a_message_stream_and_its_message() -> None:
    """Voted on as streams, the winner's events are what the SDK takes, and the pin is served plainly."""
    async with anthropic_client(real("messages_stream")) as (client, upstream):
        told = TOLD | {"max_tokens": 12}
        stream = await client.messages.create(**told, stream=True)
        kinds = [event.type async for event in stream]
        assert ("message_start", "message_stop") == (kinds[0], kinds[-1])
        plain = await client.messages.create(**told)
        assert ["3 + 2 = 5\n##"] == [block.text for block in plain.content if block.type == "text"]
        assert 2 == len(upstream.seen)


@pytest.mark.parametrize("first", ["messages_tool", "messages_tool_stream"])
async def test_a_tool_use(first: str) -> None:
    """A tool's use, voted on in one form and given in both."""
    async with anthropic_client(real(first)) as (client, _):
        if first.endswith("_stream"):
            await (await client.messages.create(**TOLD, tools=[TOOL], stream=True)).close()
        plain = await client.messages.create(**TOLD, tools=[TOOL])
        async with client.messages.stream(**TOLD, tools=[TOOL]) as stream:
            final = await stream.get_final_message()
        for made in map(dumped, (plain, final)):
            (block,) = made["content"]
            assert ("add", {"sum": "5"}, "tool_use") == (block["name"], block["input"], made["stop_reason"])


async def test_a_messages_error_is_the_sdks_own() -> None:
    """No agreement is an UnprocessableEntityError that is not tried again; vLLM's 404 is a NotFoundError."""
    async with anthropic_client(("41", "42", "43"), default_policy=REJECTING) as (client, upstream):
        with pytest.raises(anthropic.UnprocessableEntityError, match="the samples agree at"):
            await client.messages.create(**TOLD)
        assert 3 == len(upstream.seen)
    async with anthropic_client([Reply(404, recorded("messages_unknown_model"))]) as (client, _):
        with pytest.raises(anthropic.NotFoundError, match="nobody"):
            await client.messages.create(**TOLD)


async def test_an_error_inside_a_message_stream() -> None:
    """A vote that fails when the stream has begun raises in the SDK."""
    async with anthropic_client(("41", "42", "43"), default_policy=REJECTING) as (client, _):
        with pytest.raises(anthropic.APIStatusError, match="the samples agree at"):
            async for _event in await client.messages.create(**TOLD, stream=True):
                pass


async def test_tokens_are_counted_by_the_upstream() -> None:
    """The SDK's `count_tokens` reaches the upstream; what it answers comes back."""
    async with anthropic_client(()) as (client, _):
        counted = await client.messages.count_tokens(model="m", messages=TOLD["messages"])
        assert ("POST", f"{shapes.MESSAGES}/count_tokens") == tuple(
            counted.to_dict()[name] for name in ("method", "path")
        )
