"""`/v1/responses` as a client sees it: voted on, pinned, streamed, and passed through where it has to be."""

import asyncio
import json
from typing import Any

import pytest
from openai import AsyncOpenAI

from gateway.core.policy import PRESETS
from gateway.wire.forms.responses import RESPONSES
from gateway.wire.sse import EventDecoder
from tests.doubles import shapes
from tests.doubles.gateway import Client, Got, open_gateway
from tests.doubles.upstream import HALF, Answer, Paced, Reply, open_upstream

PATH = shapes.RESPONSES
HELLO = {"model": "m", "input": "hello", "temperature": 0}
HOLDING = PRESETS["majority"].override({"answer": "normalized"})
LONG = "The answer is 42."
SSE = {"content-type": "text/event-stream; charset=utf-8"}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c_1", "name": "add", "arguments": '{"a": 1}'}


async def respond(client: Client, headers: dict[str, str] | None = None, **members: Any) -> Got:
    return await client.post(PATH, HELLO | members, headers)


def said(got: Got) -> str:
    """The text of a plain or a streamed response."""
    return RESPONSES.reply(got.body, got.headers["content-type"]).content


def kinds(got: Got) -> list[str]:
    return [event.type.decode() for event in EventDecoder().feed(got.body)]


async def test_the_mode_is_returned_byte_for_byte() -> None:
    """41, 42, 42: a 42 comes back in the bytes in which it was sent, labelled and counted."""
    async with open_upstream("41", "42", "42") as upstream, open_gateway(upstream) as client:
        got = await respond(client)
        assert got.body in {shapes.plain(PATH, "42", 1), shapes.plain(PATH, "42", 2)}
        assert ("vote", "majority", "0.67", "9") == got.about("source", "outcome", "agreement", "tokens")
        labels = {
            "endpoint": "responses",
            "model": "m",
            "policy": "majority",
            "source": "vote",
            "status": "200",
        }
        assert 1 == await client.metric("scg_requests_total", **labels)


@pytest.mark.parametrize("first", [False, True])
async def test_one_pin_serves_both_forms(first: bool) -> None:  # noqa: FBT001  a case of the table
    """Whichever form was voted on first, the other one is made from it, and the upstream is asked no more."""
    async with open_upstream("42") as upstream, open_gateway(upstream) as client:
        voted = await respond(client, stream=first)
        hit, other = await respond(client, stream=first), await respond(client, stream=not first)
        assert ("cache",) == hit.about("source")
        assert ("42", "42", "42") == (said(voted), said(hit), said(other))
        assert 2 == len(upstream.seen)
        streamed = kinds(voted if first else other)
        assert ("response.created", "response.completed") == (streamed[0], streamed[-1])


async def test_a_vote_of_streams() -> None:
    """41, 42, 42 as streams that are held: the events of a 42, types and data as they were sent."""
    async with (
        open_upstream("41", "42", "42") as upstream,
        open_gateway(upstream, default_policy=HOLDING) as client,
    ):
        got = await respond(client, stream=True)
        body = "\n".join(line for line in got.text.split("\n") if not line.startswith(":"))
        assert "42" == said(got)
        sent = [EventDecoder().feed(shapes.stream(PATH, "42", index)) for index in (1, 2)]
        assert EventDecoder().feed(body.encode()) in sent
        assert all("stream_options" not in seen.body for seen in upstream.seen)


async def test_a_response_is_shown_while_it_is_voted_on() -> None:
    """While no sample is whole the SDK has what two of three have said; then the winner, under the first one's id."""
    asked: Any = {"model": "m", "input": "hello", "temperature": 0}
    paced = Paced(LONG, 7), Paced(LONG + "!", 10), Paced(LONG + "!", 17)
    async with (
        open_upstream(*paced) as upstream,
        open_gateway(upstream) as client,
        AsyncOpenAI(base_url=f"{client.url}/v1", api_key="none", max_retries=0) as sdk,
    ):
        text = ""
        async with sdk.responses.stream(**asked) as stream:
            async for event in stream:
                text += event.delta if event.type == "response.output_text.delta" else ""
                if text == LONG[:7]:
                    assert 2 == len(upstream.seen)
                    for each in paced:
                        each.go.set()
            final = await stream.get_final_response()
        assert (LONG + "!", LONG + "!", "resp_0") == (text, final.output_text, final.id)
        async with sdk.responses.stream(**asked) as stream:
            assert LONG + "!" == (await stream.get_final_response()).output_text
        assert 3 == len(upstream.seen)


async def test_what_the_header_could_not_say_comes_before_the_last_event() -> None:
    """The verdict of a stream is a comment in front of the event with the whole response."""
    async with open_upstream("41", "42", "42") as upstream, open_gateway(upstream) as client:
        upstream.gates = {1: asyncio.Event()}
        async with client.session.post(client.url + PATH, json=HELLO | {"stream": True}) as response:
            assert "x-consistency-outcome" not in response.headers
            upstream.gates[1].set()
            *_, comment, last = (await response.text()).rstrip("\n").split("\n\n")
        assert comment.startswith(": x-consistency-source=vote x-consistency-outcome=majority ")
        assert last.startswith("event: response.completed\n")


