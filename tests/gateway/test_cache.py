"""Pins and flights as clients see them."""

import asyncio

import pytest
from multidict import CIMultiDict

from gateway.core.policy import PRESETS
from gateway.settings.model import CacheSettings
from gateway.store.redis import RedisStore
from tests.doubles.gateway import open_gateway
from tests.doubles.redis_server import RedisServer
from tests.doubles.upstream import HANG, Reply, open_upstream, plain
from tests.doubles.waiting import until, until_async
from tests.store.stores import hurried


async def test_the_second_client_gets_the_pinned_bytes() -> None:
    """The same question again: the same bytes, from memory, with the verdict's figures and a time to live."""
    async with open_upstream("41", "42", "42") as upstream, open_gateway(upstream) as client:
        first, second = await client.chat(), await client.chat()
        assert first.body == second.body
        assert ("cache", "majority", "0.67", "3", "2", "1") == second.about(
            "source", "outcome", "agreement", "samples", "distinct", "divergence"
        )
        assert first.about("key") == second.about("key")
        assert second.headers["cache-status"].startswith("scg; hit; ttl=6047")
        assert 3 == len(upstream.seen)


async def test_64_copies_at_once_run_one_vote() -> None:
    """Identical requests that come together share one flight and one answer."""
    async with open_upstream("41", "42", "43") as upstream, open_gateway(upstream) as client:
        upstream.gates = {index: asyncio.Event() for index in range(3)}
        asked = [asyncio.create_task(client.chat()) for _ in range(64)]
        await upstream.asked(2)
        await until(lambda: client.inside.in_flight == 64)
        for gate in upstream.gates.values():
            gate.set()
        got = await asyncio.gather(*asked)
        assert 1 == len({each.body for each in got})
        assert ["joined"] * 63 + ["vote"] == sorted(each.headers["x-consistency-source"] for each in got)
        assert 3 == len(upstream.seen)
        assert 63 == await client.metric("scg_cache_requests_total", result="joined")


async def test_a_client_that_leaves_does_not_spoil_the_others() -> None:
    """The client that started a vote leaves; the one that joined still gets the answer, from the same vote."""
    async with open_upstream("42") as upstream, open_gateway(upstream) as client:
        upstream.gates = {0: asyncio.Event(), 1: asyncio.Event()}
        starter = asyncio.create_task(client.chat())
        await upstream.asked(2)
        joiner = asyncio.create_task(client.chat())
        await until(lambda: client.inside.in_flight == 2)
        starter.cancel()
        await until(lambda: client.inside.in_flight == 1)
        for gate in upstream.gates.values():
            gate.set()
        assert ("joined",) == (await joiner).about("source")
        assert 2 == len(upstream.seen)


async def test_the_last_client_to_leave_cancels_the_vote() -> None:
    """When nobody waits any more, the upstream sees the sockets close."""
    async with open_upstream(HANG) as upstream, open_gateway(upstream) as client:
        both = [asyncio.create_task(client.chat()) for _ in range(2)]
        await upstream.asked(2)
        for one in both:
            one.cancel()
        async with asyncio.timeout(60):
            await asyncio.gather(*(seen.closed.wait() for seen in upstream.seen))


async def test_no_store_shares_nothing() -> None:
    """`no-store` neither reads nor writes the cache."""
    async with open_upstream("a") as upstream, open_gateway(upstream) as client:
        await client.chat({"cache-control": "no-store"})
        assert ("vote",) == (await client.chat()).about("source")
        assert ("vote",) == (await client.chat({"cache-control": "no-store"})).about("source")
        assert 6 == len(upstream.seen)


async def test_every_line_of_cache_control_counts() -> None:
    """A field that comes on two lines is one list: the second line's `no-store` holds."""
    async with open_upstream("a") as upstream, open_gateway(upstream) as client:
        lines = CIMultiDict([("cache-control", "max-age=0"), ("cache-control", "no-store")])
        await client.chat()
        assert ("vote",) == (await client.chat(lines)).about("source")


async def test_no_cache_votes_again_and_replaces_the_pin() -> None:
    """`no-cache` asks anew; what it finds is what everybody gets from then on."""
    async with open_upstream("old", "old", "new", "new") as upstream, open_gateway(upstream) as client:
        assert "old" == (await client.chat()).content
        assert "new" == (await client.chat({"cache-control": "no-cache"})).content
        assert ("new", "cache") == ((got := await client.chat()).content, *got.about("source"))
        assert 4 == len(upstream.seen)


