"""The live page's document, its feed and its questions, over sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

import pytest
from aiohttp import ClientResponse

from gateway.settings.model import KeySettings, UpstreamSettings
from gateway.wire.sse import EventDecoder
from tests.doubles.gateway import HELLO, Client, open_gateway
from tests.doubles.upstream import HANG, open_upstream

Told = tuple[str, Any]
QUESTION = HELLO | {"stream": True}


class Feed:
    """Events as they come."""

    def __init__(self, response: ClientResponse) -> None:
        self._response = response
        self._decoder = EventDecoder()
        self._ready: list[Told] = []

    async def next(self, kind: str) -> Any:
        """What the next event of this kind says; those before it are dropped."""
        while True:
            while self._ready:
                told, value = self._ready.pop(0)
                if told == kind:
                    return value
            piece = await self._response.content.readany()
            assert piece, f"the feed ended before {kind}"
            self._ready += [
                (event.type.decode(), json.loads(event.data)) for event in self._decoder.feed(piece)
            ]


@asynccontextmanager
async def following(client: Client) -> AsyncIterator[Feed]:
    async with client.session.get(client.url + "/events") as response:
        assert 200 == response.status
        yield Feed(response)


async def asked(client: Client, headers: dict[str, str] | None = None, **members: Any) -> list[Told]:
    """All that is told of a question."""
    got = await client.post("/v1/consistency/ask", QUESTION | members, headers)
    assert 200 == got.status, got.text
    return [(event.type.decode(), json.loads(event.data)) for event in EventDecoder().feed(got.body)]


def only(told: list[Told], kind: str) -> list[Any]:
    return [value for each, value in told if each == kind]


async def test_the_page_may_load_and_talk_to_nothing_else() -> None:
    """The document holds all it needs, and its policy lets a browser ask nobody but this gateway."""
    async with open_upstream() as upstream, open_gateway(upstream) as client:
        got = await client.get("/")
        assert (200, "text/html; charset=utf-8") == (got.status, got.headers["content-type"])
        policy = got.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "connect-src 'self'" in policy
        assert "unsafe" not in policy
        assert not [word for word in ("http://", "https://", "src=", "@import") if word in got.text]
        assert "/*style*/" not in got.text
        assert "/*script*/" not in got.text


async def test_a_vote_is_told_step_by_step() -> None:
    """41, 42, 42: each sample's text and fate, the tally after each, the round and the verdict."""
    async with open_upstream("41", "42", "42") as upstream, open_gateway(upstream) as client:
        told = await asked(client, consistency={"answer": "number"})
    kinds = [kind for kind, _ in told]
    assert "question" == kinds[0]
    assert "verdict" == kinds[-1]
    assert [0, 1, 2] == [each["index"] for each in only(told, "launched")]
    said = dict.fromkeys(range(3), "")
    for each in only(told, "said"):
        said[each["index"]] += each["text"]
    came = {each["index"]: each for each in only(told, "came")}
    assert {0, 1, 2} == set(came)
    assert all(each["text"] == said[index] == each["answer"] for index, each in came.items())
    assert {"ballot"} == {each["fate"] for each in came.values()}
    [first, *_] = only(told, "tally")[-1]["counts"]
    assert ("42", 2) == (first["answer"], first["votes"])
    [round_told] = only(told, "round")
    assert ("majority", 0.6667, "won") == (
        round_told["outcome"],
        round_told["agreement"],
        round_told["pin"],
    )
    [verdict] = only(told, "verdict")
    assert "42" == verdict["content"]
    assert "0.67" == verdict["headers"]["x-consistency-agreement"]
    assert "scg; fwd=miss; stored" == verdict["headers"]["cache-status"]


async def test_what_was_asked_on_the_page_is_pinned_for_all() -> None:
    """A client that asks the same gets the page's answer, and the page a client's."""
    async with open_upstream("7", "7", "8") as upstream, open_gateway(upstream) as client:
        await asked(client)
        assert ("cache",) == (await client.chat()).about("source")
        told = await asked(client)
        assert ["question", "verdict"] == [kind for kind, _ in told]
        assert "cache" == told[-1][1]["headers"]["x-consistency-source"]
        assert 2 == len(upstream.seen)


