"""The vote as a client sees it, against scripted upstreams on real sockets."""

import asyncio
from functools import partial
from itertools import permutations

import pytest

from gateway.core.policy import PRESETS, named_policies
from gateway.settings.model import Limits
from tests.doubles.gateway import Client, open_gateway
from tests.doubles.upstream import ENDLESS, HALF, HANG, HTML, RESET, Answer, Reply, open_upstream, plain
from tests.doubles.waiting import until, until_async


async def test_the_mode_is_returned_byte_for_byte() -> None:
    """41, 42, 42: a 42 comes back in the bytes in which it was sent, labelled two of three."""
    async with open_upstream("41", "42", "42") as upstream, open_gateway(upstream) as client:
        got = await client.chat()
        assert 200 == got.status
        assert got.body in {plain("42", 1), plain("42", 2)}
        assert ("majority", "0.67", "3", "3", "2", "1") == got.about(
            "outcome", "agreement", "k", "samples", "distinct", "divergence"
        )
        assert ("vote", "majority", "9") == got.about("source", "policy", "tokens")
        assert "scg; fwd=miss; stored" == got.headers["cache-status"]
        assert 3 == len(upstream.seen)


async def test_two_that_agree_decide_three() -> None:
    """42, 42: the third sample is never sent."""
    async with open_upstream("42") as upstream, open_gateway(upstream) as client:
        got = await client.chat()
        assert ("unanimous", "1.00", "3", "2", "1") == got.about(
            "outcome", "agreement", "k", "samples", "distinct"
        )
        assert 2 == len(upstream.seen)
        assert 1 == await client.metric("scg_samples_saved_total", model="m", policy="majority")


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_a_tie_breaks_alike_in_every_order_of_arrival(order: tuple[int, ...]) -> None:
    """41, 42, 43: the same answer wins, whoever comes first."""
    policy = PRESETS["majority"].override({"stop": "all"})
    async with (
        open_upstream("41", "42", "43") as upstream,
        open_gateway(upstream, default_policy=policy) as client,
    ):
        upstream.gates = {index: asyncio.Event() for index in range(3)}
        asked = asyncio.create_task(client.chat())
        await upstream.asked(3)
        for arrived, index in enumerate(order):
            await until_async(partial(have_arrived, client, arrived))
            upstream.gates[index].set()
        got = await asked
        assert ("tie", "0.33", "3") == got.about("outcome", "agreement", "distinct")
        assert "43" == got.content


async def have_arrived(client: Client, number: int) -> bool:
    """Whether the gateway has had so many samples."""
    return number == await client.metric("scg_upstream_requests_total", upstream="u0", result="ok")


async def test_a_loser_in_flight_is_cut_off() -> None:
    """Once the round is decided, the upstream sees the last sample's connection close."""
    policy = PRESETS["majority"].override({"k": 5, "wave": 2})
    answers: tuple[Answer, ...] = ("a", "b", "a", "a", HANG)
    async with open_upstream(*answers) as upstream, open_gateway(upstream, default_policy=policy) as client:
        got = await client.chat()
        assert ("majority", "0.75", "4") == got.about("outcome", "agreement", "samples")
        async with asyncio.timeout(60):
            await upstream.seen[4].closed.wait()
        assert 1 == await client.metric("scg_samples_total", model="m", policy="majority", fate="cancelled")


@pytest.mark.parametrize("failure", [500, 429, 503, HTML, HALF])
async def test_one_bad_sample_is_an_abstention(failure: Answer) -> None:
    """A round in which one sample fails, in whatever way, still answers."""
    async with open_upstream(failure, "42", "42") as upstream, open_gateway(upstream) as client:
        got = await client.chat()
        assert (200, "42") == (got.status, got.content)
        assert ("unanimous", "1.00", "2") == got.about("outcome", "agreement", "samples")
        assert 1 == await client.metric("scg_samples_total", model="m", policy="majority", fate="abstained")


async def test_a_final_refusal_ends_the_round_at_once() -> None:
    """A 400 that no retry can mend is passed on in the upstream's own words, and the other sample is cut off."""
    async with open_upstream(HANG, 400) as upstream, open_gateway(upstream) as client:
        got = await client.chat()
        assert (400, "scripted 400") == (got.status, got.json["error"]["message"])
        async with asyncio.timeout(60):
            await upstream.seen[0].closed.wait()
        assert 0 == await client.metric("scg_samples_saved_total", model="m", policy="majority")


async def test_samples_of_a_vote_that_everybody_left_are_counted() -> None:
    """A client that leaves makes a 499 and two cancelled samples, and no round."""
    async with open_upstream(HANG) as upstream, open_gateway(upstream) as client:
        leaving = asyncio.create_task(client.chat())
        await upstream.asked(2)
        leaving.cancel()
        await until(lambda: client.inside.in_flight == 0 and not len(client.inside.flights))
        by = {"model": "m", "policy": "majority"}
        assert 2 == await client.metric("scg_samples_total", **by, fate="cancelled")
        left = {"endpoint": "chat_completions", **by, "source": "none", "status": "499"}
        assert 1 == await client.metric("scg_requests_total", **left)


