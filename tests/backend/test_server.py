import asyncio
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from backend.torch.config import EngineConfig
from backend.torch.model import Model
from backend.torch.operations import ENGINE
from backend.torch.server import create_app
from tests.backend.conftest import Serve

pytestmark = pytest.mark.backend

SUM = [{"role": "user", "content": "What is 23 + 48 - 17?"}]
ENDLESS = {"messages": SUM, "max_tokens": 1500, "ignore_eos": True, "temperature": 0}


async def post(client: aiohttp.ClientSession, path: str, **body: Any) -> Any:
    async with client.post(path, json=body) as response:
        return await response.json()


async def chat(client: aiohttp.ClientSession, **body: Any) -> Any:
    return await post(client, "/v1/chat/completions", **({"messages": SUM, "temperature": 0} | body))


async def events(response: aiohttp.ClientResponse) -> AsyncIterator[Any]:
    """The JSON of each event; ends at [DONE], which must be the last."""
    async for line in response.content:
        text = line.decode()
        if not text.strip():
            continue
        assert text.startswith("data: ")
        if text.strip() == "data: [DONE]":
            assert b"\n" == await response.content.read()
            return
        yield json.loads(text.removeprefix("data: "))
    pytest.fail("the stream ended without [DONE]")


async def stream(client: aiohttp.ClientSession, path: str, **body: Any) -> list[Any]:
    async with client.post(path, json=body | {"stream": True}) as response:
        assert "text/event-stream" == response.content_type
        return [event async for event in events(response)]


async def metric(client: aiohttp.ClientSession, name: str) -> float:
    async with client.get("/metrics") as response:
        lines = (await response.text()).splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(name))


async def until(client: aiohttp.ClientSession, name: str, expected: float) -> None:
    """Ask until the metric says so; the test's own timeout is the bound."""
    while await metric(client, name) != expected:
        pass


async def test_demo_answers_a_sum(serve: Serve, demo: Model) -> None:
    """The shipped model works a sum out and ends with a line `#### N`, in OpenAI's shape."""
    client = await serve(demo)

    answer = await chat(client, max_tokens=200)

    choice = answer["choices"][0]
    assert choice["message"]["content"].splitlines()[-1].removeprefix("#### ").lstrip("-").isdigit()
    assert ("assistant", "stop", None) == (
        choice["message"]["role"],
        choice["finish_reason"],
        choice["stop_reason"],
    )
    assert ("chat.completion", "demo") == (answer["object"], answer["model"])
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    # One token a byte, and the end.
    assert len(choice["message"]["content"]) + 1 == usage["completion_tokens"]


@pytest.mark.parametrize("sampling", [{"temperature": 0}, {"temperature": 1, "seed": 5}])
async def test_a_streamed_chat_is_the_plain_one(serve: Serve, noisy: Model, sampling: dict[str, Any]) -> None:
    """Role first, one id throughout, usage last; the deltas make the plain text, broken bytes included."""
    client = await serve(noisy, max_batch_size=1)
    body = {"messages": SUM, "max_tokens": 40, "stop": ["zz"]} | sampling
    plain = await post(client, "/v1/chat/completions", **body)

    chunks = await stream(client, "/v1/chat/completions", **body, stream_options={"include_usage": True})

    assert {"role": "assistant", "content": ""} == chunks[0]["choices"][0]["delta"]
    assert 1 == len({(chunk["id"], chunk["created"], chunk["model"], chunk["object"]) for chunk in chunks})
    assert ([], plain["usage"]) == (chunks[-1]["choices"], chunks[-1]["usage"])
    choices = [chunk["choices"][0] for chunk in chunks[:-1]]
    text = "".join(choice["delta"].get("content", "") for choice in choices)
    assert plain["choices"][0]["message"]["content"] == text
    assert [None] * (len(choices) - 1) + ["length"] == [choice["finish_reason"] for choice in choices]


