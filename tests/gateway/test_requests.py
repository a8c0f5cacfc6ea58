"""What goes upstream, and what never gets that far."""

import asyncio
import json
from typing import Any

import pytest
from multidict import CIMultiDict

from gateway.core.policy import PRESETS
from gateway.door.head import Headers
from gateway.settings.model import Limits, Settings, UpstreamSettings
from gateway.wire.forms.completions import CHAT as CHAT_ENDPOINT
from tests.doubles.gateway import HELLO, open_gateway, open_gateway_for
from tests.doubles.upstream import open_upstream

CHAT = "/v1/chat/completions"


async def test_the_body_goes_on_as_it_was_written() -> None:
    """Unknown members, number forms, escapes and order go upstream as sent; only the seed is added."""
    raw = (
        '{ "model":"m", "messages" : [{"content":"\\u00e9 é"}], "temperature": 0.0, "x": {"b":1e2,"a":1.50} }'
    )
    async with open_upstream() as upstream, open_gateway(upstream) as client:
        assert 200 == (await client.post(CHAT, raw.encode())).status
        sent, seed = upstream.seen[0].raw.decode(), upstream.seen[0].body["seed"]
        members = '"messages" : [{"content":"\\u00e9 é"}],"temperature": 0.0,"x": {"b":1e2,"a":1.50}'
        assert f'{{"model":"m",{members},"seed":{seed}}}' == sent


async def test_images_tools_and_schemas_go_untouched() -> None:
    """Content parts, tools and response_format arrive as they were sent."""
    members: dict[str, Any] = {
        "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,AA"}}]}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"z": 1, "a": 2.0}}}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"b": {}, "a": {}}}},
    }  # fmt: skip
    async with open_upstream() as upstream, open_gateway(upstream) as client:
        await client.chat(**members)
        sent = upstream.seen[0].body
        assert json.dumps(members) == json.dumps({name: sent[name] for name in members})


async def test_what_is_ours_is_stripped() -> None:
    """Neither the `consistency` member nor x-consistency headers reach the upstream."""
    async with open_upstream() as upstream, open_gateway(upstream) as client:
        await client.chat(
            {"x-consistency-k": "2", "authorization": "Bearer k"}, consistency={"answer": "text"}
        )
        assert "consistency" not in upstream.seen[0].body
        assert not [name for name in upstream.seen[0].headers if name.startswith("x-consistency")]
        assert "Bearer k" == upstream.seen[0].headers["authorization"]


async def test_the_upstreams_own_key_replaces_the_clients() -> None:
    """A configured api_key goes upstream, and the client's Authorization does not."""
    async with open_upstream() as upstream:
        settings = Settings(
            upstreams=(UpstreamSettings(url=upstream.url, api_key="own", headers=(("X-Team", "a"),)),)
        )
        async with open_gateway_for(settings) as client:
            await client.chat({"authorization": "Bearer client"})
            headers = upstream.seen[0].headers
            assert ("Bearer own", "a") == (headers["authorization"], headers["x-team"])


BAD_BODIES: list[tuple[bytes, str | None, str]] = [
    (b"", None, "not JSON"),
    (b"hello", None, "not JSON"),
    (b"[1]", None, "must be a JSON object"),
    (b'{"model":"m",}', None, "not JSON"),
    (b'{"model":"m"} x', None, "Extra data"),
    (b'{"temperature":NaN}', None, "NaN"),
    (b'{"model":"\xff"}', None, "UTF-8"),
    (b'{"seed":1,"seed":2}', "seed", "duplicate"),
    (b'{"messages":[{"role":"user","role":"system"}]}', "role", "duplicate"),
    (b"[" * 100_000, None, "nested"),
    (b'{"model":3}', "model", "string"),
    (b'{"stream":"yes"}', "stream", "true or false"),
    (b'{"seed":"x"}', "seed", "number"),
    (b'{"seed":1.5}', "seed", "whole"),
    (b'{"seed":9223372036854775808}', "seed", "from -2^63 to 2^63 - 1"),
    (b'{"seed":-9223372036854775809}', "seed", "from -2^63 to 2^63 - 1"),
    (b'{"seed":1e300}', "seed", "from -2^63 to 2^63 - 1"),
    (b'{"temperature":"hot"}', "temperature", "number"),
    (b'{"n":"two"}', "n", "number"),
    (b'{"stream_options":1}', "stream_options", "object"),
    (b'{"modalities":5}', "modalities", "list"),
    (b'{"consistency":3}', "consistency", "object"),
    (b'{"consistency":{"k":0}}', "consistency.k", "at least 1"),
    (b'{"consistency":{"k":99}}', "consistency.k", "99 is more than limits.max_k, 16"),
    (b'{"consistency":{"k":"three"}}', "consistency.k", "whole number"),
    (b'{"consistency":{"kk":1}}', "consistency.kk", "known: policy, k"),
    (b'{"consistency":{"policy":"nope"}}', "consistency.policy", "known: majority, reason"),
    (b'{"consistency":{"answer":"nope"}}', "consistency.answer", "expected auto, text, normalized"),
    (b'{"consistency":{"answer":"regex:a"}}', "consistency.answer", "regex"),
    (
        b'{"consistency":{"policy":"strict"}}',
        "consistency.policy",
        "reference needs an upstream with `lane: reference`",
    ),
]