async def test_a_spoiled_and_a_lost_sample_are_told_as_such() -> None:
    """A sample without an answer is spoiled, one that failed an abstention with its reason."""
    async with open_upstream("none", 500, "5", "5") as upstream, open_gateway(upstream) as client:
        told = await asked(client, consistency={"answer": "number", "k": 3, "stop": "all"})
    fates = sorted((each["fate"], each.get("reason"), each.get("status")) for each in only(told, "came"))
    assert [("abstained", "status", 500), ("ballot", None, None), ("ballot", None, None), ("spoiled", None, None)] == (
        sorted(fates)
    )  # fmt: skip


@pytest.mark.parametrize(("said", "answer"), [("it is 43", "43"), ("who knows", None)])
async def test_the_sample_that_decides_is_told_as_the_reference_lanes(said: str, answer: str | None) -> None:
    """41, 42, 42 under `strict`: three ballots, and one sample that is none and has no place in the tally."""
    async with open_upstream("41", "42", "42") as fast, open_upstream(said) as reference:
        made = (
            UpstreamSettings(name="fast", url=fast.url),
            UpstreamSettings(name="ref", url=reference.url, lane="reference", trust=True),
        )
        async with open_gateway(upstreams=made) as client:
            told = await asked(client, consistency={"answer": "number", "policy": "strict"})
    *ballots, last = only(told, "came")
    assert ["ballot"] * 3 == [each["fate"] for each in ballots]
    assert ("reference", answer, said, "ref") == tuple(
        last[name] for name in ("fate", "answer", "text", "upstream")
    )
    assert 3 == len(only(told, "tally"))
    assert "reference" == told[-1][1]["headers"]["x-consistency-source"]


async def test_an_error_is_the_last_thing_told() -> None:
    """No quorum: the error that a client would get, as an event, and counted as that."""
    async with open_upstream(503) as upstream, open_gateway(upstream) as client:
        told = await asked(client)
        assert "error" == told[-1][0]
        assert 503 == told[-1][1]["error"]["code"]
        by = {"endpoint": "chat_completions", "model": "m", "policy": "majority", "source": "none"}
        assert 1 == await client.metric("scg_requests_total", **by, status="503")
        assert [("no_quorum", 0, 3)] == [
            tuple(each[name] for name in ("outcome", "ballots", "k")) for each in only(told, "round")
        ]


@pytest.mark.parametrize(
    ("members", "param"),
    [({"n": 2}, "n"), ({"stream": False}, "stream"), ({"consistency": {"k": 0}}, "consistency.k")],
)
async def test_what_cannot_be_watched_is_refused(members: dict[str, Any], param: str) -> None:
    """A request without a vote, without a stream or with a bad field: 400 that names it."""
    async with open_upstream() as upstream, open_gateway(upstream) as client:
        got = await client.post("/v1/consistency/ask", QUESTION | members)
        assert (400, param) == (got.status, got.json["error"]["param"])


async def test_a_page_that_is_closed_ends_its_vote() -> None:
    """Whoever closes the page while samples run frees the upstream."""
    async with open_upstream(HANG) as upstream, open_gateway(upstream) as client:
        asking = asyncio.create_task(client.post("/v1/consistency/ask", QUESTION))
        first, second = await upstream.asked(2)
        asking.cancel()
        await first.closed.wait()
        await second.closed.wait()


async def test_the_feed_tells_rounds_without_their_texts() -> None:
    """Figures, what can be asked with, and each round as it ends; no prompt, no answer."""
    async with open_upstream("secret words") as upstream, open_gateway(upstream) as client:
        async with following(client) as feed:
            choices = await feed.next("choices")
            assert (["m"], 3) == (choices["models"], choices["policies"]["majority"])
            figures = await feed.next("summary")
            state = {"state": "up", "lane": "fast", "breaker": "closed", "doubt": None}
            assert ({"u0": "up"}, {"u0": state}) == (figures["upstreams"], figures["upstream_states"])
            await client.chat(messages=[{"role": "user", "content": "my question"}])
            told = await feed.next("round")
            assert ("unanimous", "m", "majority", 2, 3) == tuple(
                told[name] for name in ("outcome", "model", "policy", "ballots", "k")
            )
            assert not [word for word in ("secret", "question") if word in json.dumps(told)]
            assert 1 == (await feed.next("summary"))["consistency"][0]["questions"]
        async with following(client) as late:
            assert told == await late.next("round")