async def test_only_if_cached_never_asks() -> None:
    """`only-if-cached`: the pin, or a 504 that SDKs do not retry."""
    only = {"cache-control": "only-if-cached"}
    async with open_upstream("a") as upstream, open_gateway(upstream) as client:
        got = await client.chat(only)
        assert (504, "not_cached", "false") == (
            got.status,
            got.json["error"]["code"],
            got.headers["x-should-retry"],
        )
        assert [] == upstream.seen
        assert 504 == (await client.chat({"cache-control": "only-if-cached, no-store"})).status
        await client.chat()
        assert ("cache",) == (await client.chat(only)).about("source")


async def test_only_if_cached_asks_no_upstream_for_what_is_never_pinned() -> None:
    """Requests that pass through unvoted: a 504 that costs nothing."""
    async with open_upstream() as upstream, open_gateway(upstream) as client:
        got = await client.chat({"cache-control": "only-if-cached"}, n=2)
        assert (504, "false") == (got.status, got.headers["x-should-retry"])
        assert "never pinned: n" in got.json["error"]["message"]
        assert [] == upstream.seen


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"top_k": 4}, {"min_p": 0.1}, {"structured_outputs": {"choice": ["a"]}}, {"model": "m2"},
     {"chat_template_kwargs": {"thinking": True}}, {"messages": [{"role": "user", "content": "hello "}]}],
)  # fmt: skip
async def test_whatever_can_change_the_answer_is_in_the_key(change: dict[str, object]) -> None:
    """A request that differs in anything that an engine may heed is voted on by itself."""
    async with open_upstream("a") as upstream, open_gateway(upstream) as client:
        before = await client.chat()
        after = await client.chat(None, **change)
        assert ("vote", True) == (*after.about("source"), before.about("key") != after.about("key"))


async def test_what_cannot_change_the_answer_is_not() -> None:
    """Other user, metadata, form and spelling of a number: the same pin."""
    async with open_upstream("a") as upstream, open_gateway(upstream) as client:
        await client.chat(temperature=0)
        assert ("cache",) == (await client.chat(temperature=0.0, user="u", metadata={"a": "b"})).about(
            "source"
        )


async def test_callers_do_not_share() -> None:
    """Two Authorization values are two tenants: neither gets the other's answers."""
    async with open_upstream("a") as upstream, open_gateway(upstream) as client:
        await client.chat({"authorization": "Bearer one"})
        assert ("vote",) == (await client.chat({"authorization": "Bearer two"})).about("source")
        assert ("cache",) == (await client.chat({"authorization": "Bearer one"})).about("source")


@pytest.mark.parametrize("finish", ["content_filter", "length"])
async def test_the_quality_gate(finish: str) -> None:
    """An answer that was filtered, or cut by the context limit, is given out and never pinned."""
    reply = Reply(body=plain("42", 0).replace(b'"stop"', f'"{finish}"'.encode()))
    async with open_upstream(reply) as upstream, open_gateway(upstream) as client:
        for _ in range(2):
            got = await client.chat()
            assert ("vote", "scg; fwd=miss") == (*got.about("source"), got.headers["cache-status"])
        assert 2 == await client.metric("scg_pins_total", result="refused")


async def test_an_answer_cut_by_the_clients_own_limit_is_pinned() -> None:
    """max_tokens is the client's choice: what it cuts is pinned like anything else."""
    reply = Reply(body=plain("42", 0).replace(b'"stop"', b'"length"'))
    async with open_upstream(reply) as upstream, open_gateway(upstream) as client:
        await client.chat(max_tokens=3)
        assert ("cache",) == (await client.chat(max_tokens=3)).about("source")


@pytest.mark.parametrize(("tokens", "stored"), [(16, "; stored"), (15, "")])
async def test_completions_without_a_limit_are_cut_at_their_default(tokens: int, stored: str) -> None:
    """16 tokens are what a completion has that asks for no number: cut there it is pinned, cut earlier it is not."""
    answer = plain("4", 0, is_chat=False).replace(b'"stop"', b'"length"')
    reply = Reply(body=answer.replace(b'"completion_tokens": 3', b'"completion_tokens": %d' % tokens))
    async with open_upstream(reply) as upstream, open_gateway(upstream) as client:
        got = await client.post("/v1/completions", {"model": "m", "prompt": "2*21="})
        assert f"scg; fwd=miss{stored}" == got.headers["cache-status"]


async def test_errors_are_never_pinned() -> None:
    """A 500 today is no answer tomorrow."""
    one = {"k": 1}
    async with open_upstream(500, 500, "42") as upstream, open_gateway(upstream) as client:
        assert 500 == (await client.chat(consistency=one)).status
        assert "42" == (await client.chat(consistency=one)).content


async def test_a_policy_can_switch_the_cache_off() -> None:
    """`cache: off`: every request votes."""
    policy = PRESETS["majority"].override({"cache": "off"})
    async with open_upstream("a") as upstream, open_gateway(upstream, default_policy=policy) as client:
        await client.chat()
        assert ("vote",) == (await client.chat()).about("source")


