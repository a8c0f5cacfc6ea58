"""The gateway in front of a real vLLM: every voted endpoint, in every form."""

import json
from typing import Any

import pytest

from gateway.upstream.engines import CHAT, COMPLETIONS, MESSAGES, RESPONSES
from tests.doubles.gateway import Client, Got
from tests.vllm.questions import CHAT as CHAT_QUESTION
from tests.vllm.questions import MESSAGES as MESSAGES_QUESTION
from tests.vllm.questions import QUESTIONS
from tests.vllm.questions import RESPONSES as RESPONSES_QUESTION
from tests.vllm.questions import TEXT as TEXT_QUESTION

pytestmark = pytest.mark.vllm

# A sum with one way to do it: the model is next to certain of every token, whatever computes it.
SUM, ANSWER = "What is 7 - 4?", "7 - 4 = 3\n#### 3"
USER = [{"role": "user", "content": SUM}]
QUESTION = CHAT_QUESTION | {"messages": USER, "max_tokens": 40}
TEXT = TEXT_QUESTION | {"prompt": f"<|user|>{SUM}<|assistant|>", "max_tokens": 40}
RESPONSE = RESPONSES_QUESTION | {"input": SUM, "max_output_tokens": 40}
MESSAGE = MESSAGES_QUESTION | {"messages": USER, "max_tokens": 40}


def events(got: Got) -> list[str]:
    """The payloads of a stream."""
    return [line.removeprefix("data: ") for line in got.text.splitlines() if line.startswith("data: ")]


def said(got: Got) -> str:
    """The text of a streamed chat."""
    chunks = [json.loads(event) for event in events(got) if event != "[DONE]"]
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])


async def test_the_engine_is_recognised(gateway: Client) -> None:
    """`engine: auto` finds vLLM, and its version is part of what a pin hangs on."""
    upstream = gateway.inside.pool.upstreams[0]
    assert ("auto", "vllm") == (upstream.settings.engine, upstream.engine)
    assert "0.32.0" in upstream.seen.models["demo"]


async def test_a_vote(gateway: Client) -> None:
    """At temperature 0 two samples that agree decide k=3, and the answer is vLLM's own."""
    got = await gateway.post(CHAT, QUESTION)
    assert (200, ANSWER) == (got.status, got.content)
    assert ("vote", "unanimous", "1.00", "3", "2") == got.about(
        "source", "outcome", "agreement", "k", "samples"
    )
    assert got.json["system_fingerprint"].startswith("vllm-0.32.0")


async def test_a_hit(gateway: Client) -> None:
    """Asked again, the same bytes come from the cache, and vLLM is not asked."""
    first = await gateway.post(CHAT, QUESTION | {"max_tokens": 39, "temperature": 0.8})
    again = await gateway.post(CHAT, QUESTION | {"max_tokens": 39, "temperature": 0.8})
    assert (("vote",), ("cache",)) == (first.about("source"), again.about("source"))
    assert first.body == again.body


async def test_all_samples(gateway: Client) -> None:
    """At temperature 1 each sample has a seed of its own, so that samples differ; all five are counted."""
    five = {"k": 5, "stop": "all"}
    got = await gateway.post(CHAT, QUESTION | {"temperature": 1.5, "consistency": five})
    assert ("5", "5") == got.about("k", "samples")
    assert int(got.headers["x-consistency-distinct"]) > 1


async def test_a_stream(gateway: Client) -> None:
    """A stream says what the plain answer says, and ends as one should."""
    got = await gateway.post(CHAT, QUESTION | {"stream": True, "seed": 3})
    assert (200, ANSWER, "[DONE]") == (got.status, said(got), events(got)[-1])


async def test_usage_of_a_stream(gateway: Client) -> None:
    """Usage comes where it is asked for."""
    options = {"stream": True, "stream_options": {"include_usage": True}}
    got = await gateway.post(CHAT, QUESTION | {"seed": 4} | options)
    assert 17 == json.loads(events(got)[-2])["usage"]["completion_tokens"]


async def test_completions(gateway: Client) -> None:
    """Text completions are voted on as well, streamed too."""
    got = await gateway.post(COMPLETIONS, TEXT)
    assert ("vote", ANSWER) == (*got.about("source"), got.json["choices"][0]["text"])
    streamed = await gateway.post(COMPLETIONS, TEXT | {"stream": True, "seed": 3})
    chunks = [json.loads(event) for event in events(streamed)[:-1]]
    assert ANSWER == "".join(chunk["choices"][0]["text"] for chunk in chunks if chunk["choices"])


@pytest.mark.parametrize("name", ["chat_tool", "chat_tool_required"])
async def test_tools(name: str, gateway: Client) -> None:
    """A call is voted on by what it calls, and comes back whole."""
    got = await gateway.post(CHAT, QUESTIONS[name].body)
    call = got.json["choices"][0]["message"]["tool_calls"][0]["function"]
    assert ("add", {"sum": "5"}) == (call["name"], json.loads(call["arguments"]))
    assert ("vote", "unanimous") == got.about("source", "outcome")