async def test_a_streamed_completion_is_the_plain_one(serve: Serve, demo: Model) -> None:
    """The same for /v1/completions, with logprobs and offsets; without include_usage there is no usage."""
    client = await serve(demo, max_batch_size=1)
    body = {"prompt": "1+2", "max_tokens": 9, "temperature": 0, "logprobs": 2}
    plain = (await post(client, "/v1/completions", **body))["choices"][0]

    chunks = await stream(client, "/v1/completions", **body)

    assert not any("usage" in chunk for chunk in chunks)
    choices = [chunk["choices"][0] for chunk in chunks]
    assert plain["text"] == "".join(choice["text"] for choice in choices)
    for member in ("tokens", "token_logprobs", "text_offset"):
        assert plain["logprobs"][member] == [
            item for choice in choices for item in choice["logprobs"][member]
        ]


async def test_chat_logprobs_and_token_ids(serve: Serve, demo: Model) -> None:
    """Each token has its logprob and alternatives; greedy takes the first of them; ids come on demand."""
    client = await serve(demo)

    answer = await chat(client, max_tokens=5, logprobs=True, top_logprobs=3, return_token_ids=True)

    choice = answer["choices"][0]
    entries = choice["logprobs"]["content"]
    assert choice["message"]["content"] == "".join(entry["token"] for entry in entries)
    assert [3] * 5 == [len(entry["top_logprobs"]) for entry in entries]
    assert all(entry["logprob"] == entry["top_logprobs"][0]["logprob"] for entry in entries)
    assert 5 == len(choice["token_ids"])
    assert answer["usage"]["prompt_tokens"] == len(choice["prompt_token_ids"])


async def test_no_part_of_a_stop_string_is_streamed(serve: Serve, demo: Model) -> None:
    """The text ends before the stop string, plain and streamed, and stop_reason names it."""
    client = await serve(demo)
    body = {"messages": SUM, "temperature": 0, "stop": ["###"], "max_tokens": 200}
    plain = (await post(client, "/v1/chat/completions", **body))["choices"][0]

    chunks = await stream(client, "/v1/chat/completions", **body)

    last = chunks[-1]["choices"][0]
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert plain["message"]["content"] == text
    assert text.endswith("\n")
    assert ("stop", "###") == (plain["finish_reason"], plain["stop_reason"])
    assert ("stop", "###") == (last["finish_reason"], last["stop_reason"])


async def test_stop_tokens(serve: Serve, demo: Model) -> None:
    """A stop token ends the answer, is not part of it, and is the stop_reason."""
    client = await serve(demo)
    newline = demo.tokenizer.encode("\n")[0]

    choice = (await chat(client, stop_token_ids=[newline]))["choices"][0]

    assert ("stop", newline) == (choice["finish_reason"], choice["stop_reason"])
    assert "\n" not in choice["message"]["content"]


async def test_n_answers_have_seeds_in_a_row(serve: Serve, demo: Model) -> None:
    """`n=3, seed=7` gives the answers of seeds 7, 8 and 9, plain and streamed."""
    client = await serve(demo, max_batch_size=1)
    body = {"messages": SUM, "temperature": 1.5, "max_tokens": 20}

    together = await post(client, "/v1/chat/completions", **body, n=3, seed=7)
    chunks = await stream(client, "/v1/chat/completions", **body, n=3, seed=7)

    texts = [choice["message"]["content"] for choice in together["choices"]]
    alone = [await post(client, "/v1/chat/completions", **body, seed=seed) for seed in (7, 8, 9)]
    assert [answer["choices"][0]["message"]["content"] for answer in alone] == texts
    streamed = ["", "", ""]
    for choice in (chunk["choices"][0] for chunk in chunks):
        streamed[choice["index"]] += choice["delta"].get("content", "")
    assert texts == streamed


async def test_batch_of_one_is_deterministic(serve: Serve, noisy: Model) -> None:
    """One at a time even random weights give one text, five times over, whoever else is waiting."""
    client = await serve(noisy, max_batch_size=1)
    others = [chat(client, messages=[{"role": "user", "content": "x" * n}], max_tokens=4) for n in (3, 30)]

    answers = await asyncio.gather(*(chat(client, max_tokens=30) for _ in range(5)), *others)

    assert 1 == len({answer["choices"][0]["message"]["content"] for answer in answers[:5]})


