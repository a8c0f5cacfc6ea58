"""The vote ledger: what an auditor reads of a vote, and that nobody waits for it."""

import json
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import pytest

from gateway.core.policy import PRESETS
from gateway.settings.model import CacheSettings, LedgerSettings
from tests.doubles.gateway import open_gateway
from tests.doubles.redis_server import RedisServer
from tests.doubles.upstream import HANG, open_upstream
from tests.doubles.waiting import until_async

pytestmark = pytest.mark.processes

ON = LedgerSettings(stream=True)


def entries(redis: RedisServer) -> Sequence[Any]:
    """What is in the ledger, the oldest first."""
    return [json.loads(fields[b"round"]) for _, fields in redis.ask("XRANGE", "scg:ledger", "-", "+")]


async def written(client: Any, number: int) -> None:
    """Wait until so many rounds are in the ledger."""

    async def are() -> bool:
        return bool(number == await client.metric("scg_ledger_rounds_total", result="written"))

    await until_async(are)


def replayed(entry: Any) -> str:
    """The hash of the winning text, by the rules of the documentation alone."""
    ballots = [sample for sample in entry["samples"] if sample["fate"] == "ballot"]

    def first(candidates: Sequence[str]) -> str:
        return min(Counter(candidates).items(), key=lambda item: (-item[1], item[0]))[0]

    answer = first([ballot["answer"] for ballot in ballots])
    return first([ballot["text"] for ballot in ballots if ballot["answer"] == answer])


@pytest.mark.parametrize(
    ("answers", "fates"),
    [
        (["1", "2", "2"], ["ballot"] * 3),
        (["1", "2", "3"], ["ballot"] * 3),
        (["it is 1", "1", "2"], ["ballot"] * 3),
        (["1", "none", "1"], ["ballot", "spoiled", "ballot"]),
        (["1", 500, "1", "1"], ["ballot", "abstained", "ballot", "ballot"]),
    ],
    ids=["majority", "tie", "one answer in two texts", "spoiled", "abstained"],
)
async def test_an_auditor_counts_again(
    redis_server: RedisServer, answers: list[str | int], fates: list[str]
) -> None:
    """The entry names every sample in order, and from its hashes alone follows who wins; it has no text in it."""
    policy = PRESETS["majority"].override({"answer": "number", "stop": "all"})
    async with (
        open_upstream(*answers) as upstream,
        open_gateway(
            upstream, cache=CacheSettings(url=redis_server.url, timeout=30), ledger=ON, default_policy=policy
        ) as client,
    ):
        got = await client.chat()
        await written(client, 1)
    (entry,) = entries(redis_server)
    samples = entry["samples"]
    assert (list(range(len(fates))), fates) == (
        [sample["index"] for sample in samples],
        [sample["fate"] for sample in samples],
    )
    won = sha256(bytes.fromhex(entry["question"]) + got.content.encode()).hexdigest()
    assert won == replayed(entry) == samples[entry["winner"]]["text"]
    assert got.about("key", "outcome", "policy") == (entry["key"], entry["outcome"], entry["policy"])
    assert ("m", "won", "u0") == (entry["model"], entry["pin"], samples[entry["winner"]]["upstream"])
    assert all((sample["text"] == "") == (sample["fate"] == "abstained") for sample in samples)


async def test_a_vote_that_failed_is_there_as_well(redis_server: RedisServer) -> None:
    """Without a verdict there is no winner; samples that were cut off are named."""
    async with (
        open_upstream(HANG, 401) as upstream,
        open_gateway(upstream, cache=CacheSettings(url=redis_server.url, timeout=30), ledger=ON) as client,
    ):
        assert 401 == (await client.chat()).status
        await written(client, 1)
    (entry,) = entries(redis_server)
    assert ["cancelled", "abstained"] == [sample["fate"] for sample in entry["samples"]]
    assert (-1, "no_quorum", "off") == (entry["winner"], entry["outcome"], entry["pin"])


async def test_its_length_is_bounded(redis_server: RedisServer) -> None:
    """The stream holds about as many rounds as it may, the latest ones."""
    async with (
        open_upstream("42") as upstream,
        open_gateway(
            upstream,
            cache=CacheSettings(url=redis_server.url, timeout=30),
            ledger=LedgerSettings(stream=True, length=10),
            default_policy=PRESETS["single"].override({"measure": 0}),
        ) as client,
    ):
        for seed in range(250):
            await client.chat(seed=seed)
        await written(client, 250)
    assert 10 <= redis_server.ask("XLEN", "scg:ledger") <= 10 + 100  # Redis cuts whole nodes of 100


async def test_without_redis_it_drops_and_counts(redis_server: RedisServer) -> None:
    """With Redis gone requests are answered as ever; what the ledger misses is counted."""
    async with (
        open_upstream("42") as upstream,
        open_gateway(upstream, cache=CacheSettings(url=redis_server.url, timeout=30), ledger=ON) as client,
    ):
        redis_server.kill()
        assert 200 == (await client.chat()).status

        async def dropped() -> bool:
            return 1 == await client.metric("scg_ledger_rounds_total", result="dropped")

        await until_async(dropped)


async def test_it_is_off_unless_wanted(redis_server: RedisServer) -> None:
    """By default nothing is recorded."""
    async with (
        open_upstream("42") as upstream,
        open_gateway(upstream, cache=CacheSettings(url=redis_server.url, timeout=30)) as client,
    ):
        await client.chat()
        assert client.inside.ledger is None
    assert 0 == redis_server.ask("EXISTS", "scg:ledger")
