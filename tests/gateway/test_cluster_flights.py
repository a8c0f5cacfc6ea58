"""One vote for all gateways that share a Redis, whoever of them votes, leaves or dies."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError, ClientSession

from gateway.core.policy import PRESETS, named_policies
from gateway.running.drain import drain
from gateway.settings.model import CacheSettings, Limits, Timeouts
from gateway.wire.sse import EventDecoder
from tests.doubles import processes
from tests.doubles.gateway import HELLO, Client, Got, open_gateway
from tests.doubles.redis_server import RedisServer, skip_without_redis
from tests.doubles.redis_servers import Cluster, Watched, open_cluster, open_watched
from tests.doubles.upstream import HANG, Answer, Reply, Upstream, open_upstream
from tests.doubles.waiting import until
from tests.gateway.test_page import asked
from tests.gateway.test_reference import lanes
from tests.store.relay import open_relay

pytestmark = pytest.mark.processes

WAITS = "scg:waits:*"


@asynccontextmanager
async def gateways(
    redis: RedisServer, upstream: Upstream, number: int = 2, **settings: Any
) -> AsyncIterator[list[Client]]:
    """So many processes' gateways before one upstream and one Redis; they are in this process."""
    cache = CacheSettings(url=redis.url, timeout=30)
    async with open_gateway(upstream, cache=cache, **settings) as first:
        if number == 1:
            yield [first]
            return
        async with gateways(redis, upstream, number - 1, **settings) as others:
            yield [first, *others]


async def waited(redis: RedisServer, number: int) -> None:
    """Wait until so many processes have noted that they wait."""

    def noted() -> bool:
        keys = redis.ask("KEYS", WAITS)
        return sum(int(redis.ask("ZCARD", key)) for key in keys) == number

    await until(noted)


def said(got: Got) -> tuple[bytes, ...]:
    """An answer, or the events of a stream without the comments, which tell of the source."""
    if got.headers["content-type"].startswith("text/event-stream"):
        return tuple(event.data for event in EventDecoder().feed(got.body))
    return (got.body,)


def hold(upstream: Upstream, *indexes: int) -> asyncio.Event:
    """Let these samples wait for an event."""
    gate = asyncio.Event()
    upstream.gates |= dict.fromkeys(indexes, gate)
    return gate


async def in_one_vote(
    redis: RedisServer,
    upstream: Upstream,
    samples: int,
    lead: Coroutine[Any, Any, Got],
    *follow: Coroutine[Any, Any, Got],
) -> list[Got]:
    """The answers of a request whose vote has asked so many samples, and of others that have come to wait for it."""
    gate = hold(upstream, *range(10))
    leading = asyncio.create_task(lead)
    await upstream.asked(samples)
    waiting = [asyncio.create_task(each) for each in follow]
    await waited(redis, len(follow))
    gate.set()
    return await asyncio.gather(leading, *waiting)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "held stream"])
async def test_one_vote_for_all_gateways(redis_server: RedisServer, stream: bool) -> None:  # noqa: FBT001
    """Three gateways are asked the same at once: one votes, the others wait and give its answer as joined."""
    policy = PRESETS["majority"].override({"on_disagreement": "reject"})
    async with (
        open_upstream("42") as upstream,
        gateways(redis_server, upstream, 3, default_policy=policy) as (first, *others),
    ):
        gate = hold(upstream, 0, 1)
        leading = asyncio.create_task(first.chat(stream=stream))
        await upstream.asked(2)
        waiting = [asyncio.create_task(other.chat(stream=stream)) for other in others for _ in range(2)]
        await waited(redis_server, 2)
        gate.set()
        got = await asyncio.gather(leading, *waiting)
        assert {200} == {each.status for each in got}
        assert 2 == len(upstream.seen)
        assert 1 == len({said(each) for each in got})
        assert ["vote", *["joined"] * 4] == [each.headers["x-consistency-source"] for each in got]
        assert all("upstream;dur=0.00," not in each.headers.get("server-timing", "") for each in got)
        assert [0, 2, 2] == [
            await each.metric("scg_cache_requests_total", result="joined") for each in (first, *others)
        ]
        assert [] == redis_server.ask("KEYS", "scg:lease:*") + redis_server.ask("KEYS", WAITS)