async def test_a_429_is_passed_on_with_its_retry_after() -> None:
    """When quorum can no longer be reached the upstream's 429 reaches the client, so that its SDK waits."""
    async with open_upstream(429) as upstream, open_gateway(upstream) as client:
        got = await client.chat()
        assert (429, "7", "scripted 429") == (
            got.status,
            got.headers["retry-after"],
            got.json["error"]["message"],
        )


@pytest.mark.parametrize(
    ("answers", "status", "code"),
    [
        ((500, 503), 502, "no_quorum"),
        ((HTML,), 502, "no_quorum"),
        ((RESET,), 502, "no_quorum"),
        ((500,), 500, 500),
    ],
)
async def test_a_round_without_quorum(answers: tuple[Answer, ...], status: int, code: object) -> None:
    """Failures that are alike are passed on, others are a 502 that SDKs must not retry."""
    async with open_upstream(*answers) as upstream, open_gateway(upstream) as client:
        got = await client.chat()
        assert (status, code) == (got.status, got.json["error"]["code"])
        assert ("false" if status == 502 else None) == got.headers.get("x-should-retry")


async def test_an_endless_answer_is_bounded() -> None:
    """An upstream that never stops sending costs at most the bound, and an abstention."""
    limits = Limits(max_body=1 << 20)
    async with open_upstream(ENDLESS, "42") as upstream, open_gateway(upstream, limits=limits) as client:
        got = await client.chat(consistency={"k": 1})
        assert (200, "42") == (got.status, got.content)


async def test_an_upstream_that_is_down() -> None:
    """No connection to anybody: 502 that says so."""
    async with open_upstream() as upstream:
        pass
    async with open_gateway(upstream) as client:
        got = await client.chat()
        assert (502, "upstream_unreachable") == (got.status, got.json["error"]["code"])


async def test_disagreement_can_be_refused() -> None:
    """Below min_agreement under `reject`: 422 with the tally, nothing pinned, no retry."""
    choices = {"on_disagreement": "reject", "min_agreement": 0.9}
    async with open_upstream("41", "42", "42") as upstream, open_gateway(upstream) as client:
        got = await client.chat(consistency=choices)
        assert (422, "no_agreement", "false") == (
            got.status,
            got.json["error"]["code"],
            got.headers["x-should-retry"],
        )
        assert "3 samples, votes 2-1" in got.json["error"]["message"]
        assert ("majority", "0.67", "3") == got.about("outcome", "agreement", "samples")
        await client.chat(consistency=choices)
        assert 6 == len(upstream.seen)


async def test_a_refusal_for_want_of_answers_says_so() -> None:
    """No sample could be read, under `reject` and without a min_agreement: the 422 tells of that, with the tally."""
    async with open_upstream("none") as upstream, open_gateway(upstream) as client:
        got = await client.chat(consistency={"on_disagreement": "reject", "answer": "number"})
        expected = "too few answers could be read, 0 where 2 are needed: 3 samples, votes none"
        assert (422, expected) == (got.status, got.json["error"]["message"])
        assert ("no_quorum", "0.00") == got.about("outcome", "agreement")


async def test_a_refusal_is_shared() -> None:
    """Who asks while a vote runs that is refused gets the same 422, as joined."""
    choices = {"on_disagreement": "reject", "min_agreement": 0.9}
    async with open_upstream("41", "42", "43") as upstream, open_gateway(upstream) as client:
        gate = asyncio.Event()
        upstream.gates = {0: gate, 1: gate}
        first = asyncio.create_task(client.chat(consistency=choices))
        await upstream.asked(2)
        second = asyncio.create_task(client.chat(consistency=choices))
        (flight,) = client.inside.flights._by_key.values()
        await until(lambda: flight.waiting == 2)
        gate.set()
        got = await asyncio.gather(first, second)
        assert [(422, "vote"), (422, "joined")] == [(each.status, *each.about("source")) for each in got]
        assert 1 == len({each.body for each in got})


async def test_a_shared_refusal_names_the_policy_that_was_asked_for() -> None:
    """Two policies that vote alike share a vote that is refused, and each 422 has the name of its request's own."""
    alike = {"on_disagreement": "reject", "min_agreement": 0.9}
    policies = named_policies({name: {"extends": "majority"} | alike for name in ("x", "y")})
    async with (
        open_upstream("41", "42", "43") as upstream,
        open_gateway(upstream, policies=policies) as client,
    ):
        gate = asyncio.Event()
        upstream.gates = {0: gate, 1: gate}
        first = asyncio.create_task(client.chat({"x-consistency-policy": "x"}))
        await upstream.asked(2)
        second = asyncio.create_task(client.chat({"x-consistency-policy": "y"}))
        (flight,) = client.inside.flights._by_key.values()
        await until(lambda: flight.waiting == 2)
        gate.set()
        got = await asyncio.gather(first, second)
        assert [(422, "vote", "x"), (422, "joined", "y")] == [
            (each.status, *each.about("source", "policy")) for each in got
        ]