async def test_nothing_is_cached_while_the_pool_is_unknown() -> None:
    """Without a look at the upstream's models nobody knows what an answer belongs to: voted on, not pinned."""
    async with open_upstream("a") as upstream:
        upstream.models = Reply(401)
        async with open_gateway(upstream) as client:
            for _ in range(2):
                got = await client.chat()
                assert (200, "vote") == (got.status, *got.about("source"))
            assert "x-consistency-key" not in got.headers


async def test_another_model_behind_the_name_starts_new_keys() -> None:
    """When the upstream's version changes, what was pinned before is no longer served."""
    async with open_upstream("a") as upstream, open_gateway(upstream) as client:
        await client.chat()
        upstream.version = Reply(body=b'{"version":"0.33.0"}')
        await client.inside.pool.look()
        assert ("vote",) == (await client.chat()).about("source")


async def test_hits_are_served_while_every_upstream_is_down() -> None:
    """The upstream is gone: pinned answers still come, other questions get a 502, readiness says degraded."""
    async with open_upstream("a") as upstream:
        gateway = open_gateway(upstream)
        client = await gateway.__aenter__()
        await client.chat()
    try:
        await client.inside.pool.look()
        assert ("cache",) == (await client.chat()).about("source")
        assert 502 == (await client.chat(seed=9)).status
        ready = await client.get("/readyz")
        assert (200, {"status": "degraded", "reasons": ["upstream u0 is down"]}) == (ready.status, ready.json)
    finally:
        await gateway.__aexit__(None, None, None)


@pytest.mark.processes
async def test_two_gateways_give_one_answer(redis_server: RedisServer) -> None:
    """Two gateways that both vote, as a lease was lost, to different verdicts: both give the one pinned first."""
    cache = CacheSettings(url=redis_server.url, timeout=30)
    async with (
        open_upstream("first") as one,
        open_upstream("second") as two,
        open_gateway(one, cache=cache) as early,
        open_gateway(two, cache=cache) as late,
    ):
        two.gates = {0: asyncio.Event(), 1: asyncio.Event()}
        waiting = asyncio.create_task(late.chat())
        await two.asked(2)
        prompt = asyncio.create_task(early.chat())
        while not prompt.done():
            for lease in redis_server.ask("KEYS", "scg:lease:*"):
                redis_server.ask("DEL", lease)
            await asyncio.wait({prompt}, timeout=0.02)
        assert "first" == (await prompt).content
        for gate in two.gates.values():
            gate.set()
        assert ("first", 1) == ((await waiting).content, await late.metric("scg_pins_total", result="lost"))
        assert ("first", "first") == ((await early.chat()).content, (await late.chat()).content)


@pytest.mark.processes
async def test_redis_dies_and_comes_back(redis_server: RedisServer) -> None:
    """Every request succeeds while Redis is gone; readiness and a metric say so; it recovers by itself."""
    cache = CacheSettings(url=redis_server.url, timeout=30)
    async with open_upstream("a") as upstream, open_gateway(upstream, cache=cache) as client:
        stop = asyncio.Event()

        async def ask(worker: int) -> set[int]:
            seen, number = set(), 0
            while not stop.is_set():
                number += 1
                seen.add((await client.chat(seed=worker * 1_000_000 + number)).status)
            return seen

        async def says(status: str) -> None:
            async def is_said() -> bool:
                return bool((await client.get("/readyz")).json["status"] == status)

            await until_async(is_said)

        await says("ok")
        traffic = [asyncio.create_task(ask(worker)) for worker in range(4)]
        redis_server.kill()
        await says("degraded")
        assert 0 == await client.metric("scg_cache_up")
        await asyncio.to_thread(redis_server.start)
        await says("ok")
        assert 1 == await client.metric("scg_cache_up")
        stop.set()
        assert {200} == set.union(*await asyncio.gather(*traffic))


@pytest.mark.processes
async def test_a_frozen_redis_costs_one_time_out(redis_server: RedisServer) -> None:
    """Redis stops answering without closing: requests go on, and soon nobody waits for it any more."""
    cache = CacheSettings(url=redis_server.url, timeout=30)
    async with open_upstream("a") as upstream, open_gateway(upstream, cache=cache) as client:
        store = client.inside.store
        assert isinstance(store, RedisStore)
        await client.chat()
        redis_server.freeze()
        with hurried(store):
            got = await asyncio.gather(*(client.chat(seed=number) for number in range(20)))
        assert {200} == {each.status for each in got}
        assert store.is_degraded
        redis_server.thaw()
        await until(lambda: not store.is_degraded)
        assert ("cache",) == (await client.chat(seed=3)).about("source")