async def test_more_requests_than_slots_all_finish(serve: Serve, demo: Model) -> None:
    """Thirty requests on four slots: all are answered, and afterwards nothing runs or waits."""
    client = await serve(demo, max_batch_size=4)

    answers = await asyncio.gather(*(chat(client, max_tokens=1 + n % 7) for n in range(30)))

    assert [1 + n % 7 for n in range(30)] == [answer["usage"]["completion_tokens"] for answer in answers]
    assert 0 == await metric(client, "vllm:num_requests_running")
    assert 0 == await metric(client, "vllm:num_requests_waiting")
    assert 30 == await metric(client, 'vllm:request_success_total{finished_reason="length"')
    spent = sum(answer["usage"]["completion_tokens"] for answer in answers)
    assert spent == await metric(client, "vllm:generation_tokens_total")


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_client_that_leaves_frees_its_slot(serve: Serve, demo: Model, streamed: bool) -> None:  # noqa: FBT001
    """Closing the connection aborts the generation: the next in the queue is served, the metrics say abort."""
    client = await serve(demo, max_batch_size=1)
    leaver = asyncio.create_task(_post_and_read(client, ENDLESS | {"stream": streamed}))
    await until(client, "vllm:num_requests_running", 1)
    waiter = asyncio.create_task(chat(client, max_tokens=2))
    await until(client, "vllm:num_requests_waiting", 1)

    leaver.cancel()
    answer = await waiter

    assert 2 == answer["usage"]["completion_tokens"]
    assert 1 == await metric(client, 'vllm:request_success_total{finished_reason="abort"')
    assert 0 == await metric(client, "vllm:num_requests_running")


async def test_one_that_leaves_the_queue(serve: Serve, demo: Model) -> None:
    """A client that gives up while waiting is forgotten without having been served."""
    client = await serve(demo, max_batch_size=1)
    running = asyncio.create_task(_post_and_read(client, ENDLESS))
    await until(client, "vllm:num_requests_running", 1)
    waiting = asyncio.create_task(_post_and_read(client, ENDLESS))
    await until(client, "vllm:num_requests_waiting", 1)

    waiting.cancel()

    await until(client, "vllm:num_requests_waiting", 0)
    assert 1 == await metric(client, "vllm:num_requests_running")
    running.cancel()
    await until(client, "vllm:num_requests_running", 0)


async def _post_and_read(client: aiohttp.ClientSession, body: dict[str, Any]) -> bytes:
    async with client.post("/v1/chat/completions", json=body) as response:
        return await response.read()


async def test_the_server_answers_while_the_model_computes(serve: Serve, demo: Model) -> None:
    """Steps run in a thread: twenty health checks are answered before a long generation ends."""
    client = await serve(demo)
    long = asyncio.create_task(_post_and_read(client, ENDLESS))
    await until(client, "vllm:num_requests_running", 1)

    for _ in range(20):
        async with client.get("/health") as response:
            assert 200 == response.status

    assert not long.done()
    long.cancel()


async def test_a_full_queue_is_429(serve: Serve, demo: Model) -> None:
    """Of eight at once one runs and one waits; the others are told to come back, as JSON, though they stream."""
    client = await serve(demo, max_batch_size=1, max_waiting=1)

    async def ask() -> tuple[int, str | None, bytes]:
        body = ENDLESS | {"stream": True, "max_tokens": 400}
        async with client.post("/v1/chat/completions", json=body) as response:
            return response.status, response.headers.get("Retry-After"), await response.read()

    # All at once, so that no answer, however fast, ends before the last of them is there.
    asked = [asyncio.create_task(ask()) for _ in range(8)]
    told = await asyncio.gather(*asked)

    refused = [
        (status, after, json.loads(body)["error"]["type"]) for status, after, body in told if status != 200
    ]
    assert [(429, "1", "rate_limit_error")] * 6 == refused
    await until(client, "vllm:num_requests_running", 0)
    assert 2 == (await chat(client, max_tokens=2))["usage"]["completion_tokens"]


async def test_draining_is_503(demo: Model) -> None:
    """A server that stops refuses what is new, says so to /health, and still finishes what it has begun."""
    app = create_app(demo, EngineConfig(), "demo", grace=60)
    async with TestClient(TestServer(app)) as client:
        begun = await client.post("/v1/completions", json={"prompt": "1", "max_tokens": 99, "stream": True})
        stop = asyncio.create_task(app[ENGINE].drain(60))
        await asyncio.sleep(0)

        refused = await client.post("/v1/completions", json={"prompt": "1"})
        health = await client.get("/health")

        assert (503, "1", 503) == (refused.status, refused.headers["Retry-After"], health.status)
        chunks = [chunk async for chunk in events(begun)]
        assert chunks[-1]["choices"][0]["finish_reason"] in {"stop", "length"}
        await stop


