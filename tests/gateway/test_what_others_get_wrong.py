"""Troubles that users of other voters and caches report, by their trackers' numbers, each shown not to be ours."""

import asyncio
import json

from gateway.core.policy import PRESETS
from gateway.wire.sse import EventDecoder
from tests.doubles.gateway import HELLO, open_gateway
from tests.doubles.upstream import Paced, open_upstream


async def test_a_label_that_flips_in_a_json_answer_is_voted_on() -> None:
    """JSON labels that flip under load (vllm-ascend#11317): spelling does not split the vote, the value decides."""
    answers = (
        '{"label": "neutral", "score": 60}',
        '{"score":70,"label":"weak"}',
        '{"score":60.0,"label":"neutral"}',
    )
    policy = PRESETS["majority"].override({"answer": "json"})
    async with open_upstream(*answers) as upstream, open_gateway(upstream, default_policy=policy) as client:
        got = await client.chat()
        assert ("neutral", 60) == ((said := json.loads(got.content))["label"], said["score"])
        assert ("majority", "0.67", "2") == got.about("outcome", "agreement", "distinct")


async def test_a_vote_does_not_delay_the_first_token_to_its_end() -> None:
    """Voters that wait for every sample before the first token (optillm#113): the shared beginning comes at once."""
    paced = Paced("shared", 3), Paced("shared", 3)
    async with open_upstream(*paced) as upstream, open_gateway(upstream) as client:
        body = HELLO | {"stream": True}
        async with client.session.post(client.url + "/v1/chat/completions", json=body) as response:
            events, shown = EventDecoder(), ""
            while shown != "sha":  # no sample can end before they are let go
                for event in events.feed(await response.content.readany()):
                    shown += json.loads(event.data)["choices"][0]["delta"].get("content") or ""
            for each in paced:
                each.go.set()
            assert b"[DONE]" in await response.read()


async def test_tools_and_turns_reach_the_engine_as_they_were_sent() -> None:
    """Voters that flatten turns and drop tools (optillm#312): every sample has the client's members as written."""
    sent = {
        "model": "m",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "User: é"}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "1", "type": "function", "function": {}}],
            },
            {"role": "tool", "tool_call_id": "1", "content": "2.50"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"b": 1, "a": 2.0}}}],
        "tool_choice": "auto",
        "top_k": 5,
    }
    raw = json.dumps(sent).encode()
    async with open_upstream("42") as upstream, open_gateway(upstream) as client:
        assert 200 == (await client.post("/v1/chat/completions", raw)).status
        for member in ("messages", "tools"):
            assert all(json.dumps(sent[member]).encode() in seen.raw for seen in upstream.seen)
        assert [sent] * 2 == [{k: v for k, v in seen.body.items() if k != "seed"} for seen in upstream.seen]


async def test_a_cache_never_answers_for_the_other_samples() -> None:
    """Caches that equalise votes (tensorzero#1168): each sample is asked of the engine, with a seed of its own."""
    policy = PRESETS["majority"].override({"stop": "all"})
    async with (
        open_upstream("1", "2", "3") as upstream,
        open_gateway(upstream, default_policy=policy) as client,
    ):
        got = await client.chat(temperature=0.7)
        assert (3, 3) == (len(upstream.seen), len({seen.body["seed"] for seen in upstream.seen}))
        assert ("3",) == got.about("distinct")


async def test_identical_requests_hit() -> None:
    """Identical requests that miss (bifrost#2791): order of members, spacing and 0 for 0.0 make no difference."""
    async with open_upstream("42") as upstream, open_gateway(upstream) as client:
        await client.post("/v1/chat/completions", json.dumps(HELLO).encode())
        other = json.dumps(dict(reversed(HELLO.items())) | {"temperature": 0.0}, indent=2).encode()
        assert ("cache",) == (await client.post("/v1/chat/completions", other)).about("source")
        assert 2 == len(upstream.seen)


async def test_streams_and_plain_answers_share_a_pin() -> None:
    """Caches that mix up streams and plain answers (semantic-router#913): one pin serves both, whole."""
    async with open_upstream("42") as upstream, open_gateway(upstream) as client:
        await asyncio.gather(client.chat(stream=True), client.chat())
        plain, stream = await client.chat(), await client.chat(stream=True)
        assert ("42", "cache") == (plain.content, *plain.about("source"))
        said = [json.loads(event.data) for event in EventDecoder().feed(stream.body)[:-1]]
        assert "42" == "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in said)
        assert 2 == len(upstream.seen)
