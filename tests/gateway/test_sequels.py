"""What goes on from a stored response goes to the upstream that has it, through whichever gateway it comes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.settings.model import CacheSettings, UpstreamSettings
from tests.doubles import shapes
from tests.doubles.gateway import Client, Got, open_gateway
from tests.doubles.redis_server import RedisServer
from tests.doubles.upstream import Paced, Reply, Upstream, open_upstream

pytestmark = pytest.mark.processes

PATH = shapes.RESPONSES
SSE = {"content-type": "text/event-stream; charset=utf-8"}


def answering(index: int, *, streamed: bool = False) -> Reply:
    """A response whose id is `resp_INDEX`."""
    if streamed:
        return Reply(200, shapes.stream(PATH, "yes", index), SSE)
    return Reply(200, shapes.plain(PATH, "yes", index))


@dataclass
class Site:
    """Two gateways with one Redis, in front of two upstreams that are asked in turn unless something holds them."""

    clients: Sequence[Client]
    upstreams: Sequence[Upstream]

    def holder(self, got: Got) -> tuple[Upstream, Upstream]:
        """Who gave this answer, and who did not."""
        assert 200 == got.status
        one, other = self.upstreams
        return (one, other) if b"resp_1" in got.body else (other, one)


@asynccontextmanager
async def gateway(
    redis: RedisServer, upstreams: Sequence[Upstream], names: str = "ab", **more: Any
) -> AsyncIterator[Client]:
    made = tuple(
        UpstreamSettings(name=name, url=each.url) for name, each in zip(names, upstreams, strict=True)
    )
    cache = CacheSettings(url=redis.url, timeout=30)
    async with open_gateway(upstreams=made, cache=cache, **more) as client:
        yield client


@asynccontextmanager
async def site(redis: RedisServer, *, streamed: bool = False) -> AsyncIterator[Site]:
    async with (
        open_upstream(answering(1, streamed=streamed)) as one,
        open_upstream(answering(2, streamed=streamed)) as other,
        gateway(redis, (one, other)) as first,
        gateway(redis, (one, other)) as second,
    ):
        yield Site((first, second), (one, other))


async def respond(client: Client, **members: Any) -> Got:
    return await client.post(PATH, {"model": "m", "input": "hello"} | members)


def stored(got: Got) -> str:
    return "resp_1" if b"resp_1" in got.body else "resp_2"


async def follow(client: Client, name: str) -> None:
    """Everything that can be asked of a stored response."""
    path = f"{client.url}{PATH}/{name}"
    for method, target in (
        ("GET", path), ("GET", f"{path}/input_items?limit=2"), ("POST", f"{path}/cancel"), ("DELETE", path),
    ):  # fmt: skip
        async with client.session.request(method, target) as response:
            assert 200 == response.status
    assert 200 == (await client.post(f"{PATH}/input_tokens", {"previous_response_id": name})).status
    for streamed in (False, True):
        assert 200 == (await respond(client, previous_response_id=name, stream=streamed)).status


@pytest.mark.parametrize("streamed", [False, True])
async def test_all_that_follows_goes_to_the_same_upstream(redis_server: RedisServer, streamed: bool) -> None:  # noqa: FBT001
    """Through either gateway: whoever answered is asked for the response, to cancel it, and to go on from it."""
    async with site(redis_server, streamed=streamed) as here:
        got = await respond(here.clients[0], store=True, stream=streamed)
        holder, other = here.holder(got)
        for client in here.clients:
            await follow(client, stored(got))
        name = stored(got)
        once = [
            f"GET {PATH}/{name}", f"GET {PATH}/{name}/input_items?limit=2", f"POST {PATH}/{name}/cancel",
            f"DELETE {PATH}/{name}", f"POST {PATH}/input_tokens",
        ]  # fmt: skip
        assert (once * 2, []) == (holder.passed, other.passed)
        assert (1 + 2 * 2, 0) == (len(holder.seen), len(other.seen))


async def test_it_is_known_before_the_stream_ends(redis_server: RedisServer) -> None:
    """A response can be cancelled through another gateway while its stream is under way."""
    paced = Paced("never ending", 3)
    async with (
        open_upstream(paced) as one,
        open_upstream(paced) as other,
        gateway(redis_server, (one, other)) as first,
        gateway(redis_server, (one, other)) as second,
    ):
        asked = {"model": "m", "input": "hello", "background": True, "store": True, "stream": True}
        async with first.session.post(first.url + PATH, json=asked) as response:
            assert b"response.created" in await response.content.readuntil(b"\n\n")
            for _ in range(8):
                assert 200 == (await second.post(f"{PATH}/resp_0/cancel", {})).status
            paced.go.set()
            assert (await response.read()).endswith(b"\n\n")
        holder, idle = (one, other) if one.seen else (other, one)
        assert ([f"POST {PATH}/resp_0/cancel"] * 8, []) == (holder.passed, idle.passed)


async def test_conversations(redis_server: RedisServer) -> None:
    """One that was made here stays where it was made; one that nobody knows, where it was first gone on from."""
    async with site(redis_server) as here:
        for index, upstream in enumerate(here.upstreams):
            upstream.others["/v1/conversations"] = Reply(body=b'{"created_at":1,"id":"conv_%d"}' % index)
        made = (await here.clients[0].post("/v1/conversations", {})).json["id"]
        holder = here.upstreams[int(made[-1])]
        for given in (made, {"id": made}):
            for client in here.clients:
                await respond(client, conversation=given)
                await client.get(f"/v1/conversations/{made}/items")
        assert (4, 5) == (len(holder.seen), len(holder.passed))
        first = stored(await respond(here.clients[0], conversation="foreign"))
        others = [
            stored(await respond(client, conversation="foreign")) for client in (*here.clients, *here.clients)
        ]
        assert {first} == set(others)


async def test_a_conversation_that_goes_on_is_not_forgotten(redis_server: RedisServer) -> None:
    """Each answer in it begins its week anew."""
    async with site(redis_server) as here, Redis.from_url(redis_server.url) as raw:
        await respond(here.clients[0], conversation="c", store=False)
        (name,) = await raw.keys("scg:holder:*")
        await raw.pexpire(name, 60_000)
        await respond(here.clients[1], conversation="c", store=False)
        assert await raw.pttl(name) > 6 * 86_400_000


async def test_what_nobody_knows_is_asked_of_anybody(redis_server: RedisServer) -> None:
    """An id that came from elsewhere passes through as it did before, and so does what is no id at all."""
    async with site(redis_server) as here:
        while not all(upstream.passed for upstream in here.upstreams):
            assert 200 == (await here.clients[0].get(f"{PATH}/resp_unknown")).status
        for body in (b"", b"[]", b"{", b'{"previous_response_id":7}'):
            assert 200 == (await here.clients[0].post(f"{PATH}/compact", body)).status


async def test_an_upstream_that_is_gone_is_named(redis_server: RedisServer) -> None:
    """Configured no more: 404, with its name and the member, and no other one is asked."""
    async with site(redis_server) as here:
        got = await respond(here.clients[0], store=True)
        holder, other = here.holder(got)
        name = "ab"[here.upstreams.index(holder)]
        async with gateway(redis_server, [other], "c") as left:
            for answer, param in (
                (await left.get(f"{PATH}/{stored(got)}"), None),
                (await respond(left, previous_response_id=stored(got)), "previous_response_id"),
            ):
                error = answer.json["error"]
                assert (404, "upstream_gone", param) == (answer.status, error["code"], error["param"])
                assert f"{stored(got)} is kept by upstream {name}, " in error["message"]
        assert ([], []) == (other.seen, other.passed)


async def test_an_upstream_that_is_down_is_named(redis_server: RedisServer) -> None:
    """Out of reach: 502, with its name; another one, which knows nothing of the response, is not asked."""
    async with open_upstream(answering(2)) as other, AsyncExitStack() as stack:
        async with open_upstream(answering(1)) as holder:
            client = await stack.enter_async_context(gateway(redis_server, (holder, other)))
            while not holder.seen:
                got = await respond(client, store=True)
        asked = len(other.seen)
        for got in (
            await client.get(f"{PATH}/resp_1"),
            await respond(client, previous_response_id="resp_1"),
            await respond(client, previous_response_id="resp_1", stream=True),
        ):
            error = got.json["error"]
            assert (502, "upstream_unreachable") == (got.status, error["code"])
            assert "upstream a cannot be reached, and no other one knows of resp_1" == error["message"]
        assert (asked, []) == (len(other.seen), other.passed)


async def test_an_answer_in_pieces(redis_server: RedisServer) -> None:
    """JSON of no known length that has its id at the end, through a client that would take it compressed."""
    late = b'{"output":[{"id":"msg_1"}],"id":"resp_%d"}'
    async with open_upstream() as one, open_upstream() as other:
        for index, upstream in enumerate((one, other)):
            upstream.answers = [Reply(200, late % index, chunked=True)]
        async with gateway(redis_server, (one, other)) as client:
            got = await respond(client, store=True)
            index = got.json["id"][-1]
            assert late % int(index) == got.body
            for _ in range(8):
                await client.get(f"{PATH}/resp_{index}")
        holder, idle = (one, other) if one.seen else (other, one)
        assert (8, 0) == (len(holder.passed), len(idle.passed))
        assert "identity" == holder.seen[0].headers["accept-encoding"]


async def test_it_is_remembered_for_a_week_and_only_where_it_can_matter(redis_server: RedisServer) -> None:
    """One key with an end for each stored response; none for votes, errors, and what is not to be stored."""
    async with site(redis_server) as here, Redis.from_url(redis_server.url) as raw:

        async def holders() -> list[Any]:
            return [*await raw.keys("scg:holder:*")]

        await respond(here.clients[0])
        await respond(here.clients[0], store=False, tools=[{"type": "web_search"}])
        for upstream in here.upstreams:
            upstream.answers = [Reply(400, b'{"id":"resp_9"}')]
        await respond(here.clients[0], store=True)
        await here.clients[0].chat(n=2)
        assert [] == await holders()
        for index, upstream in enumerate(here.upstreams):
            upstream.answers = [answering(index)]
        await respond(here.clients[0], store=True)
        (name,) = await holders()
        assert 7 * 86_400_000 - 60_000 < await raw.pttl(name) <= 7 * 86_400_000


async def test_it_is_known_without_redis_to_the_process() -> None:
    """A gateway of one process remembers by itself."""
    async with open_upstream(answering(1)) as one, open_upstream(answering(2)) as other:
        async with open_gateway(one, other) as client:
            name = stored(await respond(client, store=True))
            await asyncio.gather(*(client.get(f"{PATH}/{name}") for _ in range(8)))
        assert {0, 8} == {len(one.passed), len(other.passed)}


@pytest.mark.parametrize("path", [f"{PATH}/input_tokens", f"{PATH}/compact"])
async def test_a_body_that_is_nested_too_deeply_is_left_to_the_upstream(path: str) -> None:
    """What the gateway cannot read it passes on: the upstream says what is wrong with it."""
    body = b'{"conversation":' + b"[" * 100_000
    async with open_upstream() as upstream, open_gateway(upstream) as client:
        got = await client.post(path, body)
        assert (200, [f"POST {path}"]) == (got.status, upstream.passed)


async def test_an_answer_that_is_nested_too_deeply_passes() -> None:
    """No id is found in it, and it reaches its client as it is."""
    body = b'{"output":' + b"[" * 100_000
    async with open_upstream(Reply(200, body)) as upstream, open_gateway(upstream) as client:
        got = await respond(client, store=True)
        assert (200, body) == (got.status, got.body)