async def test_who_joins_when_it_is_pinned_votes_no_more(redis_server: RedisServer) -> None:
    """Of a hundred requests over four gateways, whenever they come, two samples are asked for."""
    async with open_upstream("42") as upstream, gateways(redis_server, upstream, 4) as clients:
        got = await asyncio.gather(*(clients[at % 4].chat() for at in range(100)))
        assert ({200}, 2) == ({each.status for each in got}, len(upstream.seen))
        assert 1 == len({each.body for each in got})


async def test_a_vote_on_the_page_is_the_one_vote(redis_server: RedisServer) -> None:
    """A question asked on one gateway's page is voted on once: a live stream at another one has its verdict."""
    async with open_upstream("42") as upstream, gateways(redis_server, upstream) as (first, other):
        gate = hold(upstream, 0, 1)
        leading = asyncio.create_task(asked(first))
        await upstream.asked(2)
        waiting = asyncio.create_task(other.chat(stream=True))
        await waited(redis_server, 1)
        gate.set()
        assert ("verdict", "42") == ((told := (await leading)[-1])[0], told[1]["content"])
        assert (200, "joined") == ((got := await waiting).status, *got.about("source"))
        assert 2 == len(upstream.seen)


async def test_the_page_waits_for_a_vote_elsewhere(redis_server: RedisServer) -> None:
    """What another gateway votes on is not voted on for the page: it tells so, then the verdict, as joined."""
    async with open_upstream("42") as upstream, gateways(redis_server, upstream) as (first, other):
        gate = hold(upstream, 0, 1)
        leading = asyncio.create_task(first.chat(stream=True))
        await upstream.asked(2)
        waiting = asyncio.create_task(asked(other))
        await waited(redis_server, 1)
        gate.set()
        told = await waiting
        assert ["question", "joined", "verdict"] == [kind for kind, _ in told]
        assert "joined" == told[-1][1]["headers"]["x-consistency-source"]
        assert 200 == (await leading).status
        assert 2 == len(upstream.seen)


async def test_a_vote_goes_on_for_those_elsewhere(redis_server: RedisServer) -> None:
    """The leader's client leaves while another gateway waits: the vote ends as if it had stayed."""
    async with open_upstream("42") as upstream, gateways(redis_server, upstream) as (first, other):
        gate = hold(upstream, 0, 1)
        leading = asyncio.create_task(first.chat())
        await upstream.asked(2)
        waiting = asyncio.create_task(other.chat())
        await waited(redis_server, 1)
        leading.cancel()
        await until(lambda: first.inside.in_flight == 0)
        gate.set()
        got = await waiting
        assert ("42", "joined") == (got.content, *got.about("source"))
        assert 2 == len(upstream.seen)
        assert not any(seen.closed.is_set() for seen in upstream.seen)


async def test_a_vote_that_nobody_waits_for_is_cancelled(redis_server: RedisServer) -> None:
    """Its client leaves and nobody waits elsewhere: the upstream sees the sockets close, and the lease is free."""
    async with open_upstream(HANG) as upstream, gateways(redis_server, upstream) as (first, _):
        leading = asyncio.create_task(first.chat())
        await upstream.asked(2)
        leading.cancel()
        async with asyncio.timeout(60):
            for seen in upstream.seen:
                await seen.closed.wait()
        await until(lambda: [] == redis_server.ask("KEYS", "scg:lease:*"))


