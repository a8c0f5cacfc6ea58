"""`/v1/messages` as a client sees it: voted on, pinned, streamed, and passed through where it has to be."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from anthropic import AsyncAnthropic

from gateway.core.policy import PRESETS
from gateway.wire.forms.messages import MESSAGES
from gateway.wire.sse import EventDecoder
from tests.doubles import shapes
from tests.doubles.gateway import Client, Got, open_gateway
from tests.doubles.upstream import HALF, Answer, Paced, Reply, open_upstream

PATH = shapes.MESSAGES
HELLO = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 50, "temperature": 0}
HOLDING = PRESETS["majority"].override({"answer": "normalized"})
LONG = "The answer is 42."
SSE = {"content-type": "text/event-stream; charset=utf-8"}
TOOLS = [{"name": "add", "input_schema": {"type": "object"}}]


async def ask(client: Client, headers: dict[str, str] | None = None, **members: Any) -> Got:
    return await client.post(PATH, HELLO | members, headers)


def said(got: Got) -> str:
    """The text of a plain or a streamed message."""
    return MESSAGES.reply(got.body, got.headers["content-type"]).content


def kinds(got: Got) -> list[str]:
    return [event.type.decode() for event in EventDecoder().feed(got.body)]


async def test_the_mode_is_returned_byte_for_byte() -> None:
    """41, 42, 42: a 42 comes back in the bytes in which it was sent, labelled and counted; no seed was sent."""
    async with (
        open_upstream("41", "42", "42") as upstream,
        open_gateway(upstream, known={"engine": "vllm"}) as client,
    ):
        got = await ask(client)
        assert got.body in {shapes.plain(PATH, "42", 1), shapes.plain(PATH, "42", 2)}
        assert ("vote", "majority", "0.67", "9") == got.about("source", "outcome", "agreement", "tokens")
        labels = {
            "endpoint": "messages",
            "model": "m",
            "policy": "majority",
            "source": "vote",
            "status": "200",
        }
        assert 1 == await client.metric("scg_requests_total", **labels)
        assert [HELLO] * 3 == [seen.body for seen in upstream.seen]


@pytest.mark.parametrize("first", [False, True])
async def test_one_pin_serves_both_forms(first: bool) -> None:  # noqa: FBT001  a case of the table
    """Whichever form was voted on first, the other one is made from it, and the upstream is asked no more."""
    async with open_upstream("42") as upstream, open_gateway(upstream) as client:
        voted = await ask(client, stream=first)
        hit, other = await ask(client, stream=first), await ask(client, stream=not first)
        assert ("cache",) == hit.about("source")
        assert ("42", "42", "42") == (said(voted), said(hit), said(other))
        assert 2 == len(upstream.seen)
        streamed = kinds(voted if first else other)
        assert ("message_start", "message_stop") == (streamed[0], streamed[-1])


async def test_a_vote_of_streams() -> None:
    """41, 42, 42 as streams that are held: the events of a 42, types and data as they were sent."""
    async with (
        open_upstream("41", "42", "42") as upstream,
        open_gateway(upstream, default_policy=HOLDING) as client,
    ):
        upstream.gates = {1: asyncio.Event()}
        async with client.session.post(client.url + PATH, json=HELLO | {"stream": True}) as response:
            assert "x-consistency-outcome" not in response.headers
            upstream.gates[1].set()
            body = await response.read()
        sent = [EventDecoder().feed(shapes.stream(PATH, "42", index)) for index in (1, 2)]
        assert EventDecoder().feed(body) in sent
        *_, comment, last = body.decode().rstrip("\n").split("\n\n")
        assert comment.startswith(": x-consistency-source=vote x-consistency-outcome=majority ")
        assert last.startswith("event: message_stop\n")


async def test_a_message_is_shown_while_it_is_voted_on() -> None:
    """While no sample is whole the SDK has what two of three have said; then the winner, under the first one's id."""
    paced = Paced(LONG, 7), Paced(LONG + "!", 10), Paced(LONG + "!", 17)
    async with (
        open_upstream(*paced) as upstream,
        open_gateway(upstream) as client,
        AsyncAnthropic(base_url=client.url, api_key="none", max_retries=0) as sdk,
    ):
        text = ""
        asked: Any = {name: HELLO[name] for name in ("model", "messages", "max_tokens")}
        async with sdk.messages.stream(**asked) as stream:
            async for piece in stream.text_stream:
                text += piece
                if text == LONG[:7]:
                    assert 2 == len(upstream.seen)
                    for each in paced:
                        each.go.set()
            final = await stream.get_final_message()
        assert (LONG + "!", LONG + "!", "chatcmpl-0", "end_turn") == (
            text, *(block.text for block in final.content if block.type == "text"), final.id, final.stop_reason,
        )  # fmt: skip
        async with sdk.messages.stream(**asked) as stream:
            assert LONG + "!" == await stream.get_final_text()
        assert 3 == len(upstream.seen)


async def test_calls_are_voted_on() -> None:
    """Two calls that differ in their ids alone are the same answer; its stream spells the input."""
    answers: list[Answer] = []
    for index in range(2):
        block = {"type": "tool_use", "id": f"t_{index}", "name": "add", "input": {"a": 1}}
        called = shapes.message("", index, content=[block], stop_reason="tool_use")
        answers.append(Reply(body=json.dumps(called).encode()))
    async with open_upstream(*answers) as upstream, open_gateway(upstream) as client:
        got = await ask(client, tools=TOOLS)
        assert ("unanimous", "1") == got.about("outcome", "distinct")
        streamed = await ask(client, tools=TOOLS, stream=True)
        assert (("add", '{"a":1}'),) == MESSAGES.reply(streamed.body, "text/event-stream").calls


