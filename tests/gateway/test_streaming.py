"""Streams that are held for the vote: replayed from the winner, pinned in one entry with plain answers."""

import asyncio
import json
from typing import Any

import pytest

from gateway.serving import streaming
from gateway.wire.sse import EventDecoder, encode_event
from tests.doubles.gateway import Client, open_gateway
from tests.doubles.upstream import HANG, Answer, Reply, chunks, open_upstream, plain

FRESH = {"cache-control": "no-cache"}
USAGE = {"include_usage": True}
HELD: dict[str, Any] = {"stream": True, "consistency": {"answer": "normalized"}}


def payloads(body: bytes) -> list[bytes]:
    """The data of every event."""
    return [event.data for event in EventDecoder().feed(body)]


def encode_events(chunks: list[Any]) -> bytes:
    """A stream of these chunks, as Python writes JSON."""
    return b"".join(map(encode_event, [*(json.dumps(chunk).encode() for chunk in chunks), b"[DONE]"]))


async def test_the_winners_own_chunks_are_replayed() -> None:
    """41, 42, 42 as streams: the chunks of one 42, as it sent them, without the usage nobody asked for."""
    async with open_upstream("41", "42", "42") as upstream, open_gateway(upstream) as client:
        got = await client.chat(**HELD)
        assert "text/event-stream; charset=utf-8" == got.headers["content-type"]
        assert payloads(got.body) in ([*chunks("42", index)[:-2], b"[DONE]"] for index in (1, 2))
        assert all(seen.body["stream_options"] == USAGE for seen in upstream.seen)


async def test_usage_comes_only_to_those_who_ask() -> None:
    """With include_usage the usage chunk comes before [DONE], without choices."""
    async with open_upstream("42") as upstream, open_gateway(upstream) as client:
        got = await client.chat(stream=True, stream_options=USAGE)
        usage = json.loads(payloads(got.body)[-2])
        assert ([], 3) == (usage["choices"], usage["usage"]["completion_tokens"])


def as_lmdeploy(is_chat: bool, *, in_each: bool = True) -> Reply:  # noqa: FBT001
    """A stream of 42 with its usage in the chunks of its choices, and no chunk of its own."""
    *said, used, done = chunks("42", 0, is_chat=is_chat)
    usage = used[used.index(b', "usage"') :]
    told = [chunk[:-1] + usage if in_each or chunk is said[-1] else chunk for chunk in said]
    body = b"".join(map(encode_event, [*told, done]))
    return Reply(body=body, headers={"content-type": "text/event-stream"})


ASKED: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"messages": []}), ("/v1/completions", {"prompt": "a"}),
]  # fmt: skip


@pytest.mark.parametrize("in_each", [True, False])
@pytest.mark.parametrize("answer", ["text", "normalized"])
@pytest.mark.parametrize(("path", "members"), ASKED)
async def test_usage_in_the_chunks_of_choices(
    path: str,
    members: dict[str, Any],
    answer: str,
    in_each: bool,  # noqa: FBT001
) -> None:
    """LMDeploy's usage is taken from where it is, shown live, held or replayed, and goes to those who ask."""
    is_chat = "messages" in members
    body = {"model": "m", "stream": True, "consistency": {"answer": answer}} | members
    reply = as_lmdeploy(is_chat, in_each=in_each)
    async with open_upstream(reply) as upstream, open_gateway(upstream) as client:
        voted, replayed = [await client.post(path, body) for _ in range(2)]
        asked = await client.post(path, body | {"stream_options": USAGE})
    own = [json.loads(chunk) for chunk in chunks("42", 0, is_chat=is_chat)[:-1]]
    assert ("vote", "cache") == (*voted.about("source"), *replayed.about("source"))
    assert encode_events(own[:-1]) == replayed.body
    assert not any(b'"usage"' in payload for payload in payloads(voted.body))
    *said, usage = [json.loads(payload) for payload in payloads(asked.body)[:-1]]
    assert "cache" == usage.pop("consistency")["source"]
    assert own == [*said, usage]