async def test_a_vote_whose_last_waiter_elsewhere_leaves_is_cancelled(redis_server: RedisServer) -> None:
    """First the leader's client leaves, then the one elsewhere: only then are the samples cut off."""
    async with open_upstream(HANG) as upstream, gateways(redis_server, upstream) as (first, other):
        leading = asyncio.create_task(first.chat())
        await upstream.asked(2)
        waiting = asyncio.create_task(other.chat())
        await waited(redis_server, 1)
        leading.cancel()
        await until(lambda: first.inside.in_flight == 0)
        (flight,) = first.inside.flights._by_key.values()
        assert flight._asking is not None
        assert not flight.task.done()
        waiting.cancel()
        async with asyncio.timeout(60):
            for seen in upstream.seen:
                await seen.closed.wait()


async def test_a_gateway_that_drains_ends_the_votes_that_others_wait_for(redis_server: RedisServer) -> None:
    """Its own client has left, another gateway waits: the drain lasts until that has its verdict."""
    async with open_upstream("42") as upstream, gateways(redis_server, upstream) as (first, other):
        gate = hold(upstream, 0, 1)
        leading = asyncio.create_task(first.chat())
        await upstream.asked(2)
        waiting = asyncio.create_task(other.chat())
        await waited(redis_server, 1)
        leading.cancel()
        await until(lambda: first.inside.in_flight == 0)
        draining = asyncio.create_task(drain(first.inside, first.door, asyncio.Event(), at_once=True))
        await until(lambda: first.inside.traffic.is_draining)
        gate.set()
        await draining
        assert 0 == len(first.inside.flights)
        assert "joined" == (await waiting).headers["x-consistency-source"]
        assert 2 == len(upstream.seen)


async def test_a_gateway_that_ends_gives_its_leases_back(redis_server: RedisServer) -> None:
    """A vote is cut off by the end of its gateway: nobody else has to wait until its lease runs out."""
    async with open_upstream(HANG) as upstream:
        async with gateways(redis_server, upstream, 1) as (only,):
            leading = asyncio.create_task(only.chat())
            await upstream.asked(2)
            assert 1 == len(redis_server.ask("KEYS", "scg:lease:*"))
        assert [] == redis_server.ask("KEYS", "scg:lease:*")
        assert isinstance((await asyncio.gather(leading, return_exceptions=True))[0], ClientError)


@pytest.mark.parametrize(
    ("answers", "changes", "status"),
    [
        (["a", "b", "c"], {"on_disagreement": "reject", "min_agreement": 0.5}, 422),
        ([401], {}, 401),
        ([500], {}, 500),
        ([Reply(502, b"<html>")], {}, 502),
    ],
    ids=["no agreement", "not allowed", "upstream's error", "upstream's error without words"],
)
async def test_a_failure_is_shared(
    redis_server: RedisServer, answers: list[Answer], changes: Mapping[str, object], status: int
) -> None:
    """A vote that fails fails for all who wait for it, in every gateway, and none votes again by itself."""
    policy = PRESETS["majority"].override(changes)
    async with (
        open_upstream(*answers) as upstream,
        gateways(redis_server, upstream, 3, default_policy=policy) as (first, *others),
    ):
        got = await in_one_vote(redis_server, upstream, 2, first.chat(), *(other.chat() for other in others))
        assert [status] * 3 == [each.status for each in got]
        assert 1 == len({each.body for each in got})
        if status == 422:
            assert ["vote", "joined", "joined"] == [each.headers["x-consistency-source"] for each in got]
        assert len(upstream.seen) <= 4


async def test_a_shared_refusal_names_the_policy_that_was_asked_for(redis_server: RedisServer) -> None:
    """Policies x and y vote alike: of one vote that is refused, the gateway that was asked under y tells of y."""
    alike = {"on_disagreement": "reject", "min_agreement": 0.9}
    policies = named_policies({name: {"extends": "majority"} | alike for name in ("x", "y")})
    async with (
        open_upstream("41", "42", "43") as upstream,
        gateways(redis_server, upstream, policies=policies) as (first, other),
    ):
        x, y = ({"x-consistency-policy": name} for name in "xy")
        got = await in_one_vote(redis_server, upstream, 2, first.chat(x), other.chat(y))
        assert [(422, "vote", "x"), (422, "joined", "y")] == [
            (each.status, *each.about("source", "policy")) for each in got
        ]


