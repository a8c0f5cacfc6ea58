"""Votes on what LMDeploy and SGLang really answer, each in its own shapes (tests/doubles/engines.py)."""

import json
from dataclasses import replace
from typing import Any

import pytest

from gateway.core.policy import PRESETS
from gateway.wire.sse import EventDecoder
from tests.doubles.engines import ENGINES, ids, lmdeploy, lmdeploy_stream
from tests.doubles.gateway import Got, open_gateway
from tests.doubles.upstream import open_upstream

ALL = PRESETS["majority"].override({"stop": "all"})
USAGE = {"include_usage": True}
ANSWERS = ("It is 41", "It is 42 \U0001f600", "It is 42 \U0001f600")
BY_TOKEN = {"lmdeploy": ("output_ids", "output_token_logprobs"), "sglang": ("token_ids",)}
TOLD: dict[str, Any] = {"return_logprob": True, "return_token_ids": True, "logprobs": True, "top_logprobs": 2}
LOST = "internal error happened, status code ResponseType.INTERNAL_ENGINE_ERROR"
TOO_LONG = "internal error happened, status code ResponseType.INPUT_LENGTH_ERROR"

engines = pytest.mark.parametrize("engine", ENGINES)


def payloads(got: Got) -> list[Any]:
    return [json.loads(event.data) for event in EventDecoder().feed(got.body) if event.data != b"[DONE]"]


def said(got: Got) -> str:
    """What a stream says."""
    choices = (choice for chunk in payloads(got) for choice in chunk["choices"])
    return "".join(choice["delta"].get("content") or "" for choice in choices)


@engines
async def test_a_plain_vote(engine: str) -> None:
    """41, 42, 42: a 42 comes back byte for byte, and its pin is streamed to whoever wants a stream."""
    plain, _ = ENGINES[engine]
    replies = [plain(content) for content in ANSWERS]
    async with (
        open_upstream(*replies) as upstream,
        open_gateway(upstream, known={"engine": engine}, default_policy=ALL) as client,
    ):
        got = await client.chat()
        assert ("majority", "0.67", "9") == got.about("outcome", "agreement", "tokens")
        assert replies[1].body == got.body
        streamed = await client.chat(stream=True, stream_options=USAGE)
        assert (ANSWERS[1], ("cache",)) == (said(streamed), streamed.about("source"))
        *_, end, usage = payloads(streamed)
        assert ("stop", 3) == (end["choices"][0]["finish_reason"], usage["usage"]["completion_tokens"])


@engines
@pytest.mark.parametrize("answer", ["text", "normalized"], ids=["shown live", "held"])
async def test_a_streamed_vote(engine: str, answer: str) -> None:
    """The same as streams, shown while they are voted on or held, and given plainly from the pin."""
    _, stream = ENGINES[engine]
    async with (
        open_upstream(*map(stream, ANSWERS)) as upstream,
        open_gateway(
            upstream, known={"engine": engine}, default_policy=ALL.override({"answer": answer})
        ) as client,
    ):
        got = await client.chat(stream=True, stream_options=USAGE)
        *chunks, usage = payloads(got)
        assert (ANSWERS[1], 3, "majority") == (
            said(got), usage["usage"]["completion_tokens"], usage["consistency"]["outcome"],
        )  # fmt: skip
        assert not any(chunk.get("usage") for chunk in chunks)
        assert {"stop"} == {chunk["choices"][0].get("finish_reason") for chunk in chunks} - {None}
        plain = await client.chat()
        assert ("cache", "assistant", ANSWERS[1], "stop") == (
            *plain.about("source"),
            plain.json["choices"][0]["message"]["role"],
            plain.content,
            plain.json["choices"][0]["finish_reason"],
        )


@engines
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
async def test_what_is_told_of_each_token(engine: str, streamed: bool) -> None:  # noqa: FBT001  how it is asked
    """Token ids and log-probabilities that a client asks for come to it whole in either form."""
    answer = ENGINES[engine][streamed]("42", told=True)
    async with (
        open_upstream(answer) as upstream,
        open_gateway(upstream, known={"engine": engine}, default_policy=ALL) as client,
    ):
        await client.chat(stream=streamed, **TOLD)
        assert all(TOLD.items() <= seen.body.items() for seen in upstream.seen)
        (choice,) = (await client.chat(**TOLD)).json["choices"]
        own = [one for chunk in payloads(await client.chat(stream=True, **TOLD)) for one in chunk["choices"]]
        assert ["4", "2"] == [token["token"] for token in choice["logprobs"]["content"]]
        for name in BY_TOKEN[engine]:
            assert choice[name] == [each for one in own for each in one.get(name) or ()]
        assert ids("42") == choice[BY_TOKEN[engine][0]]


@engines
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
async def test_a_margin(engine: str, streamed: bool) -> None:  # noqa: FBT001  how it is asked
    """Its log-probabilities are asked for, are a margin by which one sample is accepted, and are not shown."""
    answer = ENGINES[engine][streamed]("42", told=True)
    policy = replace(ALL, accept_margin=0.5)
    async with (
        open_upstream(answer) as upstream,
        open_gateway(upstream, known={"engine": engine}, default_policy=policy) as client,
    ):
        got = await client.chat(stream=streamed)
        assert (1, False) == (len(upstream.seen), b'"top_logprobs"' in got.body)
        assert {"logprobs": True, "top_logprobs": 2}.items() <= upstream.seen[0].body.items()
        assert ("0.5",) == (await client.chat()).about("margin")


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
async def test_an_error_of_lmdeploy_is_no_answer(streamed: bool) -> None:  # noqa: FBT001  how it is asked
    """Its 200 that ends in `error` has the error for a text: one such sample abstains, and nothing of it is shown."""
    answer = lmdeploy_stream if streamed else lmdeploy
    lost = answer(LOST, finish="error")
    async with (
        open_upstream(lost, *[answer("42")] * 3) as upstream,
        open_gateway(upstream, known={"engine": "lmdeploy"}, default_policy=ALL) as client,
    ):
        got = await client.chat(stream=streamed)
        assert (200, False, 4) == (got.status, b"internal error" in got.body, len(upstream.seen))
        assert ("cache", "unanimous", "3") == (await client.chat()).about("source", "outcome", "samples")
        upstream.answers = [lost]
        alone = await client.chat(stream=streamed, seed=1)
        assert (500, LOST) == (alone.status, alone.json["error"]["message"])


async def test_a_prompt_too_long_for_lmdeploy() -> None:
    """Where its error is the request's fault it is a 400 at once: no sample more, and no replica is blamed."""
    async with (
        open_upstream(lmdeploy(TOO_LONG, finish="error")) as upstream,
        open_gateway(upstream, known={"engine": "lmdeploy"}, default_policy=ALL) as client,
    ):
        for _ in range(3):
            got = await client.chat()
            assert (400, TOO_LONG) == (got.status, got.json["error"]["message"])
        assert 9 >= len(upstream.seen)
        assert 0 == await client.metric("scg_breaker_state", upstream="u0")
