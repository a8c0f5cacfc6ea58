"""`python -m backend probe`, and the probe itself, against the real engine."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from backend.__main__ import main
from backend.torch.model import Model
from gateway.core.probe import ProbePlan, ProbeResult
from gateway.settings.model import Timeouts
from gateway.upstream.client import Client
from gateway.upstream.http_client import HttpClient
from gateway.upstream.probe import Target, probe
from gateway.upstream.slots import Slots
from tests.backend.conftest import Serve
from tests.doubles.redis_server import free_port
from tests.doubles.upstream import Reply, open_upstream

PLAN = ProbePlan(needles=3, copies=2, others=4, tokens=8)

pytestmark = pytest.mark.backend


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    made = HttpClient(Timeouts())
    yield made
    await made.aclose()


async def probed(
    client: Client, serve: Serve, model: Model, at_once: int | None, **options: int
) -> ProbeResult:
    server = await serve(model, **options)
    return await probe(
        Target(client, str(server._base_url).rstrip("/"), model.name, "torch", Slots(at_once)), PLAN
    )


async def test_continuous_batching_fails(client: Client, serve: Serve, noisy: Model) -> None:
    """Random weights in bfloat16, decoded in padded batches: logprobs depend on the batch, for every prompt.

    Seen for all prompts in every run; one is enough.
    """
    result = await probed(client, serve, noisy, None)
    assert "not deterministic" == result.verdict


async def test_batch_size_1_passes(client: Client, serve: Serve, noisy: Model) -> None:
    """The same model, one request at a time: a reference lane, to the last bit."""
    result = await probed(client, serve, noisy, None, max_batch_size=1)
    assert ("deterministic", [1, 1, 1]) == (result.verdict, [needle.scores for needle in result.needles])


async def test_one_call_at_a_time_passes(client: Client, serve: Serve, noisy: Model) -> None:
    """So does a server with continuous batching of which the gateway asks one thing at a time."""
    assert "deterministic" == (await probed(client, serve, noisy, 1)).verdict


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ([], "URL"),
        (["ftp://x"], "ftp://x: expected a url like http://host:8000"),
        (["http://127.0.0.1:1", "--copies", "0"], "--copies 0: must be at least 1"),
        (["http://127.0.0.1:1", "--tokens", "x"], "--tokens"),
        ([f"http://127.0.0.1:{free_port()}"], "no server answers there"),
    ],
)
def test_bad_usage(arguments: list[str], names: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and one line on stderr that names what is wrong."""
    try:
        code = main(["probe", *arguments])
    except SystemExit as stop:
        code = int(stop.code or 0)
    told = capsys.readouterr()
    assert names in told.err
    assert (2, 1, "") == (code, told.err.count("\n"), told.out)


def reply(text: str) -> Reply:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return Reply(body=json.dumps({"id": "c", "choices": [choice]}).encode())


async def command(url: str, *options: str) -> int:
    """The command has a loop of its own, and so a thread here."""
    return await asyncio.to_thread(main, ["probe", url, "--prompts", "2", "--others", "2", *options])


async def test_the_command_on_a_server_that_agrees(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0, a line for each prompt and the verdict."""
    async with open_upstream(reply("same")) as upstream:
        assert 0 == await command(f"{upstream.url}/v1")
    lines = capsys.readouterr().out.splitlines()
    assert f"{upstream.url}: m (openai), 2 prompts, alone and in batches of up to 4" == lines[0]
    assert "  distinct of 5 answers: 1 of text, no logprobs; 'Tell a story about a lighthouse.'" == lines[1]
    assert (
        "verdict: deterministic: 10 answers to 2 prompts, alone and in batches: one answer each" == lines[-1]
    )


async def test_the_command_on_a_server_that_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1; as JSON everything that was found."""
    async with open_upstream(*[reply("some text")] * 6, reply("some other")) as upstream:
        upstream.models = Reply(body=json.dumps({"data": [{"id": "m"}, {"id": "n"}]}).encode())
        assert 1 == await command(upstream.url, "--one-by-one", "--json", "--model", "n")
        assert {"n"} == {seen.body["model"] for seen in upstream.seen}
    told = json.loads(capsys.readouterr().out)
    assert ("n", "openai", "not deterministic") == (told["model"], told["engine"], told["verdict"])
    assert 5 == min(needle["divergence"] or 9 for needle in told["needles"])


async def test_the_command_on_a_server_that_fails(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 where answers are missing, and why."""
    async with open_upstream(503) as upstream:
        assert 2 == await command(upstream.url)
    assert "verdict: inconclusive: 10 answers are missing: status 503" in capsys.readouterr().out


async def test_a_model_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    """A model that the server does not list is refused before anything is asked, with what there is."""
    async with open_upstream("ok") as upstream:
        assert 2 == await command(upstream.url, "--model", "nope")
        assert [] == upstream.seen
    said = f"python -m backend probe: {upstream.url} has no model 'nope'; known: m\n"
    assert said == capsys.readouterr().err


async def test_a_server_that_lists_no_models(capsys: pytest.CaptureFixture[str]) -> None:
    """It cannot be asked without a model's name."""
    async with open_upstream("ok") as upstream:
        upstream.models = Reply(401, b"{}")
        assert 2 == await command(upstream.url)
    assert "lists no models: name one with --model" in capsys.readouterr().err
