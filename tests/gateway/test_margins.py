"""Log-probabilities that only the gateway wanted: asked for, read, and not shown."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.core.policy import PRESETS
from tests.doubles.gateway import open_gateway
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
LOGPROB = b"-0.6330477595329285"  # of the first token
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