@pytest.mark.parametrize(("lane", "barred"), [("fast", ["strict", "reference", "serial"]), ("reference", [])])
async def test_policies_that_cannot_run_are_told(lane: str, barred: list[str]) -> None:
    """Those that need a reference lane, where there is none: any question under them would be refused."""
    async with open_upstream() as upstream, open_upstream() as other:
        made = (UpstreamSettings(url=upstream.url), UpstreamSettings(url=other.url, lane=lane, trust=True))
        async with open_gateway(upstreams=made) as client, following(client) as feed:
            assert barred == (await feed.next("choices"))["no_lane_for"]
            for policy in ("strict", "reference", "serial", "majority"):
                got = await client.chat({"x-consistency-policy": policy})
                assert (400 if policy in barred else 200) == got.status


async def test_the_feed_ends_with_its_settings() -> None:
    """After a reload the page reads what is true now, on a new feed."""
    async with open_upstream() as upstream, open_gateway(upstream) as client, following(client) as feed:
        await feed.next("summary")
        client.inside.traffic.reloads += 1
        with pytest.raises(AssertionError, match="the feed ended"):
            await feed.next("nothing")


async def test_with_keys_an_admin_looks_on() -> None:
    """The document is for all; the feed and the questions take an admin key, from anywhere."""
    keys = tuple(
        KeySettings(name=name, sha256=sha256(name.encode()).hexdigest(), admin=name == "boss")
        for name in ("boss", "team")
    )
    async with open_upstream() as upstream, open_gateway(upstream, keys=keys) as client:
        assert 200 == (await client.get("/")).status
        for name, status in (("", 401), ("team", 403), ("boss", 200)):
            sent = {"authorization": f"Bearer {name}", "x-forwarded-for": "10.1.2.3"} if name else {}
            async with client.session.get(client.url + "/events", headers=sent) as response:
                assert status == response.status
            got = await client.post("/v1/consistency/ask", QUESTION, sent)
            assert status == got.status


@pytest.mark.parametrize(("limits", "bucket"), [({"rpm": 1}, "requests"), ({"tpm": 1}, "tokens")])
async def test_a_keys_limits_hold_on_the_page(limits: dict[str, Any], bucket: str) -> None:
    """A question beyond them is a 429 that costs no sample, and the first one's answer says what is left."""
    key = KeySettings(name="boss", sha256=sha256(b"boss").hexdigest(), admin=True, **limits)
    sent = {"authorization": "Bearer boss"}
    async with open_upstream() as upstream, open_gateway(upstream, keys=(key,)) as client:
        first = await client.post("/v1/consistency/ask", QUESTION, sent)
        assert (200, "0") == (first.status, first.headers[f"x-ratelimit-remaining-{bucket}"])
        got = await client.post("/v1/consistency/ask", QUESTION | {"seed": 2}, sent)
        assert (429, "rate_limit_exceeded") == (got.status, got.json["error"]["code"])
        assert 2 == len(upstream.seen)
        assert 1 == await client.metric("scg_tenant_limited_total", tenant="boss", limit=bucket)


async def test_looking_on_is_no_request_in_flight() -> None:
    """A page that stays open takes no place from clients."""
    async with open_upstream() as upstream, open_gateway(upstream) as client, following(client) as feed:
        assert 0 == (await feed.next("summary"))["in_flight"]


async def test_the_feed_ends_when_the_gateway_does() -> None:
    """A drain does not wait for open pages."""
    async with open_upstream() as upstream, open_gateway(upstream) as client, following(client) as feed:
        await feed.next("summary")
        client.inside.traffic.is_draining = True
        with pytest.raises(AssertionError, match="the feed ended"):
            await feed.next("nothing")


@pytest.mark.parametrize(("method", "path"), [("GET", "/events"), ("POST", "/v1/consistency/ask")])
async def test_only_an_operator_looks_on(method: str, path: str) -> None:
    """Through a proxy, or from another site's page, there is no feed and nothing to ask."""
    async with open_upstream() as upstream, open_gateway(upstream) as client:
        for name, value in (("x-forwarded-for", "10.1.2.3"), ("origin", "https://elsewhere.example")):
            async with client.session.request(method, client.url + path, headers={name: value}) as response:
                assert 403 == response.status


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("GET", "/events"), ("POST", "/v1/consistency/ask")]
)
async def test_the_page_can_be_switched_off(method: str, path: str) -> None:
    """`page: off` leaves nothing of it."""
    async with (
        open_upstream() as upstream,
        open_gateway(upstream, page=False) as client,
        client.session.request(method, client.url + path) as response,
    ):
        assert 404 == response.status
        assert "page: off" in (await response.json())["error"]["message"]
