"""What a stream says of a verdict that it begins before: in its head, and in its end."""

import asyncio
import json
import re
from typing import Any

from multidict import CIMultiDictProxy

from gateway.core.policy import PRESETS
from gateway.wire.sse import EventDecoder
from tests.doubles.gateway import HELLO, Client, open_gateway
from tests.doubles.upstream import Reply, Upstream, open_upstream

USAGE = {"include_usage": True}


def used(body: bytes) -> Any:
    """The usage chunk, which stands before `[DONE]`."""
    return json.loads(EventDecoder().feed(body)[-2].data)


def comment_of(body: bytes) -> dict[str, str]:
    """What the one comment of a stream tells, which stands before its last event."""
    (comment,) = [event for event in body.split(b"\n\n") if event.startswith(b": x-")]
    assert body.endswith(comment + b"\n\ndata: [DONE]\n\n")
    return dict(word.split("=", 1) for word in comment.decode().removeprefix(": ").split(" "))


async def begun(client: Client, upstream: Upstream, **members: Any) -> tuple[CIMultiDictProxy[str], bytes]:
    """Head and body of a stream whose head is out before the second sample is answered."""
    upstream.gates = {1: asyncio.Event()}
    body = HELLO | {"stream": True, "stream_options": USAGE} | members
    async with client.session.post(client.url + "/v1/chat/completions", json=body) as response:
        upstream.gates[1].set()
        return response.headers, await response.read()


async def test_what_the_header_could_not_say_follows_in_the_stream() -> None:
    """A held stream answers 200 at the first sample; the verdict comes as a comment and in the usage chunk."""
    async with open_upstream("41", "42", "42") as upstream, open_gateway(upstream) as client:
        upstream.gates = {1: asyncio.Event()}
        body = {"model": "m", "messages": [], "stream": True, "stream_options": USAGE}
        async with client.session.post(client.url + "/v1/chat/completions", json=body) as response:
            assert ("vote", "majority") == tuple(
                response.headers[f"x-consistency-{it}"] for it in ("source", "policy")
            )
            assert "x-consistency-outcome" not in response.headers
            upstream.gates[1].set()
            text = await response.text()
        assert (
            ": x-consistency-source=vote x-consistency-outcome=majority x-consistency-agreement=0.67 " in text
        )
        usage = used(text.encode())
        assert ("majority", 0.67, 3) == tuple(
            usage["consistency"][it] for it in ("outcome", "agreement", "k")
        )


async def test_a_stream_says_what_is_known_when_it_is_known() -> None:
    """Key and k are in the head; all of it is in the comment and in the usage chunk, cached and timed as it was."""
    async with open_upstream("42") as upstream, open_gateway(upstream) as client:
        head, body = await begun(client, upstream)
        hit = await client.chat()
    key = hit.headers["x-consistency-key"]
    known = {"key": key, "k": "3", "policy": "majority", "source": "vote"}
    told, prefix = comment_of(body), "x-consistency-"
    assert known == {name.removeprefix(prefix): head[name] for name in head if name.startswith(prefix)}
    assert known == {name: told[prefix + name] for name in known}
    assert "scg;fwd=miss;stored" == told["cache-status"]
    assert re.fullmatch(r"upstream;dur=[\d.]+,gateway;dur=[\d.]+", told["server-timing"])
    usage = used(body)["consistency"]
    assert ("scg; fwd=miss; stored", told["server-timing"]) == (
        usage["cache_status"],
        usage["server_timing"].replace(" ", ""),
    )


async def test_a_hit_tells_in_its_usage_chunk_as_well() -> None:
    """Who reads streams through an SDK sees no header: the usage chunk tells of a pin as it does of a vote."""
    async with open_upstream("42") as upstream, open_gateway(upstream) as client:
        await client.chat()
        hit, bare = await client.chat(stream=True, stream_options=USAGE), await client.chat(stream=True)
    told = used(hit.body)["consistency"]
    expected = {"source": "cache", "outcome": "unanimous", "agreement": 1.0, "k": 3, "samples": 2}
    assert expected == {name: told[name] for name in expected}
    assert ("cache", told["key"]) == hit.about("source", "key")
    assert b": x-" not in hit.body
    assert b"consistency" not in bare.body


async def test_without_a_key_a_stream_names_none() -> None:
    """While nothing is known of the upstreams nothing can be pinned: neither head nor comment has a key."""
    async with open_upstream("42") as upstream:
        upstream.models = Reply(503)
        async with open_gateway(upstream) as client:
            head, body = await begun(client, upstream)
    told = comment_of(body)
    assert "3" == head["x-consistency-k"]
    assert "scg;fwd=miss" == told["cache-status"]
    assert ["x-consistency-key" not in fields for fields in (head, told)] == [True, True]


async def test_a_k_that_may_grow_waits_for_the_verdict() -> None:
    """Under `escalate:5` the head of a stream does not say 3, which the comment may have to take back."""
    policy = PRESETS["majority"].override({"min_agreement": 1.0, "on_disagreement": "escalate:5"})
    async with open_upstream("41", "42") as upstream, open_gateway(upstream, default_policy=policy) as client:
        head, body = await begun(client, upstream)
    assert "x-consistency-k" not in head
    assert "5" == comment_of(body)["x-consistency-k"]


async def test_whoever_joins_a_stream_says_so_throughout() -> None:
    """A second client of one vote has `joined` and `collapsed`, whatever the first one has."""
    async with open_upstream("42") as upstream, open_gateway(upstream) as client:
        upstream.gates = {1: asyncio.Event()}
        url, body = client.url + "/v1/chat/completions", HELLO | {"stream": True}
        async with (
            client.session.post(url, json=body) as first,
            client.session.post(url, json=body) as second,
        ):
            upstream.gates[1].set()
            told = [comment_of(await response.read()) for response in (first, second)]
    assert [("vote", "scg;fwd=miss;stored"), ("joined", "scg;fwd=miss;collapsed")] == [
        (each["x-consistency-source"], each["cache-status"]) for each in told
    ]