async def test_streamed_tools(gateway: Client) -> None:
    """The pieces of a streamed call are those of the plain one."""
    got = await gateway.post(CHAT, QUESTIONS["chat_tool_stream"].body)
    deltas = [json.loads(event)["choices"] for event in events(got)[:-1]]
    calls = [
        call for choices in deltas for choice in choices for call in choice["delta"].get("tool_calls", ())
    ]
    assert {"sum": "5"} == json.loads("".join(call["function"].get("arguments", "") for call in calls))


async def test_structured_output(gateway: Client) -> None:
    """An answer by schema is voted on, and is what the schema says."""
    got = await gateway.post(CHAT, QUESTIONS["chat_schema"].body)
    assert ("vote", {"sum": "5"}) == (*got.about("source"), json.loads(got.content))


FRESH = {"cache-control": "no-cache"}


@pytest.mark.parametrize(
    ("path", "question", "ends"),
    [
        (RESPONSES, RESPONSE, ("response.created", "response.completed")),
        (MESSAGES, MESSAGE, ("message_start", "message_stop")),
    ],
)
async def test_the_other_endpoints(
    path: str, question: dict[str, Any], ends: tuple[str, str], gateway: Client
) -> None:
    """/v1/responses and /v1/messages are voted on, plain and streamed, and a pin is replayed as either."""
    plain = await gateway.post(path, question)
    pinned = await gateway.post(path, question | {"stream": True})
    streamed = await gateway.post(path, question | {"stream": True}, FRESH)
    assert ["vote", "cache", "vote"] == [
        got.headers["x-consistency-source"] for got in (plain, pinned, streamed)
    ]
    assert [200, 200, 200] == [got.status for got in (plain, pinned, streamed)]
    assert ANSWER == text_of(plain.json)
    for got in (pinned, streamed):
        payloads = [json.loads(event) for event in events(got)]
        assert ends == (payloads[0]["type"], payloads[-1]["type"])
        assert ANSWER == "".join(delta_of(payload) for payload in payloads)


def text_of(body: Any) -> str:
    """What a response or a message says."""
    content = body["content"] if body.get("type") == "message" else body["output"][0]["content"]
    return str(content[0]["text"])


def delta_of(event: Any) -> str:
    """The text that an event of either stream adds."""
    if event["type"] == "response.output_text.delta":
        return str(event["delta"])
    return str(event["delta"]["text"]) if event["type"] == "content_block_delta" else ""


@pytest.mark.parametrize(
    ("path", "name"),
    [(RESPONSES, "responses_tool"), (MESSAGES, "messages_tool"), (RESPONSES, "responses_schema")],
)
async def test_their_tools_and_schemas(path: str, name: str, gateway: Client) -> None:
    """Calls and answers by schema are voted on there too."""
    got = await gateway.post(path, QUESTIONS[name].body)
    assert (200, "vote", "unanimous") == (got.status, *got.about("source", "outcome"))
    assert "add" in got.text or '\\"sum\\":\\"5\\"' in got.text


@pytest.mark.parametrize(
    ("path", "name", "status"),
    [
        (RESPONSES, "responses_unknown_model", 404),
        (RESPONSES, "responses_too_long", 400),
        (MESSAGES, "messages_unknown_model", 404),
        (MESSAGES, "messages_too_long", 400),
    ],
)
async def test_their_errors(path: str, name: str, status: int, gateway: Client) -> None:
    """What vLLM refuses is refused in its own words and in the endpoint's own shape."""
    got = await gateway.post(path, QUESTIONS[name].body)
    assert status == got.status
    assert (path == MESSAGES) == (got.json.get("type") == "error")
    assert got.json["error"]["message"].startswith(
        ("The model `nobody` does", "This model's maximum context")
    )


async def test_models(gateway: Client) -> None:
    """The models are vLLM's."""
    got = await gateway.get("/v1/models")
    assert [("demo", "vllm", 2048)] == [
        (model["id"], model["owned_by"], model["max_model_len"]) for model in got.json["data"]
    ]


async def test_what_passes_through(gateway: Client) -> None:
    """Tokenizing is vLLM's own business."""
    got = await gateway.post("/tokenize", {"model": "demo", "prompt": "1+1"})
    assert (200, 3) == (got.status, got.json["count"])


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("chat_unknown_model", 404, "The model `nobody` does not exist"),
        ("chat_bad_temperature", 400, "temperature must be non-negative"),
        ("chat_too_long", 400, "maximum context length is 2048 tokens"),
        ("chat_greedy_n", 400, "n must be 1 when using greedy sampling"),
        ("chat_bad_salt", 400, "cache_salt"),
    ],
)
async def test_errors(name: str, status: int, words: str, gateway: Client) -> None:
    """What vLLM refuses is refused in its own words, at the first sample."""
    got = await gateway.post(CHAT, QUESTIONS[name].body)
    assert status == got.status
    assert words in got.json["error"]["message"]