async def test_tokens_and_back(serve: Serve, demo: Model) -> None:
    """/tokenize and /detokenize have vLLM's shape, for texts and for conversations."""
    client = await serve(demo)

    answer = await post(client, "/tokenize", prompt="1+2", return_token_strs=True)
    talk = await post(client, "/tokenize", messages=SUM)
    text = await post(client, "/detokenize", tokens=answer["tokens"])
    wrong = [await post(client, "/tokenize"), await post(client, "/detokenize", tokens=[9999])]

    assert (3, 2048, ["1", "+", "2"]) == (answer["count"], answer["max_model_len"], answer["token_strs"])
    assert {"prompt": "1+2"} == text
    assert list(demo.tokenizer.chat(SUM)) == talk["tokens"]
    assert ["prompt", "tokens"] == [one["error"]["param"] for one in wrong]


async def test_metrics_have_vllms_names(serve: Serve, demo: Model) -> None:
    """What a dashboard made for vLLM asks for is there from the start, and moves."""
    client = await serve(demo)
    names = [
        "vllm:num_requests_running",
        "vllm:num_requests_waiting",
        "vllm:kv_cache_usage_perc",
        "vllm:prompt_tokens_total",
        "vllm:generation_tokens_total",
        "vllm:request_success_total",
        "vllm:iteration_tokens_total_count",
        "vllm:time_to_first_token_seconds_count",
        "vllm:e2e_request_latency_seconds_count",
    ]
    before = {name: await metric(client, name) for name in names}

    answer = await chat(client, max_tokens=4)

    assert dict.fromkeys(names, 0) == before
    assert answer["usage"]["prompt_tokens"] == await metric(client, "vllm:prompt_tokens_total")
    # The prompt's step draws the first token.
    assert 4 == await metric(client, "vllm:iteration_tokens_total_count")
    assert 1 == await metric(client, "vllm:time_to_first_token_seconds_count")
    assert 1 == await metric(client, "vllm:e2e_request_latency_seconds_count")


@pytest.mark.parametrize(
    ("call", "body", "status", "code"),
    [
        (("POST", "/v1/chat/completions"), b"{", 400, None),
        (("POST", "/v1/chat/completions"), b'{"messages": [], "model": "demo"}', 400, None),
        (("POST", "/v1/completions"), b'{"prompt": "x", "model": "gpt-9"}', 404, "model_not_found"),
        (("POST", "/v1/completions"), b'{"prompt": "%s"}' % (b"1" * 3000), 400, "context_length_exceeded"),
        (("POST", "/v1/completions"), b" " * (17 * 2**20), 413, None),
        (("GET", "/v1/completions"), b"", 405, None),
        (("GET", "/v1/nothing"), b"", 404, None),
    ],
)
async def test_errors_have_openais_shape(
    serve: Serve, demo: Model, call: tuple[str, str], body: bytes, status: int, code: str | None
) -> None:
    """Whatever is wrong with a request, the reply is an OpenAI error and the server lives on."""
    client = await serve(demo)

    async with client.request(*call, data=io.BytesIO(body)) as response:
        error = (await response.json())["error"]

    assert (status, code) == (response.status, error["code"])
    assert {"message", "type", "param", "code"} == set(error)
    assert "invalid_request_error" == error["type"]
    async with client.get("/health") as response:
        assert 200 == response.status


async def test_what_the_server_says_of_itself(serve: Serve, noisy: Model) -> None:
    """/v1/models has vLLM's members, and /version changes with all that can change an answer."""
    client = await serve(noisy)

    async with client.get("/v1/models") as response:
        entry = (await response.json())["data"][0]
    async with client.get("/version") as response:
        version = (await response.json())["version"]

    assert ("random", "model", None, 2048) == tuple(
        entry[member] for member in ("id", "object", "parent", "max_model_len")
    )
    assert entry["root"].endswith("-seed0")
    assert "bfloat16" in version
    assert "invariant" not in version
    invariant = await serve(noisy, batch_invariant=True)
    async with invariant.get("/version") as response:
        assert (await response.json())["version"].endswith(".invariant")
