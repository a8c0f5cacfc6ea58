"""What vLLM itself does with what the gateway sends it, and with clients that leave."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from secrets import token_hex
from typing import Any

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from gateway.core.probe import ProbePlan
from gateway.settings.model import Timeouts
from gateway.upstream.engines import CHAT, COMPLETIONS, MESSAGES, RESPONSES, sample_members
from gateway.upstream.http_client import HttpClient
from gateway.upstream.probe import Target, probe
from gateway.upstream.slots import Slots
from gateway.wire.body import parse_body
from gateway.wire.forms.table import FORMS
from tests.doubles.gateway import Client
from tests.doubles.waiting import until_async
from tests.vllm.questions import CHAT as QUESTION
from tests.vllm.questions import MESSAGES as MESSAGE
from tests.vllm.questions import QUESTIONS, TEXT, Asked
from tests.vllm.questions import RESPONSES as RESPONSE
from tests.wire.recordings import FOLDER, kind_of, recorded

pytestmark = pytest.mark.vllm

INDEX: dict[str, dict[str, Any]] = json.loads((FOLDER / "index.json").read_text())

LONG: dict[str, Any] = QUESTION | {"max_tokens": 1900, "ignore_eos": True}


class Engine:
    """vLLM, asked directly."""

    def __init__(self, url: str, session: ClientSession) -> None:
        self.url = url
        self._session = session

    async def ask(self, asked: Asked) -> tuple[int, str]:
        """The status and the body."""
        method = "GET" if asked.body is None else "POST"
        async with self._session.request(method, self.url + asked.path, json=asked.body) as answer:
            return answer.status, await answer.text()

    async def metric(self, name: str, **labels: str) -> float:
        """A metric of its own."""
        _, text = await self.ask(Asked("/metrics"))
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        found = (each for each in samples if each.name == name and labels.items() <= each.labels.items())
        return sum(each.value for each in found)

    async def running(self) -> float:
        return await self.metric("vllm:num_requests_running")

    async def ended(self) -> float:
        return await self.metric("vllm:request_success_total")

    async def tokens(self) -> float:
        return await self.metric("vllm:generation_tokens_total")


@pytest.fixture
async def engine(vllm: str) -> AsyncIterator[Engine]:
    async with ClientSession() as session:
        yield Engine(vllm, session)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves(stream: bool, engine: Engine, gateway: Client) -> None:  # noqa: FBT001  a parameter
    """All samples of a client that leaves are aborted in vLLM itself: none runs on, and none has ended.

    vLLM counts those that it aborts as neither, and its tokens stand still.
    """
    ended, tokens = await engine.ended(), await engine.tokens()
    asking = asyncio.create_task(gateway.post(CHAT, LONG | {"stream": stream, "seed": 11}))

    async def both_run() -> bool:
        return await engine.running() == 2

    async def none_runs() -> bool:
        return await engine.running() == 0

    await until_async(both_run)
    asking.cancel()
    await until_async(none_runs)
    assert ended == await engine.ended()
    assert await engine.tokens() - tokens < 2 * LONG["max_tokens"]


async def test_as_few_as_decide(engine: Engine, gateway: Client) -> None:
    """Two samples that agree decide k=3: vLLM computes two."""
    before = await engine.ended()
    await gateway.post(CHAT, QUESTION | {"max_tokens": 40, "seed": 12})
    assert 2 == await engine.ended() - before


@pytest.mark.parametrize(
    ("path", "body"), [(CHAT, QUESTION), (COMPLETIONS, TEXT), (RESPONSES, RESPONSE), (MESSAGES, MESSAGE)]
)
async def test_the_dialect(path: str, body: dict[str, Any], engine: Engine) -> None:
    """vLLM takes all that its dialect sends on each endpoint: seed, salt, and logprobs, which come back."""
    form = next(form for form in FORMS if form.path == path)
    plain = parse_body(json.dumps(body).encode())
    added = sample_members("vllm", path, seed=5, salt="scg-1", greedy=True) | form.margin_members(plain)
    status, answer = await engine.ask(Asked(path, json.loads(plain.forwarded((), added))))
    assert 200 == status
    assert (path != MESSAGES) == ('"logprob' in answer and '"logprobs":null' not in answer)


async def test_a_salt_keeps_prefixes_apart(engine: Engine) -> None:
    """A prompt is found in the prefix cache under its own salt only."""
    one, other = token_hex(8), token_hex(8)
    prompt = "".join(f"{number} + " for number in range(100))

    async def hits(salt: str) -> float:
        before = await engine.metric("vllm:prefix_cache_hits_total")
        await engine.ask(Asked(COMPLETIONS, TEXT | {"prompt": prompt, "max_tokens": 1, "cache_salt": salt}))
        return await engine.metric("vllm:prefix_cache_hits_total") - before

    assert [True, False, True] == [await hits(salt) == 0 for salt in (one, one, other)]


async def test_the_probe(vllm: str) -> None:
    """A probe of vLLM ends with a verdict, from texts and logprobs."""
    client = HttpClient(Timeouts())
    try:
        plan = ProbePlan(needles=2, copies=1, others=2, tokens=16)
        result = await probe(Target(client, vllm, "demo", "vllm", Slots(None)), plan)
    finally:
        await client.aclose()
    assert (0, [5, 5]) == (result.missing, [needle.answers for needle in result.needles])
    assert "inconclusive" != result.verdict
    assert all(needle.scores for needle in result.needles)


def members_of(value: Any, path: str = "") -> set[str]:
    """Where the members of a JSON value are; lists count for what is in them."""
    if isinstance(value, dict):
        return {path}.union(*(members_of(inner, f"{path}.{name}") for name, inner in value.items()))
    if isinstance(value, list):
        return {path}.union(*(members_of(inner, f"{path}[]") for inner in value))
    return {path}


def shape(kind: str, body: str) -> Sequence[Any]:
    """What an answer is made of, whatever it says, and in however many pieces a stream says it."""
    if not kind.startswith("text/event-stream"):
        return [members_of(json.loads(body))]
    data = [line.removeprefix("data: ") for line in body.splitlines() if line.startswith("data: ")]
    named = [line for line in body.splitlines() if line.startswith("event: ")]
    parts = [*named, *(members_of(json.loads(text)) for text in data if text != "[DONE]")]
    return [part for part, before in zip(parts, [None, *parts], strict=False) if part != before]


@pytest.mark.parametrize("name", QUESTIONS)
async def test_what_was_recorded(name: str, engine: Engine) -> None:
    """The recorded answers, which the tests of our readers replay, have the shape of what this vLLM answers."""
    status, body = await engine.ask(QUESTIONS[name])
    assert INDEX[name]["status"] == status
    assert shape(kind_of(name), recorded(name).decode()) == shape(kind_of(name), body)