async def test_a_vote_that_nobody_arbitrates_is_shared(redis_server: RedisServer) -> None:
    """Samples disagree and the reference lane fails: all four gateways tell of it, after one vote."""
    async with (
        open_upstream("a", "b", "c") as fast,
        open_upstream(500) as reference,
        gateways(
            redis_server, fast, 4, upstreams=lanes(fast, reference), default_policy=PRESETS["strict"]
        ) as (first, *others),
    ):
        got = await in_one_vote(redis_server, fast, 3, first.chat(), *(other.chat() for other in others))
        assert [(503, "reference_unavailable")] * 4 == [(g.status, g.json["error"]["code"]) for g in got]
        assert 3 == len(fast.seen)


async def test_a_gateway_s_own_trouble_is_not_shared(redis_server: RedisServer) -> None:
    """Whoever votes has no room for its samples: it refuses its own client, and one that waits elsewhere votes."""
    cache, limits = CacheSettings(url=redis_server.url, timeout=30), Limits(max_samples_in_flight=1)
    async with (
        open_upstream("42") as upstream,
        open_gateway(upstream, cache=cache, limits=limits, timeouts=Timeouts(first_byte=0.5)) as full,
        open_gateway(upstream, cache=cache) as idle,
    ):
        await full.inside.slots.take(0)
        leading = asyncio.create_task(full.chat())
        await until(lambda: leading.done() or bool(redis_server.ask("KEYS", "scg:lease:*")))
        waiting = asyncio.create_task(idle.chat())
        assert (429, "overloaded") == ((got := await leading).status, got.json["error"]["code"])
        assert (200, "42", "vote") == ((got := await waiting).status, got.content, *got.about("source"))


async def test_an_answer_that_is_not_pinned_is_shared(redis_server: RedisServer) -> None:
    """A verdict that may not be pinned goes to all who wait for it, and the next request votes anew."""
    policy = PRESETS["majority"].override({"min_ballots": 3, "k": 3, "answer": "json"})
    async with (
        open_upstream("no json") as upstream,
        gateways(redis_server, upstream, 2, default_policy=policy) as (first, other),
    ):
        gate = hold(upstream, 0, 1, 2)
        leading = asyncio.create_task(first.chat())
        await upstream.asked(3)
        waiting = asyncio.create_task(other.chat())
        await waited(redis_server, 1)
        gate.set()
        got = await asyncio.gather(leading, waiting)
        assert [(200, "no_quorum")] * 2 == [(each.status, *each.about("outcome")) for each in got]
        asked = len(upstream.seen)
        assert ("vote",) == (await other.chat()).about("source")
        assert len(upstream.seen) > asked


async def test_no_cache_and_no_store_join_nothing_elsewhere(redis_server: RedisServer) -> None:
    """Who wants a vote of its own has one, though another gateway is voting on the same."""
    async with open_upstream("42") as upstream, gateways(redis_server, upstream) as (first, other):
        gate = hold(upstream, 0, 1)
        leading = asyncio.create_task(first.chat())
        await upstream.asked(2)
        for control in ("no-cache", "no-store"):
            assert ("vote",) == (await other.chat({"cache-control": control})).about("source")
        assert 6 == len(upstream.seen)
        gate.set()
        await leading


async def test_without_redis_everybody_votes_at_once(redis_server: RedisServer) -> None:
    """Redis dies in mid-vote: those who waited vote for themselves, and all are answered."""
    async with open_upstream("42") as upstream, gateways(redis_server, upstream) as (first, other):
        gate = hold(upstream, 0, 1)
        leading = asyncio.create_task(first.chat())
        await upstream.asked(2)
        waiting = asyncio.create_task(other.chat())
        await waited(redis_server, 1)
        await asyncio.to_thread(redis_server.kill)
        assert ("42", "vote") == ((got := await waiting).content, *got.about("source"))
        gate.set()
        assert "42" == (await leading).content