@pytest.mark.parametrize(("path", "members"), ASKED)
async def test_the_usage_chunk_that_was_made_tells_of_the_verdict(path: str, members: dict[str, Any]) -> None:
    """Where a stream begins before its verdict, a usage chunk made from other chunks has the `consistency` member."""
    reply = as_lmdeploy("messages" in members)
    async with open_upstream(reply) as upstream, open_gateway(upstream) as client:
        upstream.gates = {1: asyncio.Event()}
        body = {"model": "m", "stream": True, "stream_options": USAGE} | members
        async with client.session.post(client.url + path, json=body) as response:
            upstream.gates[1].set()
            *_, used, done = payloads(await response.read())
    usage = json.loads(used)
    assert (b"[DONE]", [], 3) == (done, usage["choices"], usage["usage"]["completion_tokens"])
    assert "unanimous" == usage["consistency"]["outcome"]


async def test_continuous_usage_stays_for_those_who_asked() -> None:
    """vLLM's `continuous_usage_stats`: every chunk as it came, also from a pin; without usage for anybody else."""
    reply = as_lmdeploy(is_chat=True)
    options = {"include_usage": True, "continuous_usage_stats": True}
    async with open_upstream(reply) as upstream, open_gateway(upstream) as client:
        voted, replayed = [await client.chat(stream=True, stream_options=options) for _ in range(2)]
        other = await client.chat(stream=True)
    sent = payloads(reply.body)[:-1]
    assert ("cache", "cache") == (*replayed.about("source"), *other.about("source"))
    assert [sent, sent] == [payloads(got.body)[: len(sent)] for got in (voted, replayed)]
    assert [chunk[: chunk.index(b', "usage"')] + b"}" for chunk in sent] == payloads(other.body)[:-1]


async def test_other_stream_options_are_kept() -> None:
    """The client's own stream options go upstream beside include_usage."""
    async with open_upstream("42") as upstream, open_gateway(upstream) as client:
        await client.chat(
            stream=True, stream_options={"include_usage": False, "continuous_usage_stats": True}
        )
        assert {"continuous_usage_stats": True, "include_usage": True} == upstream.seen[0].body[
            "stream_options"
        ]


async def test_a_held_stream_is_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the vote goes on, comments show the client that the connection lives."""
    monkeypatch.setattr(streaming, "_HOLD_HEAD", 0.01)
    monkeypatch.setattr(streaming, "_KEEP_ALIVE", 0.01)
    async with open_upstream("42") as upstream, open_gateway(upstream) as client:
        upstream.gates = {0: asyncio.Event(), 1: asyncio.Event()}
        body = {"model": "m", "messages": [], "stream": True}
        async with client.session.post(client.url + "/v1/chat/completions", json=body) as response:
            assert b": waiting for the verdict\n" == await response.content.readline()
            for gate in upstream.gates.values():
                gate.set()
            assert b"[DONE]" == payloads(await response.content.read())[-1]


async def test_an_error_after_the_head_is_an_event() -> None:
    """If the vote fails once the 200 is out, the stream ends in an OpenAI error event, counted as what it was."""
    async with open_upstream("41", 400) as upstream, open_gateway(upstream) as client:
        upstream.gates = {1: asyncio.Event()}
        body = {"model": "m", "messages": [], "stream": True}
        async with client.session.post(client.url + "/v1/chat/completions", json=body) as response:
            assert 200 == response.status
            upstream.gates[1].set()
            events = payloads(await response.read())
        assert ["scripted 400"] == [json.loads(event)["error"]["message"] for event in events]
        by = {"endpoint": "chat_completions", "model": "m", "policy": "majority", "source": "vote"}
        assert 1 == await client.metric("scg_requests_total", **by, status="400")


async def test_an_error_before_the_head_is_a_status() -> None:
    """If the vote fails before anything was sent, a stream's client gets the status like anybody else."""
    async with open_upstream(400) as upstream, open_gateway(upstream) as client:
        assert 400 == (await client.chat(stream=True)).status


