"""What counts as the same answer, as a client sees it, against scripted upstreams on real sockets."""

import asyncio
import json
import signal
from typing import Any

import pytest

from gateway.core.ballot import Reply as Read
from gateway.core.policy import PRESETS
from tests.doubles.gateway import open_gateway
from tests.doubles.upstream import Reply, open_upstream
from tests.doubles.waiting import until

TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
SCHEMA = {"type": "json_object"}


def said(content: str | None = None, **members: Any) -> Reply:
    """A whole chat completion with this message."""
    message = {"role": "assistant", "content": content, **members}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return Reply(body=json.dumps({"id": "c", "object": "chat.completion", "choices": [choice]}).encode())


def called(arguments: str | dict[str, Any], call: str) -> Reply:
    """A completion that calls `weather`, under an id of the engine's making."""
    function = {"name": "weather", "arguments": arguments}
    return said(tool_calls=[{"id": call, "type": "function", "function": function}])


async def test_a_json_label_that_flips_is_outvoted() -> None:
    """Spelling splits no votes, a flipped label is no vote for the rest (vllm-ascend#11317)."""
    answers = (
        '{"label": "weak", "score": 70}',
        '{"label": "neutral", "score": 60}',
        '```json\n{"score": 60.0, "label": "neutral"}\n```',
    )
    async with open_upstream(*answers) as upstream, open_gateway(upstream) as client:
        got = await client.chat(response_format=SCHEMA)
        assert ("majority", "0.67", "2") == got.about("outcome", "agreement", "distinct")
        assert got.content in answers[1:]


async def test_arguments_may_be_an_object() -> None:
    """Arguments that an engine sends as an object count by value, beside a text that spells them, and stay as sent."""
    answers = (
        called({"city": "Paris", "days": 3}, "call_1"),
        called({"city": "Rome", "days": 3}, "call_2"),
        called('{"days": 3.0, "city": "Paris"}', "call_3"),
    )
    async with open_upstream(*answers) as upstream, open_gateway(upstream) as client:
        got = await client.chat(tools=TOOLS)
        assert ("majority", "0.67", "2") == got.about("outcome", "agreement", "distinct")
        assert got.body in {answer.body for answer in answers}


async def test_without_a_format_json_is_text() -> None:
    """Who asked for no JSON gets a vote over texts: three spellings are three answers."""
    async with (
        open_upstream('{"a":1}', '{"a": 1}', '{"a":1.0}') as upstream,
        open_gateway(upstream) as client,
    ):
        got = await client.chat()
        assert ("tie", "0.33", "3") == got.about("outcome", "agreement", "distinct")


async def test_tool_calls_are_voted_on_by_what_they_do() -> None:
    """Ids and the order of arguments split no votes, and the winner's calls come back whole (optillm#312)."""
    answers = (
        called('{"city": "Paris", "days": 3}', "call_1"),
        called('{"city": "Rome", "days": 3}', "call_2"),
        called('{"days": 3, "city": "Paris"}', "call_3"),
    )
    async with open_upstream(*answers) as upstream, open_gateway(upstream) as client:
        got = await client.chat(tools=TOOLS)
        assert ("majority", "0.67", "2") == got.about("outcome", "agreement", "distinct")
        assert got.body in {answers[0].body, answers[2].body}


async def test_a_text_beside_calls_votes_as_text() -> None:
    """With tools at hand, an answer in words and one in calls are two answers, and words vote as they are."""
    async with (
        open_upstream("Paris", called('{"city": "Paris"}', "call_1"), "Paris") as upstream,
        open_gateway(upstream) as client,
    ):
        got = await client.chat(tools=TOOLS)
        assert ("majority", "0.67", "Paris") == (*got.about("outcome", "agreement"), got.content)


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
async def test_reasoning_is_shown_and_not_voted_on(field: str) -> None:
    """Different thoughts that end in one answer are unanimous, and the winner's thoughts are shown."""
    answers = (said("42", **{field: "6 * 7"}), said("42", **{field: "40 + 2"}))
    async with open_upstream(*answers) as upstream, open_gateway(upstream) as client:
        got = await client.chat()
        assert ("unanimous", "1.00", "1") == got.about("outcome", "agreement", "distinct")
        assert got.json["choices"][0]["message"][field] in {"6 * 7", "40 + 2"}