async def test_an_answer_that_was_cut() -> None:
    """Cut by the client's own bound it is pinned, cut earlier it is not."""
    reply = Reply(body=json.dumps(shapes.message("4", 0, stop_reason="max_tokens")).encode())
    async with open_upstream(reply) as upstream, open_gateway(upstream) as client:
        for tokens, status in ((3, "scg; fwd=miss; stored"), (9, "scg; fwd=miss")):
            assert status == (await ask(client, max_tokens=tokens)).headers["cache-status"]


@pytest.mark.parametrize(
    "members",
    [
        {"container": "c"},
        {"mcp_servers": [{"type": "url", "url": "http://x", "name": "x"}]},
        {"tools": [*TOOLS, {"type": "web_search_20250305", "name": "web_search"}]},
    ],
)
async def test_what_has_effects_is_asked_once(members: dict[str, Any]) -> None:
    """It goes through to one upstream, unvoted, each time that it is asked."""
    async with open_upstream("41", "42") as upstream, open_gateway(upstream) as client:
        first, second = await ask(client, **members), await ask(client, **members)
        assert [("passthrough",)] * 2 == [first.about("source"), second.about("source")]
        assert ["41", "42"] == [said(first), said(second)]
        assert HELLO | members == upstream.seen[0].body


async def test_anthropics_fields_go_upstream_and_into_the_key() -> None:
    """Key, version and beta are sent on; another key is another tenant, another beta another question."""
    fields = {"x-api-key": "one", "anthropic-version": "2023-06-01", "anthropic-beta": "a"}
    async with open_upstream("42") as upstream, open_gateway(upstream) as client:
        keys = []
        for changed in ({}, {"x-api-key": "two"}, {"anthropic-beta": "b"}, {}):
            got = await ask(client, fields | changed)
            keys.append((got.headers["x-consistency-key"], *got.about("source")))
        assert ["vote", "vote", "vote", "cache"] == [source for _, source in keys]
        assert 3 == len({key for key, _ in keys})
        assert fields.items() <= upstream.seen[0].headers.items()


async def test_an_upstreams_own_key_replaces_the_clients() -> None:
    """A client's key never reaches an upstream that has one of its own."""
    async with open_upstream("42") as upstream, open_gateway(upstream, known={"api_key": "own"}) as client:
        await ask(client, {"x-api-key": "client"})
        seen = upstream.seen[0]
        assert ("own", "Bearer own", 1) == (
            seen.headers["x-api-key"], seen.headers["authorization"], seen.names.count("x-api-key"),
        )  # fmt: skip


async def test_no_agreement() -> None:
    """422 in Anthropic's shape, with the tally, and no retry."""
    strict = PRESETS["majority"].override({"min_agreement": 1.0, "on_disagreement": "reject"})
    async with (
        open_upstream("41", "42", "43") as upstream,
        open_gateway(upstream, default_policy=strict) as client,
    ):
        got = await ask(client)
        error = got.json["error"]
        assert (422, "error", "false") == (got.status, got.json["type"], got.headers["x-should-retry"])
        assert ("invalid_request_error", "no_agreement") == (error["type"], error["code"])
        assert "votes 1-1" in error["message"]


async def test_errors_have_anthropics_shape() -> None:
    """A bad member, a bad method, JSON that is none, garbage from upstream, on the path and below it."""
    async with open_upstream(HALF) as upstream, open_gateway(upstream) as client:
        for got, status, kind in (
            (await ask(client, max_tokens="many"), 400, "invalid_request_error"),
            (await client.post(PATH, b"{"), 400, "invalid_request_error"),
            (await client.get(PATH), 405, "invalid_request_error"),
            (await client.get(f"{PATH}/../x"), 400, "invalid_request_error"),
            (await ask(client), 502, "api_error"),
        ):
            assert (status, "error", kind) == (got.status, got.json["type"], got.json["error"]["type"])


async def test_an_upstreams_error_is_passed_on() -> None:
    """Byte for byte, with its status; inside a stream that has begun, as an event of type `error`."""
    error = b'{"type": "error", "error": {"type": "overloaded_error", "message": "x"}}'
    event = b"event: error\ndata: " + error + b"\n\n"
    reply = Reply(529, error)
    async with open_upstream(reply) as upstream, open_gateway(upstream) as client:
        got = await ask(client)
        assert (529, error) == (got.status, got.body)
    async with open_upstream(Reply(body=event, headers=SSE)) as upstream, open_gateway(upstream) as client:
        got = await ask(client, stream=True)
        assert (529, "overloaded_error") == (got.status, got.json["error"]["type"])


async def test_a_held_stream_that_fails_ends_in_an_error_event() -> None:
    """One good sample opens the stream; the others fail, and the client is told inside it."""
    policy = replace(PRESETS["majority"], min_ballots=3)
    async with (
        open_upstream("42", 500, 500, 500, 500) as upstream,
        open_gateway(upstream, default_policy=policy) as client,
    ):
        upstream.gates = {1: asyncio.Event(), 2: asyncio.Event()}
        async with client.session.post(client.url + PATH, json=HELLO | {"stream": True}) as response:
            assert 200 == response.status
            for gate in upstream.gates.values():
                gate.set()
            (event,) = EventDecoder().feed(await response.read())
        assert (b"error", "error") == (event.type, json.loads(event.data)["type"])


async def test_tokens_are_counted_upstream() -> None:
    """`/v1/messages/count_tokens` goes through."""
    async with open_upstream() as upstream, open_gateway(upstream) as client:
        got = await client.post(f"{PATH}/count_tokens", HELLO)
        assert ("POST", f"{PATH}/count_tokens") == (got.json["method"], got.json["path"])
        assert ("passthrough",) == got.about("source")
