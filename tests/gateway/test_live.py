"""Streams that are shown while they are voted on, against scripted upstreams on real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientResponse

from gateway.core.policy import PRESETS, Policy
from gateway.settings.model import CacheSettings
from gateway.wire.sse import EventDecoder, encode_event
from tests.doubles.gateway import HELLO, Client, open_gateway
from tests.doubles.redis_server import RedisServer
from tests.doubles.upstream import HANG, Paced, Reply, chunks, open_upstream

LONG = "The answer is 42."


def policy(**changes: object) -> Policy:
    return PRESETS["majority"].override(changes)


class Reader:
    """Reads a stream as it comes."""

    def __init__(self, response: ClientResponse) -> None:
        self.response = response
        self.chunks: list[Any] = []
        self.comments = b""
        self._events = EventDecoder()

    async def until(self, text: str, of: str = "content") -> None:
        """Read on until this is what was shown."""
        while self.said(of) != text:
            piece = await self.response.content.readany()
            assert piece, f"the stream ended at {self.said(of)!r}"
            self._take(piece)

    def said(self, name: str) -> str:
        """What all deltas so far have under this name."""
        choices = (choice for chunk in self.chunks for choice in chunk.get("choices", ()))
        return "".join(choice["delta"].get(name) or "" for choice in choices)

    @property
    def text(self) -> str:
        """The content so far."""
        return self.said("content")

    async def rest(self) -> "Reader":
        """Read to the end."""
        self._take(await self.response.content.read())
        return self

    def _take(self, piece: bytes) -> None:
        self.comments += b"".join(line for line in piece.splitlines() if line.startswith(b":"))
        for event in self._events.feed(piece):
            if event.data != b"[DONE]":
                self.chunks.append(json.loads(event.data))

    @property
    def error(self) -> Any:
        return self.chunks[-1].get("error")


@asynccontextmanager
async def streaming(client: Client, **members: object) -> AsyncIterator[Reader]:
    """The usual question, asked as a stream."""
    body = HELLO | {"stream": True} | members
    async with client.session.post(client.url + "/v1/chat/completions", json=body) as response:
        assert 200 == response.status
        yield Reader(response)


async def test_the_first_token_leaves_when_the_majority_shares_it() -> None:
    """While no sample is whole, the client has what two of three have said so far."""
    paced = Paced(LONG, 10), Paced(LONG, 7)
    async with open_upstream(*paced) as upstream, open_gateway(upstream) as client:
        async with streaming(client) as reader:
            await reader.until(LONG[:7])
            paced[1].go.set()
            await reader.until(LONG[:10])
            paced[0].go.set()
            assert LONG == (await reader.rest()).text
        assert 2 == len(upstream.seen)
        assert (LONG, "cache") == ((got := await client.chat()).content, *got.about("source"))


async def test_one_identity_throughout() -> None:
    """Every chunk has the id, created and model of the first sample shown, whoever wins."""
    async with (
        open_upstream("a 41", Paced("a 42", 0), "a 42") as upstream,
        open_gateway(upstream, default_policy=policy(stream_launch="all")) as client,
        streaming(client) as reader,
    ):
        upstream.answers[1].go.set()  # type: ignore[union-attr]
        assert "a 42" == (await reader.rest()).text
        assert 1 == len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in reader.chunks})


def thinking(name: str, thoughts: str, text: str) -> Reply:
    """A stream that has its thoughts under this name, then says this."""
    first, *rest = chunks(text, 0)
    thought: Any = json.loads(first)
    thought["choices"][0]["delta"] = {name: thoughts}
    events = b"".join(map(encode_event, [first, json.dumps(thought).encode(), *rest]))
    return Reply(body=events, headers={"content-type": "text/event-stream"})


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
async def test_thoughts_are_shown_and_not_voted_on(name: str) -> None:
    """Under either name one sample's thoughts are shown while the other thinks, and different ones are unanimous."""
    answers = thinking(name, "6 * 7", "42"), thinking(name, "40 + 2", "42")
    async with open_upstream(*answers) as upstream, open_gateway(upstream) as client:
        upstream.gates = {1: asyncio.Event()}
        async with streaming(client) as reader:
            await reader.until("6 * 7", of=name)
            upstream.gates[1].set()
            assert ("42", "6 * 7") == ((await reader.rest()).text, reader.said(name))
        assert b"x-consistency-outcome=unanimous x-consistency-agreement=1.00" in reader.comments
        assert "6 * 7" == (await client.chat()).json["choices"][0]["message"][name]


async def test_a_split_asks_for_one_more_and_follows_the_larger_group() -> None:
    """41 and 42 share a 4; the third sample, launched at the split, decides what follows; nothing is retracted."""
    first, second = Paced("41!", 2), Paced("42!", 2)
    async with open_upstream(first, second, "42!") as upstream, open_gateway(upstream) as client:
        async with streaming(client) as reader:
            await upstream.asked(3)
            await reader.until("42")
            first.go.set()
            second.go.set()
            assert "42!" == (await reader.rest()).text
        assert b"x-consistency-outcome=majority x-consistency-agreement=0.67" in reader.comments
        assert "42!" == (await client.chat()).content


