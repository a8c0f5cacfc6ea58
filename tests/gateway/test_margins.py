"""Log-probabilities that only the gateway wanted: asked for, read, not shown, and what they decide."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.core.policy import PRESETS
from tests.doubles.gateway import Client, open_gateway
from tests.doubles.upstream import Reply, open_upstream
from tests.wire.recordings import recorded

WATCHING = replace(PRESETS["majority"], accept_margin=0.25)
QUESTIONS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "m", "messages": []},
    "/v1/completions": {"model": "m", "prompt": "a"},
    "/v1/responses": {"model": "m", "input": "a"},
}
ASKED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"logprobs": True, "top_logprobs": 2},
    "/v1/completions": {"logprobs": 2},
    "/v1/responses": {"include": ["message.output_text.logprobs"], "top_logprobs": 2},
}
GREEDY = {"temperature": 0, "max_tokens": 2, "max_output_tokens": 2}  # cut there, as its client wished
LOGPROB = b"-0.6330477595329285"  # of the first token
NARROW = 0.125  # the recorded answers' smallest gap
RECORDED = {
    "/v1/chat/completions": "chat_logprobs",
    "/v1/completions": "completions_logprobs",
    "/v1/responses": "responses_logprobs",
}


@pytest.mark.parametrize("path", QUESTIONS)
async def test_asked_for_and_taken_out(path: str) -> None:
    """Under a policy that looks at margins the upstream is asked for them, and the client sees none."""
    answer = recorded(RECORDED[path])
    async with (
        open_upstream(Reply(body=answer)) as upstream,
        open_gateway(upstream, known={"engine": "vllm"}, default_policy=WATCHING) as client,
    ):
        got = await client.post(path, QUESTIONS[path])
        assert ASKED[path].items() <= upstream.seen[0].body.items()
        assert (True, False) == (LOGPROB in answer, LOGPROB in got.body)
        assert got.body[:100] == answer[:100]


@pytest.mark.parametrize("path", QUESTIONS)
async def test_kept_for_a_client_that_asked(path: str) -> None:
    """A client's own wish is sent as it is, and what comes back is the client's."""
    answer = recorded(RECORDED[path])
    async with (
        open_upstream(Reply(body=answer)) as upstream,
        open_gateway(upstream, known={"engine": "vllm"}, default_policy=WATCHING) as client,
    ):
        got = await client.post(path, QUESTIONS[path] | ASKED[path])
        assert (answer, ASKED[path]) == (
            got.body, {name: upstream.seen[0].body[name] for name in ASKED[path]}
        )  # fmt: skip


async def test_not_asked_of_an_engine_that_has_none() -> None:
    """OpenAI's responses of models that reason refuse them, so they are not asked for there."""
    path = "/v1/responses"
    async with (
        open_upstream("42") as upstream,
        open_gateway(upstream, known={"engine": "openai"}, default_policy=WATCHING) as client,
    ):
        assert 200 == (await client.post(path, QUESTIONS[path])).status
        assert QUESTIONS[path] == upstream.seen[0].body


@pytest.mark.parametrize("path", QUESTIONS)
async def test_one_sample_is_accepted_by_its_margin(path: str) -> None:
    """A gap as wide as `accept_margin` spares the other samples; the answer says how wide, and so do the metrics."""
    accepting = replace(WATCHING, accept_margin=NARROW)
    async with (
        open_upstream(Reply(body=recorded(RECORDED[path]))) as upstream,
        open_gateway(upstream, known={"engine": "vllm"}, default_policy=accepting) as client,
    ):
        for source in ("single", "cache"):
            got = await client.post(path, QUESTIONS[path] | GREEDY)
            assert (source, "single", "3", "1", "0.125") == got.about(
                "source", "outcome", "k", "samples", "margin"
            )
        assert 1 == len(upstream.seen)
        assert (1, NARROW) == await margins(client)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
async def test_a_smaller_margin_votes_on(stream: bool) -> None:  # noqa: FBT001
    """A gap below `accept_margin` is no evidence: the round goes on, and tells the winner's margin all the same."""
    path = "/v1/chat/completions"
    async with (
        open_upstream(Reply(body=recorded(RECORDED[path]))) as upstream,
        open_gateway(upstream, known={"engine": "vllm"}, default_policy=WATCHING) as client,
    ):
        got = await client.post(path, QUESTIONS[path] | GREEDY | {"stream": stream})
        assert (200, 2) == (got.status, len(upstream.seen))
        assert stream or ("vote", "unanimous", "2", "0.125") == got.about(
            "source", "outcome", "samples", "margin"
        )
        assert (2, 2 * NARROW) == await margins(client)


async def test_no_sample_is_tried_alone_where_others_may_differ() -> None:
    """Above temperature 0 a wide gap says nothing of the other samples: they are asked for at once."""
    path = "/v1/chat/completions"
    accepting = replace(WATCHING, accept_margin=NARROW)
    async with (
        open_upstream(Reply(body=recorded(RECORDED[path]))) as upstream,
        open_gateway(upstream, known={"engine": "vllm"}, default_policy=accepting) as client,
    ):
        got = await client.post(path, QUESTIONS[path] | {"temperature": 0.8})
        assert ("vote", "2") == got.about("source", "samples")


async def margins(client: Client) -> tuple[float, float]:
    """How many samples told their margin, and the sum."""
    by = {"model": "m", "policy": "majority"}
    return await client.metric("scg_margin_count", **by), await client.metric("scg_margin_sum", **by)