@pytest.mark.parametrize(("body", "param", "message"), BAD_BODIES)
async def test_a_bad_body_is_a_400_that_names_the_member(
    body: bytes, param: str | None, message: str
) -> None:
    """Each bad body gets an OpenAI error that says what is wrong; nothing goes upstream; the server lives."""
    async with open_upstream() as upstream, open_gateway(upstream) as client:
        got = await client.post(CHAT, body)
        error = got.json["error"]
        assert (400, param, "invalid_request_error") == (got.status, error["param"], error["type"])
        assert message in error["message"]
        assert [] == upstream.seen
        assert 200 == (await client.chat()).status


async def test_the_deepest_nesting_is_taken_or_refused() -> None:
    """However deep a body is, also by one level less than what cannot be read, it is answered or a 400."""
    async with open_upstream() as upstream, open_gateway(upstream) as client:
        bodies = [
            b'{"model":"m","messages":[],"x":' + b"[" * deep + b"]" * deep + b"}" for deep in range(900, 1000)
        ]
        statuses = {(await client.post(CHAT, body)).status for body in bodies}
        assert {200, 400} == statuses


@pytest.mark.parametrize(
    ("header", "value", "message"),
    [
        ("x-consistency-k", "0", "at least 1"),
        ("x-consistency-k", "17", "17 is more than limits.max_k, 16"),
        ("x-consistency-policy", "nope", "known: majority"),
        ("x-consistency-min-agreement", "2", "from 0 to 1"),
        ("x-consistency-stop", "never", "expected all or unbeatable"),
    ],
)
async def test_a_bad_header_is_a_400_that_names_it(header: str, value: str, message: str) -> None:
    """Each bad choice in a header is refused by that header's name."""
    async with open_upstream() as upstream, open_gateway(upstream) as client:
        got = await client.chat({header: value})
        assert (400, header) == (got.status, got.json["error"]["param"])
        assert message in got.json["error"]["message"]


async def test_a_misspelt_choice_is_a_400_that_lists_the_known_ones() -> None:
    """What reads like a choice and is none is refused by name, before a question already answered, too."""
    wrong = "x-consistency-min-agreemnt"
    async with open_upstream() as upstream, open_gateway(upstream) as client:
        await client.chat()
        got = await client.chat({wrong: "0.9"})
        assert (400, wrong) == (got.status, got.json["error"]["param"])
        assert "known: x-consistency-policy, x-consistency-k, " in got.json["error"]["message"]
        assert 200 == (await client.chat()).status


async def test_what_an_answer_said_may_come_back() -> None:
    """A proxy that sends an answer's fields back with the next request is served."""
    async with open_upstream("a", "b", "a") as upstream, open_gateway(upstream) as client:
        first = await client.chat()
        echoed = {name: value for name, value in first.headers.items() if name.startswith("x-consistency-")}
        assert {"x-consistency-source", "x-consistency-key", "x-consistency-divergence"} < echoed.keys()
        again = await client.chat(echoed)
        assert (200, "cache") == (again.status, *again.about("source"))


async def test_a_choice_made_twice_is_a_400_that_names_it() -> None:
    """Of two values of one choice neither is preferred; what is no choice may come as often as it likes."""
    async with open_upstream() as upstream, open_gateway(upstream) as client:
        twice = CIMultiDict([("x-consistency-k", "2"), ("x-consistency-k", "3")])
        got = await client.chat(twice)
        assert (400, "x-consistency-k") == (got.status, got.json["error"]["param"])
        echoed = CIMultiDict([("x-consistency-source", "vote"), ("x-consistency-source", "vote")])
        assert 200 == (await client.chat(echoed)).status


async def test_the_body_beats_the_header() -> None:
    """k in the body's `consistency` wins over k in the header."""
    async with open_upstream("a") as upstream, open_gateway(upstream) as client:
        got = await client.chat({"x-consistency-k": "5"}, consistency={"k": 1})
        assert ("1",) == got.about("k")


async def test_a_body_over_the_bound_is_a_413() -> None:
    """A body over limits.max_body is refused with an OpenAI error, and the server lives."""
    async with open_upstream() as upstream, open_gateway(upstream, limits=Limits(max_body=1000)) as client:
        got = await client.chat(padding="x" * 5000)
        assert (413, "body_too_large") == (got.status, got.json["error"]["code"])
        assert 200 == (await client.chat()).status


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/v1", 404, "not_found"),
        ("POST", "/healthz", 405, "method_not_allowed"),
    ],
)
async def test_unknown_routes(method: str, path: str, status: int, code: str) -> None:
    """A route that does not exist, or not for this method, is an OpenAI error."""
    async with open_upstream() as upstream, open_gateway(upstream) as client:
        async with client.session.request(method, client.url + path) as response:
            error = (await response.json())["error"]
        assert (status, code) == (response.status, error["code"])