async def test_a_lost_announcement_is_made_up_for(redis_server: RedisServer) -> None:
    """The waiting gateway's subscription falls silent before the pin is announced: it looks, and finds the pin."""
    async with (
        open_relay(redis_server.port) as relay,
        open_upstream("42") as upstream,
        open_gateway(upstream, cache=CacheSettings(url=redis_server.url, timeout=30)) as first,
        open_gateway(upstream, cache=CacheSettings(url=relay.url, timeout=30)) as other,
    ):
        gate = hold(upstream, 0, 1)
        leading = asyncio.create_task(first.chat())
        await upstream.asked(2)
        waiting = asyncio.create_task(other.chat())
        await waited(redis_server, 1)
        relay.silence_announcements()
        gate.set()
        got = await asyncio.gather(leading, waiting)
        assert ["vote", "joined"] == [each.headers["x-consistency-source"] for each in got]
        assert 2 == len(upstream.seen)


async def test_subscriptions_that_are_killed_lose_nothing(redis_server: RedisServer) -> None:
    """Every subscription is cut off while one gateway votes and another waits: one vote, one answer."""
    async with open_upstream("42") as upstream, gateways(redis_server, upstream) as (first, other):
        gate = hold(upstream, 0, 1)
        leading = asyncio.create_task(first.chat())
        await upstream.asked(2)
        waiting = asyncio.create_task(other.chat())
        await waited(redis_server, 1)
        assert 2 == redis_server.ask("CLIENT", "KILL", "TYPE", "pubsub")
        gate.set()
        got = await asyncio.gather(leading, waiting)
        assert ["42", "42"] == [each.content for each in got]
        assert 2 == len(upstream.seen)


@pytest.mark.parametrize("opened", [open_cluster, open_watched], ids=["cluster", "sentinels"])
async def test_one_vote_however_redis_is_deployed(
    tmp_path: Path, opened: Callable[[Path], AbstractContextManager[Cluster | Watched]]
) -> None:
    """On a cluster and behind sentinels, a hundred requests for ten questions at two gateways run ten votes."""
    skip_without_redis()
    with opened(tmp_path) as redis:
        cache = CacheSettings(url=redis.url, timeout=30)
        async with (
            open_upstream("42") as upstream,
            open_gateway(upstream, cache=cache) as first,
            open_gateway(upstream, cache=cache) as other,
        ):
            got = await asyncio.gather(*((first, other)[at % 2].chat(seed=at // 10) for at in range(100)))
        assert ({200}, 20) == ({each.status for each in got}, len(upstream.seen))
        assert 10 == len({each.body for each in got})


async def test_a_leader_that_is_killed_is_replaced(redis_server: RedisServer, tmp_path: Path) -> None:
    """The process that votes is killed in mid-vote: those that wait in two others have one answer by one new vote."""
    async with open_upstream(HANG, HANG, "42") as upstream, ClientSession() as session:
        upstream.answers.extend(["42"] * 7)

        async def ask(running: processes.Running) -> Got:
            async with session.post(f"{running.url}/v1/chat/completions", json=HELLO) as response:
                return await Got.read(response)

        with ExitStack() as stack:
            leader, *others = await asyncio.gather(
                *(asyncio.to_thread(start, stack, tmp_path, upstream.url, redis_server.url) for _ in range(3))
            )
            leading = asyncio.create_task(ask(leader))
            await upstream.asked(2)
            waiting = [asyncio.create_task(ask(other)) for other in others for _ in range(3)]
            await waited(redis_server, 2)
            os.kill(leader.process.pid, signal.SIGKILL)
            got = await asyncio.gather(*waiting)
            assert isinstance((await asyncio.gather(leading, return_exceptions=True))[0], ClientError)
        assert [(200, "42")] * 6 == [(each.status, each.content) for each in got]
        assert 1 == len({each.body for each in got})
        assert 4 == len(upstream.seen)


def start(stack: ExitStack, folder: Path, upstream: str, redis: str) -> processes.Running:
    """One gateway's process."""
    return stack.enter_context(processes.gateway(folder, upstream, CACHE__URL=redis))