async def test_a_stream_that_tells_of_an_error_is_an_abstention() -> None:
    """An error event inside a sample's stream does not become an answer."""
    broken = Reply(
        body=b'data: {"choices":[]}\n\ndata: {"error":{"message":"out of memory","code":500}}\n\ndata: [DONE]\n\n',
        headers={"content-type": "text/event-stream"},
    )
    async with open_upstream(broken, "42", "42") as upstream, open_gateway(upstream) as client:
        assert ("42", "vote") == await say(client, streamed=True)
        assert 3 == len(upstream.seen)


async def test_a_stream_cut_short_is_an_abstention() -> None:
    """A stream without [DONE] is no answer, however much of it came."""
    half = b'data: {"choices":[{"index":0,"delta":{"content":"4"}}]}\n\n'
    cut = Reply(body=half, headers={"content-type": "text/event-stream"})
    async with open_upstream(cut, "42", "42") as upstream, open_gateway(upstream) as client:
        await client.chat(stream=True)
        assert 3 == len(upstream.seen)


async def say(client: Client, headers: dict[str, str] | None = None, *, streamed: bool) -> tuple[str, str]:
    """What the assistant said, asked for as a stream or not, and where it came from."""
    members: dict[str, Any] = {"stream": True} if streamed else {}
    got = await client.chat(headers, **members)
    if not streamed:
        return got.content, got.headers["x-consistency-source"]
    said = [json.loads(payload) for payload in payloads(got.body)[:-1]]
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in said)
    return text, got.headers["x-consistency-source"]


@pytest.mark.parametrize("first", [True, False])
async def test_both_forms_share_one_pin(first: bool) -> None:  # noqa: FBT001
    """Whichever form was voted on first, the other one gets the same answer from the cache."""
    async with open_upstream("42", "42", "other") as upstream, open_gateway(upstream) as client:
        await say(client, streamed=first)
        assert ("42", "cache") == await say(client, streamed=not first)
        assert ("42", "cache") == await say(client, streamed=first)
        assert 2 == len(upstream.seen)


async def test_a_plain_answer_from_chunks_is_what_upstream_would_have_sent() -> None:
    """The stream's pin, asked for plain, has the members of the plain answer that vLLM gives."""
    async with open_upstream("42") as upstream, open_gateway(upstream) as client:
        await client.chat(stream=True)
        got = (await client.chat()).json
        expected = json.loads(plain("42", 0))
        assert {"object": "chat.completion", "usage": expected["usage"], "model": "m"} == {
            name: got[name] for name in ("object", "usage", "model")
        }
        assert ({"role": "assistant", "content": "42"}, "stop") == (
            got["choices"][0]["message"],
            got["choices"][0]["finish_reason"],
        )


async def test_streamed_completions() -> None:
    """POST /v1/completions with stream: the winner's text chunks."""
    async with open_upstream("41", "42", "42") as upstream, open_gateway(upstream) as client:
        got = await client.post("/v1/completions", {"model": "m", "prompt": "a", "stream": True})
        said = [json.loads(payload) for payload in payloads(got.body)[:-1]]
        assert "42" == "".join(chunk["choices"][0]["text"] for chunk in said)


@pytest.mark.parametrize("answers", [("42", HANG), (HANG, HANG)])
async def test_a_client_that_leaves_a_stream_cancels_its_vote(answers: tuple[Answer, ...]) -> None:
    """When the only client goes, before or after the first byte, the upstream sees its samples' sockets close."""
    async with open_upstream(*answers) as upstream, open_gateway(upstream) as client:
        leaving = asyncio.create_task(client.chat(stream=True))
        await upstream.asked(2)
        leaving.cancel()
        async with asyncio.timeout(60):
            await upstream.seen[1].closed.wait()