@pytest.mark.parametrize(
    "members",
    [
        {"n": 2},
        {"best_of": 3},
        {"use_beam_search": True},
        {"modalities": ["text", "audio"]},
        {"audio": {"voice": "x"}},
    ],
)
async def test_what_makes_no_sense_to_vote_on_goes_through(members: dict[str, Any]) -> None:
    """Several choices, beams and audio pass through, once, uncached, with their own members."""
    async with open_upstream() as upstream, open_gateway(upstream) as client:
        for _ in range(2):
            got = await client.chat(**members)
            assert ("passthrough",) == got.about("source")
        assert [HELLO | members] * 2 == [seen.body for seen in upstream.seen]


@pytest.mark.parametrize(
    ("prompt", "voted"), [("a", True), ([1, 2], True), (["a", "b"], False), ([[1], [2]], False)]
)
async def test_lists_of_prompts_go_through(prompt: Any, voted: bool) -> None:  # noqa: FBT001
    """One prompt, as text or tokens, is voted on; a list of prompts is not."""
    async with open_upstream("a") as upstream, open_gateway(upstream) as client:
        got = await client.post("/v1/completions", {"model": "m", "prompt": prompt})
        assert ("vote" if voted else "passthrough",) == got.about("source")


async def test_when_deterministic() -> None:
    """Under `when: deterministic` a request without seed and above temperature 0 goes through."""
    policy = PRESETS["majority"].override({"when": "deterministic"})
    async with open_upstream("a") as upstream, open_gateway(upstream, default_policy=policy) as client:
        assert ("passthrough",) == (await client.chat(temperature=1)).about("source")
        assert ("vote",) == (await client.chat(temperature=1, seed=3)).about("source")
        assert ("vote",) == (await client.chat(temperature=0)).about("source")


async def test_the_request_id_is_taken_and_given_back() -> None:
    """A client's x-request-id goes upstream and comes back; one with odd characters is replaced."""
    async with open_upstream("a") as upstream, open_gateway(upstream) as client:
        got = await client.chat({"x-request-id": "abc-1"})
        assert ("abc-1", "abc-1") == (got.headers["x-request-id"], upstream.seen[0].headers["x-request-id"])
        odd = await client.chat({"x-request-id": "a b"})
        assert "a b" != odd.headers["x-request-id"]


async def test_each_sample_has_an_id_of_its_own() -> None:
    """The first has the request's, the others its and their index: a server may refuse an id that it knows already."""
    async with open_upstream("a", "b", "c") as upstream, open_gateway(upstream) as client:
        await client.chat({"x-request-id": "abc"}, consistency={"k": 3, "stop": "all"})
        sent = [seen.headers["x-request-id"] for seen in upstream.seen]
        assert ["abc", "abc-1", "abc-2"] == sorted(sent)


async def test_the_request_id_goes_on_once() -> None:
    """What passes through carries the same one id."""
    async with open_upstream() as upstream, open_gateway(upstream) as client:
        await client.chat({"x-request-id": "abc-1"}, n=2)
        assert 1 == upstream.seen[0].names.count("x-request-id")


async def test_a_client_that_waits_to_be_told_to_go_on() -> None:
    """`Expect: 100-continue` is answered before the body comes."""
    async with open_upstream("a") as upstream, open_gateway(upstream) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(client.url.rpartition(":")[2]))
        body = json.dumps(HELLO).encode()
        head = (
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\nconnection: close\r\n"
        )
        writer.write(head + b"content-length: %d\r\n\r\n" % len(body))
        assert b"HTTP/1.1 100 Continue\r\n\r\n" == await reader.readuntil(b"\r\n\r\n")
        writer.write(body)
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
        writer.close()


async def test_what_is_remembered_of_requests_is_bounded() -> None:
    """Short bodies and long credentials count with what they take, not with their few bytes."""
    async with open_upstream("a") as upstream, open_gateway(upstream) as client:
        for number in range(3000):
            raw = b'{"model":"m","messages":[],"seed":%d}' % number
            client.inside.reader.read(CHAT_ENDPOINT, raw, Headers([("authorization", "k" * 1000)]), None)
        assert len(client.inside.reader) < 1500


async def test_completions_are_voted_on_too() -> None:
    """POST /v1/completions: the mode of three texts."""
    async with open_upstream("41", "42", "42") as upstream, open_gateway(upstream) as client:
        got = await client.post("/v1/completions", {"model": "m", "prompt": "2*21=", "temperature": 0})
        assert ("42", "majority") == (got.json["choices"][0]["text"], *got.about("outcome"))