@pytest.mark.parametrize(
    ("answer", "contents", "winners", "about"),
    [
        ("number", ("The answer is 41.", "The answer is 42.", "42!"), {1, 2}, ("majority", "0.67")),
        ("number", ("<think>41</think>42", "42.0", "It is 42."), {0, 1}, ("unanimous", "1.00")),
        ("number", ("on 2024-12-25", "42", "42"), {1, 2}, ("majority", "0.67")),
        ("boxed", (r"\boxed{41}", r"so \boxed{42}", r"$\boxed{ 42 }$"), {1, 2}, ("majority", "0.67")),
        ("choice", ("(A) or (B)? (B)", "B", "A"), {0, 1}, ("unanimous", "1.00")),
        ("math", (r"\boxed{\frac12}", "It is 0.5.", "no idea"), {0, 1}, ("unanimous", "1.00")),
        ("regex:answer: (\\w+)", ("answer: a", "the answer: a", "none"), {0, 1}, ("unanimous", "1.00")),
        ("tool_calls", ("no", "calls", "here"), {0, 1, 2}, ("no_quorum", "0.00")),
    ],
)  # fmt: skip
async def test_a_policys_rule(
    answer: str, contents: tuple[str, ...], winners: set[int], about: tuple[str, str]
) -> None:
    """Under a configured rule the extracted answers are counted, and one of the samples is returned as it came."""
    policy = PRESETS["majority"].override({"answer": answer})
    async with open_upstream(*contents) as upstream, open_gateway(upstream, default_policy=policy) as client:
        got = await client.chat()
        assert about == got.about("outcome", "agreement")
        assert got.content in {contents[winner] for winner in winners}


async def test_a_request_chooses_its_rule() -> None:
    """The header names a rule; a pattern is nothing that a client may send, however well it is formed."""
    async with open_upstream("It is 42.", "42") as upstream, open_gateway(upstream) as client:
        got = await client.chat({"x-consistency-answer": "number"})
        assert ("unanimous", "1.00") == got.about("outcome", "agreement")
        for pattern in ("regex:(\\d+)", "regex:("):
            refused = await client.chat({"x-consistency-answer": pattern})
            assert 400 == refused.status
            assert (
                "x-consistency-answer: regex answers are for the configuration only"
                == refused.json["error"]["message"]
            )


@pytest.mark.parametrize(
    ("answer", "one", "other"),
    [
        ("json", "[" + "1.0," * 250_000 + "1]", "[" + "1," * 250_000 + "1]"),
        ("regex:(\\d)x?", "1x" * 500_000, "2x" * 500_000 + "1x"),
        ("normalized", "e\u0301  " * 250_000, "\u00e9 " * 250_000),
    ],
    ids=lambda value: value if len(value) < 20 else "",
)
async def test_a_large_answer_is_read_elsewhere(answer: str, one: str, other: str) -> None:
    """A megabyte is read by a worker: while that is held up others are served, and then it is voted on by value."""
    policy = PRESETS["majority"].override({"answer": answer})
    async with open_upstream(one, other) as upstream, open_gateway(upstream, default_policy=policy) as client:
        client.inside.extractors._seconds = 60.0  # for a worker that this test holds up
        await client.inside.extractors.extract(Read("42"), answer)
        worker = client.inside.extractors._idle[0]._process
        worker.send_signal(signal.SIGSTOP)
        large = asyncio.create_task(client.chat())
        await until(lambda: client.inside.extractors._waiting == 1)  # the other one of two
        upstream.answers = ["42"]
        assert "42" == (await client.chat(seed=1)).content
        worker.send_signal(signal.SIGCONT)
        assert ("unanimous", "1") == (await large).about("outcome", "distinct")
