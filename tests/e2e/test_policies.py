"""Every kind of policy on samples of the real PyTorch backend, and another one of it as the reference lane."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from gateway.core.policy import PRESETS, Policy
from gateway.core.stopping import is_confident
from gateway.settings.model import Settings, UpstreamSettings
from tests.doubles import processes
from tests.doubles.gateway import Client, Got, open_gateway_for
from tests.doubles.processes import Running
from tests.doubles.waiting import until

pytestmark = [pytest.mark.backend, pytest.mark.processes]

ASK: dict[str, Any] = {"model": "demo", "max_tokens": 200, "seed": 7}
EASY: list[Any] = [{"role": "user", "content": "What is 23 + 48 - 17 + 5?"}]
ALIKE: dict[str, Any] = ASK | {"messages": EASY, "temperature": 0}
WILD: dict[str, Any] = ALIKE | {"temperature": 2, "max_tokens": 24}  # no two samples are the same text


def settings(fast: Running, policy: Policy, **members: Any) -> Settings:
    upstreams = (UpstreamSettings(name="fast", url=fast.url), *members.pop("lanes", ()))
    return Settings(upstreams=upstreams, default_policy=policy, **members)


async def ask(client: Client, question: dict[str, Any], **members: Any) -> Got:
    return await client.post("/v1/chat/completions", question | members)


RULES: dict[str, dict[str, Any]] = {
    "normalized": {},
    "number": {},
    "regex:#### ([0-9]+)": {},
    "math": {},
    "json": {"response_format": {"type": "json_schema", "json_schema": {
        "name": "sum", "schema": {"type": "object", "properties": {"sum": {"enum": ["5", "59"]}},
                                  "required": ["sum"], "additionalProperties": False}}}},
    "choice": {"structured_outputs": {"choice": ["I say (A).", "I say (B)."]}},
    "boxed": {"structured_outputs": {"regex": r"\\boxed\{[0-9]\}"}},
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
async def test_an_answer_of_every_kind(rule: str, demo_backend: Running) -> None:
    """What the model wrote is read by each rule: no sample is spoiled, and the greedy ones agree."""
    policy = PRESETS["majority"].override({"answer": rule, "min_agreement": 1.0, "on_disagreement": "reject"})
    async with open_gateway_for(settings(demo_backend, policy)) as client:
        got = await ask(client, ALIKE, **RULES[rule])
        assert (200, "unanimous", "1.00", "1") == (got.status, *got.about("outcome", "agreement", "distinct"))
        assert 3 == await client.metric("scg_samples_total", model="demo", policy="majority", fate="ballot")


@pytest.mark.parametrize("terms", [3, 8])
async def test_confidence_saves_samples(terms: int, demo_backend: Running) -> None:
    """Diverse samples under `beta:0.95`: the vote ends when it is confident, or cannot be lost, and not before."""
    policy = replace(PRESETS["reason"], answer="number")
    question = f"What is {' + '.join(map(str, range(11, 11 + terms)))}?"
    async with open_gateway_for(settings(demo_backend, policy)) as client:
        got = await ask(client, ASK, messages=[{"role": "user", "content": question}], temperature=0.8)
        k, samples, distinct = map(int, got.about("k", "samples", "distinct"))
        ballots = await client.metric("scg_samples_total", model="demo", policy="reason", fate="ballot")
        lead = round(float(*got.about("agreement")) * samples)
        second = int(ballots) - lead  # where there are no more than two answers
        assert (200, 15, True) == (got.status, k, 4 <= samples <= 15)
        is_over = samples == k or is_confident("0.95", lead, second) or lead - second > k - samples
        assert is_over or distinct > 2


async def test_disagreement(demo_backend: Running) -> None:
    """Where samples differ, `reject` is a 422 with the tally, and `escalate:5` asks for five; else neither is heard."""
    for how, wild, alike in (("reject", (422, "3"), (200, "3")), ("escalate:5", (200, "5"), (200, "3"))):
        policy = PRESETS["majority"].override({"min_agreement": 1.0, "on_disagreement": how})
        async with open_gateway_for(settings(demo_backend, policy)) as client:
            for question, expected in ((WILD, wild), (ALIKE, alike)):
                got = await ask(client, question)
                assert expected == (got.status, *got.about("samples"))
                assert (got.status == 422) is ("votes 1-1-1" in got.text)


@pytest.fixture(scope="module")
def reference_backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The same model, one request at a time."""
    with processes.backend(tmp_path_factory.mktemp("reference"), "--max-batch-size", "1") as running:
        yield running


async def test_a_reference_lane(demo_backend: Running, reference_backend: Running) -> None:
    """Under `strict` it is asked where samples differ, and nowhere else, and what it says is pinned."""
    lane = UpstreamSettings(name="ref", url=reference_backend.url, lane="reference", trust=True)
    async with open_gateway_for(settings(demo_backend, PRESETS["strict"], lanes=(lane,))) as client:
        alike, wild, again = [await ask(client, question) for question in (ALIKE, WILD, WILD)]
        assert [("vote",), ("reference",), ("cache",)] == [
            got.about("source") for got in (alike, wild, again)
        ]
        assert wild.content == again.content
        assert 1 == reference_backend.metric("vllm:request_success_total")


@pytest.mark.parametrize(("policy", "times"), [("single", 1), ("majority", 2)])
async def test_questions_asked_again(policy: str, times: int, demo_backend: Running) -> None:
    """`measure` after a single answer and `recheck` after a hit ask the model again: pairs of answers apart."""
    made = PRESETS[policy].override({"answer": "number", "measure": 1.0, "recheck": 1.0, "cache": times > 1})
    async with open_gateway_for(settings(demo_backend, made)) as client:
        client.inside.background.apart = (0.0, 0.0)
        for _ in range(times):
            assert 200 == (await ask(client, ALIKE)).status
        await until(lambda: not len(client.inside.background))
        kind = {"model": "demo", "policy": policy, "spread": "apart"}
        pairs = [
            await client.metric("scg_pairs_total", **kind, result=result) for result in ("same", "different")
        ]
        assert [2.0 if policy == "single" else 1.0, 0.0] == pairs