@pytest.mark.parametrize(("engine", "seeds"), [("vllm", 1), ("openai", 0), ("auto", 0)])
async def test_a_seed_goes_to_engines_that_take_one(engine: str, seeds: int) -> None:
    """vLLM's form has the member, OpenAI's has not."""
    async with open_upstream("42") as upstream, open_gateway(upstream, known={"engine": engine}) as client:
        await respond(client)
        assert [seeds, seeds] == [len(seen.body.keys() & {"seed"}) for seen in upstream.seen]


async def test_calls_are_voted_on() -> None:
    """Two calls that differ in their ids alone are the same answer."""
    answers: list[Answer] = []
    for index in range(2):
        call = CALL | {"id": f"fc_{index}", "call_id": f"c_{index}"}
        answers.append(Reply(body=json.dumps(shapes.response("", index, output=[call])).encode()))
    async with open_upstream(*answers) as upstream, open_gateway(upstream) as client:
        got = await respond(client, tools=[{"type": "function", "name": "add"}])
        assert ("unanimous", "1") == got.about("outcome", "distinct")
        assert "add" == got.json["output"][0]["name"]
        streamed = await respond(client, tools=[{"type": "function", "name": "add"}], stream=True)
        assert "response.function_call_arguments.done" in kinds(streamed)


async def test_an_answer_that_was_cut() -> None:
    """Cut by the client's own bound it is pinned; its stream ends with `response.incomplete`."""
    cut = shapes.response("4", 0, status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    reply = Reply(body=json.dumps(cut).encode())
    async with open_upstream(reply) as upstream, open_gateway(upstream) as client:
        for tokens, status in ((3, "scg; fwd=miss; stored"), (9, "scg; fwd=miss")):
            assert status == (await respond(client, max_output_tokens=tokens)).headers["cache-status"]
        assert "response.incomplete" == kinds(await respond(client, max_output_tokens=3, stream=True))[-1]


@pytest.mark.parametrize(
    "members",
    [
        {"background": True}, {"conversation": "c"}, {"previous_response_id": "r"}, {"store": True},
        {"tools": [{"type": "web_search"}]},
    ],
)  # fmt: skip
async def test_what_has_effects_is_asked_once(members: dict[str, Any]) -> None:
    """It goes through to one upstream, unvoted, each time that it is asked."""
    async with open_upstream("41", "42") as upstream, open_gateway(upstream) as client:
        first, second = await respond(client, **members), await respond(client, **members)
        assert [("passthrough",)] * 2 == [first.about("source"), second.about("source")]
        assert ["41", "42"] == [said(first), said(second)]
        assert HELLO | members == upstream.seen[0].body


async def test_no_agreement() -> None:
    """422 in OpenAI's shape, with the tally, and no retry."""
    strict = PRESETS["majority"].override({"min_agreement": 1.0, "on_disagreement": "reject"})
    async with (
        open_upstream("41", "42", "43") as upstream,
        open_gateway(upstream, default_policy=strict) as client,
    ):
        got = await respond(client)
        assert (422, "no_agreement", "false") == (
            got.status,
            got.json["error"]["code"],
            got.headers["x-should-retry"],
        )
        assert "votes 1-1" in got.json["error"]["message"]


@pytest.mark.parametrize(("failure", "status"), [(404, 404), (HALF, 502), (500, 500)])
async def test_failures(failure: Answer, status: int) -> None:
    """The upstream's own words where it had any, else ours, in OpenAI's shape."""
    async with open_upstream(failure) as upstream, open_gateway(upstream) as client:
        got = await respond(client)
        assert status == got.status
        assert {"message", "type", "param", "code"} == set(got.json["error"])


async def test_a_failed_response_is_no_answer() -> None:
    """A response that failed, plain or at the end of a stream, is an abstention that keeps its words."""
    failed = shapes.response("", 0, status="failed", error={"code": "server_error", "message": "no"})
    event = {"type": "response.failed", "response": failed}
    for streamed, body, headers in (
        (False, json.dumps(failed).encode(), {"content-type": "application/json"}),
        (True, b"data: " + json.dumps(event).encode() + b"\n\n", SSE),
    ):
        async with (
            open_upstream(Reply(body=body, headers=headers)) as upstream,
            open_gateway(upstream) as client,
        ):
            got = await respond(client, stream=streamed)
            assert (500, {"code": "server_error", "message": "no"}) == (got.status, got.json["error"])


async def test_members_of_the_wrong_type() -> None:
    """400 that names the member, before anything is sent."""
    async with open_upstream() as upstream, open_gateway(upstream) as client:
        got = await respond(client, max_output_tokens="many")
        assert (400, "max_output_tokens", 0) == (got.status, got.json["error"]["param"], len(upstream.seen))


async def test_a_stored_response_is_asked_for_upstream() -> None:
    """Everything under the path goes through; the path itself takes nothing but POST."""
    async with open_upstream() as upstream, open_gateway(upstream) as client:
        assert (
            "/v1/responses/resp_1?stream=false"
            == (await client.get(f"{PATH}/resp_1?stream=false")).json["path"]
        )
        got = await client.get(PATH)
        assert (405, "POST") == (got.status, got.headers["allow"])