async def test_disagreement_can_escalate() -> None:
    """Below min_agreement under `escalate:N` more samples are taken, and the verdict is on all of them."""
    choices = {"on_disagreement": "escalate:8", "min_agreement": 0.5}
    async with (
        open_upstream("41", "42", "43", "42", "42", "42", "42") as upstream,
        open_gateway(upstream) as client,
    ):
        got = await client.chat(consistency=choices)
        assert ("42", "majority", "0.67", "8", "6") == (
            got.content,
            *got.about("outcome", "agreement", "k", "samples"),
        )
        assert 6 == len(upstream.seen)
        assert "scg; fwd=miss; stored" == got.headers["cache-status"]


async def test_reasoning_stops_when_it_is_confident() -> None:
    """The preset `reason` ends at 4-0 of fifteen: eleven samples are saved."""
    async with open_upstream("42") as upstream, open_gateway(upstream) as client:
        got = await client.chat({"x-consistency-policy": "reason"}, temperature=0.7)
        assert ("unanimous", "15", "4", "reason") == got.about("outcome", "k", "samples", "policy")
        assert 4 == len(upstream.seen)
        assert 11 == await client.metric("scg_samples_saved_total", model="m", policy="reason")


async def test_one_sample_is_labelled_so() -> None:
    """k=1: source and outcome say single."""
    async with open_upstream("42") as upstream, open_gateway(upstream) as client:
        got = await client.chat(headers={"x-consistency-policy": "single"})
        assert ("single", "single", "1", "single") == got.about("source", "outcome", "k", "policy")


async def test_normalized_answers_ignore_white_space() -> None:
    """Under `normalized` three spellings of one answer are unanimous; their texts still differ."""
    choices = {"answer": "normalized", "stop": "all"}
    async with open_upstream("a b", "a  b", "a b\n") as upstream, open_gateway(upstream) as client:
        got = await client.chat(consistency=choices)
        assert ("unanimous", "1.00", "1", "2") == got.about("outcome", "agreement", "distinct", "divergence")


async def test_seeds_at_temperature_0_and_above() -> None:
    """Copies share the seed at temperature 0; above it sample i has seed + i, as the engines' own n has."""
    async with open_upstream("a", "b", "c") as upstream, open_gateway(upstream) as client:
        await client.chat(seed=7)
        await client.chat(seed=7, temperature=0.5)
        assert [7, 7, 7, 7, 8, 9] == [seen.body["seed"] for seen in upstream.seen]


async def test_an_unseeded_request_gets_a_seed_of_its_content() -> None:
    """Without a seed, or with null, the same 31-bit seed is derived each time; another prompt has another."""
    async with open_upstream("a") as upstream, open_gateway(upstream) as client:
        no_store = {"cache-control": "no-store"}
        await client.chat(no_store)
        await client.chat(no_store, seed=None)
        await client.chat(no_store, max_tokens=5)
        first, _, second, _, other, _ = (seen.body["seed"] for seen in upstream.seen)
        assert first == second != other
        assert 0 <= first < 2**31


async def test_copies_go_to_different_replicas() -> None:
    """With two upstreams the two samples of a round go to one each."""
    async with open_upstream("42") as one, open_upstream("42") as two, open_gateway(one, two) as client:
        await client.chat()
        assert (1, 1) == (len(one.seen), len(two.seen))


async def test_a_dead_replica_costs_an_abstention() -> None:
    """One of two upstreams is gone: every request still succeeds."""
    async with open_upstream("42") as dead:
        pass
    async with open_upstream("42") as alive, open_gateway(dead, alive) as client:
        for number in range(5):
            assert 200 == (await client.chat(seed=number)).status
        assert "degraded" == (await client.get("/readyz")).json["status"]


async def test_pairs_count_the_first_two_ballots() -> None:
    """The consistency rate's counter takes one pair a round: samples 0 and 1, whoever won."""
    async with open_upstream("41", "42", "42") as upstream, open_gateway(upstream) as client:
        await client.chat()
        labels = {"model": "m", "policy": "majority", "spread": "together"}
        assert 1 == await client.metric("scg_pairs_total", **labels, result="different")
        assert 0 == await client.metric("scg_pairs_total", **labels, result="same")


async def test_tool_calls_vote_by_name_and_arguments() -> None:
    """Calls that differ in nothing but the engine's random id are the same answer, returned untouched."""

    def call(identity: str, city: str) -> Reply:
        function = f'{{"name":"weather","arguments":"{{\\"city\\":\\"{city}\\"}}"}}'
        calls = f'[{{"id":"{identity}","type":"function","function":{function}}}]'
        message = f'{{"role":"assistant","content":null,"tool_calls":{calls}}}'
        choice = f'{{"index":0,"message":{message},"finish_reason":"tool_calls"}}'
        return Reply(body=f'{{"id":"x","choices":[{choice}]}}'.encode())

    answers = call("call_1", "Rome"), call("call_2", "Oslo"), call("call_3", "Rome")
    async with open_upstream(*answers) as upstream, open_gateway(upstream) as client:
        got = await client.chat(tools=[{"type": "function", "function": {"name": "weather"}}])
        assert ("majority", "0.67") == got.about("outcome", "agreement")
        assert got.body in {answers[0].body, answers[2].body}