async def test_a_sample_that_dies_does_not_stop_the_stream() -> None:
    """One of two dies in mid-stream: another one takes its place, and the stream goes on where it was."""
    dying, living = Paced(LONG, 5, breaks=True), Paced(LONG, 8)
    async with open_upstream(dying, living, LONG) as upstream, open_gateway(upstream) as client:
        async with streaming(client) as reader:
            await reader.until(LONG[:5])
            dying.go.set()
            await upstream.asked(3)
            living.go.set()
            assert LONG == (await reader.rest()).text
        assert b"x-consistency-outcome=unanimous" in reader.comments


async def test_a_sample_that_ends_early_is_a_difference() -> None:
    """`yes` and `yes, but` part at the end of the first; what most samples say is what comes."""
    async with open_upstream("yes", "yes, but", "yes, but") as upstream, open_gateway(upstream) as client:
        async with streaming(client) as reader:
            assert "yes, but" == (await reader.rest()).text
        assert b"x-consistency-distinct=2" in reader.comments


async def test_if_all_that_was_shown_is_lost_the_stream_says_so() -> None:
    """Where every sample dies after its text was shown, an error event ends the stream and nothing is pinned."""
    dying = [Paced(LONG, 5, breaks=True) for _ in range(2)]
    async with open_upstream(*dying, 500, 500, LONG) as upstream, open_gateway(upstream) as client:
        async with streaming(client) as reader:
            await reader.until(LONG[:5])
            for each in dying:
                each.go.set()
            assert (await reader.rest()).error["code"] in {"no_quorum", 500}
        assert 0 == await client.metric("scg_pins_total", result="won")


async def test_a_client_that_joins_gets_what_was_shown_and_then_the_rest() -> None:
    """A second client in mid-stream has the same text, and no sample is asked for it."""
    paced = Paced(LONG, 6), Paced(LONG, 6)
    async with (
        open_upstream(*paced) as upstream,
        open_gateway(upstream) as client,
        streaming(client) as first,
    ):
        await first.until(LONG[:6])
        async with streaming(client, stream_options={"include_usage": True}) as second:
            await second.until(LONG[:6])
            for each in paced:
                each.go.set()
            assert [LONG] * 2 == [(await each.rest()).text for each in (first, second)]
            assert ("joined", "unanimous") == (
                second.response.headers["x-consistency-source"],
                second.chunks[-1]["consistency"]["outcome"],
            )
        assert "usage" not in first.chunks[-1]
        assert 2 == len(upstream.seen)


async def test_a_single_sample_is_shown_as_it_comes() -> None:
    """Under k=1 the stream is the sample's own, at once."""
    paced = Paced(LONG, 4)
    async with (
        open_upstream(paced) as upstream,
        open_gateway(upstream, default_policy=policy(k=1)) as client,
        streaming(client) as reader,
    ):
        assert "single" == reader.response.headers["x-consistency-source"]
        await reader.until(LONG[:4])
        paced.go.set()
        assert LONG == (await reader.rest()).text


async def test_what_cannot_be_followed_is_held() -> None:
    """Under another answer than text, or where disagreement is rejected, nothing leaves before the verdict."""
    for changes in ({"answer": "number"}, {"on_disagreement": "reject"}):
        paced = Paced(LONG, 6)
        async with (
            open_upstream(LONG, paced) as upstream,
            open_gateway(upstream, default_policy=policy(**changes)) as client,
            streaming(client) as reader,
        ):
            await upstream.asked(2)
            assert "" == reader.text
            paced.go.set()
            own = [json.loads(payload) for index in (0, 1) for payload in chunks(LONG, index)[:-2]]
            assert all(chunk in own for chunk in (await reader.rest()).chunks)


async def test_all_samples_at_once_where_that_is_wanted() -> None:
    """`stream_launch: all` starts k samples; `lazy`, below k=4, as many as could decide."""
    for launch, expected in (("all", 3), ("lazy", 2)):
        async with (
            open_upstream("42") as upstream,
            open_gateway(upstream, default_policy=policy(stream_launch=launch)) as client,
            streaming(client) as reader,
        ):
            await reader.rest()
            assert expected == len(upstream.seen)


async def test_a_client_that_leaves_ends_the_vote() -> None:
    """The samples of a stream that nobody watches any more are cut off."""
    async with open_upstream(Paced(LONG, 3), Paced(LONG, 3)) as upstream, open_gateway(upstream) as client:
        async with streaming(client) as reader:
            await reader.until(LONG[:3])
            reader.response.close()
        async with asyncio.timeout(60):
            for seen in upstream.seen:
                await seen.closed.wait()


async def test_the_other_process_waits_for_whoever_shows(redis_server: RedisServer) -> None:
    """Two gateways on one Redis: one shows its stream, the other waits for the verdict and replays it."""
    cache = CacheSettings(url=redis_server.url, timeout=30)
    paced = Paced(LONG, 6), Paced(LONG, 6)
    async with (
        open_upstream(*paced, HANG) as upstream,
        open_gateway(upstream, cache=cache) as one,
        open_gateway(upstream, cache=cache) as other,
        streaming(one) as first,
    ):
        await first.until(LONG[:6])
        waiting = asyncio.create_task(other.chat(stream=True))
        for each in paced:
            each.go.set()
        assert LONG == (await first.rest()).text
        got = await waiting
        said = [json.loads(event.data) for event in EventDecoder().feed(got.body)[:-1]]
        assert LONG == "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in said)
        assert 2 == len(upstream.seen)
