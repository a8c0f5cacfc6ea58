"""The upstreams of a process: who serves what, whose turn it is, and what the pool is for a model."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from gateway.settings.model import HealthSettings, Settings, Timeouts, UpstreamSettings
from gateway.store.memory import MemoryStore
from gateway.telemetry.metrics import Metrics
from gateway.upstream.aiohttp_client import AiohttpClient
from gateway.upstream.looks import Look
from gateway.upstream.pool import Pool
from gateway.upstream.pools import Pools
from gateway.upstream.upstream import Upstream, Watch
from tests.doubles import upstream as doubles
from tests.doubles.redis_server import free_port
from tests.doubles.upstream import Reply, open_upstream
from tests.doubles.waiting import until
from tests.upstream.pools import Clock
from tests.upstream.raw_server import Connection, Play, hanging, keeping, open_raw, response

NOBODY = "http://127.0.0.1:1"


def store() -> MemoryStore:
    return MemoryStore(1 << 20)


@asynccontextmanager
async def pool_of(
    *upstreams: UpstreamSettings, kept: MemoryStore | None = None, watch: Watch | None = None
) -> AsyncIterator[Pool]:
    """A pool that looks only when it is told to."""
    client = AiohttpClient(Timeouts(connect=30, first_byte=30, idle=30))
    metrics = Metrics(CollectorRegistry())
    try:
        made = [Upstream(each, client, metrics, watch or Watch()) for each in upstreams]
        yield Pool(made, store() if kept is None else kept)
    finally:
        await client.aclose()


def at(url: str = NOBODY, name: str = "a", **more: object) -> UpstreamSettings:
    return UpstreamSettings(**({"url": url, "name": name} | more))  # type: ignore[arg-type]


def sees(pool: Pool, *seen: Sequence[str]) -> None:
    """Let each upstream have been seen to serve these models."""
    for upstream, names in zip(pool.upstreams, seen, strict=True):
        upstream.seen = Look(reachable=True, models={name: f"[{name}]" for name in names})


def names(upstreams: Sequence[Upstream]) -> list[str]:
    return [upstream.name for upstream in upstreams]


def listing(**changes: object) -> Reply:
    """A list of one model, with these changes."""
    model = {"id": "m", "object": "model", "root": "m", "max_model_len": 4096} | changes
    return Reply(body=json.dumps({"data": [model]}).encode())


async def fingerprint_at(*doubles_: doubles.Upstream, model: str = "m", **settings: object) -> str | None:
    """What a new process with these servers takes the pool to be."""
    many = [at(double.url, f"u{number}", **settings) for number, double in enumerate(doubles_)]
    async with pool_of(*many) as pool:
        await pool.look()
        return await pool.fingerprint(model)


# Fingerprints.


async def test_equal_servers_have_one_fingerprint() -> None:
    """URLs, names, keys, order and number of the servers make no difference, nor when a model was loaded."""
    async with open_upstream() as one, open_upstream() as other:
        other.models = listing(created=5, permission=[{"id": "modelperm-5"}], owned_by="me")
        alone = await fingerprint_at(one)
        assert alone is not None
        assert [alone] * 4 == [
            await fingerprint_at(other),
            await fingerprint_at(one, other),
            await fingerprint_at(other, one, other),
            await fingerprint_at(one, api_key="secret", max_in_flight=1, weight=2.0, engine="vllm"),
        ]


@pytest.mark.parametrize("change", [{"root": "m2"}, {"max_model_len": 8192}, {"parent": "base"}])
async def test_another_model_has_another_fingerprint(change: dict[str, object]) -> None:
    """What changes the answers changes the fingerprint, once the pool has looked again."""
    async with open_upstream() as upstream, pool_of(at(upstream.url)) as pool:
        await pool.look()
        before = await pool.fingerprint("m")
        upstream.models = listing(**change)
        assert before == await pool.fingerprint("m")
        await pool.look()
        assert before != await pool.fingerprint("m")


async def test_another_version_has_another_fingerprint() -> None:
    """An engine's new version changes the fingerprint."""
    async with open_upstream() as upstream:
        before = await fingerprint_at(upstream)
        upstream.version = Reply(body=b'{"version":"0.33.0"}')
        assert before != await fingerprint_at(upstream)


async def test_a_mixed_pool_has_a_fingerprint_of_its_own() -> None:
    """Two different servers under one name are neither the one nor the other."""
    async with open_upstream() as one, open_upstream() as other:
        other.models = listing(root="other")
        assert 3 == len(
            {await fingerprint_at(one), await fingerprint_at(other), await fingerprint_at(one, other)}
        )


async def test_other_models_do_not_matter() -> None:
    """A model's fingerprint is its own: another one beside it changes nothing."""
    async with open_upstream() as upstream:
        before = await fingerprint_at(upstream)
        more = [{"id": "m", "root": "m", "max_model_len": 4096}, {"id": "lora", "parent": "m"}]
        upstream.models = Reply(body=json.dumps({"data": more}).encode())
        assert before == await fingerprint_at(upstream)
        assert before != await fingerprint_at(upstream, model="lora")


async def test_the_revision_wins() -> None:
    """A configured revision is the fingerprint, whatever the server says and even if it was never seen."""
    async with open_upstream() as upstream:
        first = await fingerprint_at(upstream, revision="1")
        upstream.models = listing(root="other")
        assert first == await fingerprint_at(upstream, revision="1")
        assert first != await fingerprint_at(upstream, revision="2")
    async with pool_of(at(revision="1")) as pool:
        assert first == await pool.fingerprint("m")


async def test_an_alias_is_whatever_is_served() -> None:
    """A name that nobody lists has a fingerprint of all that is served: any of it may answer."""
    async with open_upstream() as upstream:
        alias = await fingerprint_at(upstream, model="alias")
        assert alias is not None
        upstream.models = listing(root="other")
        assert alias != await fingerprint_at(upstream, model="alias")


async def test_unknown_while_never_seen() -> None:
    """Nothing is known of a pool that was never seen, before and after it looked in vain."""
    async with pool_of(at(f"http://127.0.0.1:{free_port()}")) as pool:
        before = await pool.fingerprint("m")
        await pool.look()
        assert (None, None) == (before, await pool.fingerprint("m"))


async def test_remembered_by_the_store() -> None:
    """What one process found is known to the next one that finds nobody, and what is found later wins."""
    kept = store()
    async with open_upstream() as upstream:
        async with pool_of(at(upstream.url), kept=kept) as pool:
            await pool.look()
            found = await pool.fingerprint("m")
        async with pool_of(at(f"http://127.0.0.1:{free_port()}"), kept=kept) as pool:
            await pool.look()
            assert (found, None) == (await pool.fingerprint("m"), await pool.fingerprint("other"))
        async with pool_of(at(upstream.url), kept=kept) as pool:
            assert found == await pool.fingerprint("m")
            upstream.models = listing(root="other")
            await pool.look()
            assert found != await pool.fingerprint("m")


async def test_a_changed_fingerprint_is_counted() -> None:
    """Another model behind a name counts once, also if the name was away in between; being seen at first does not."""
    async with open_upstream() as upstream, pool_of(at(upstream.url)) as pool:

        async def changes(served: Reply) -> float | None:
            upstream.models = served
            await pool.look()
            registry = pool.upstreams[0]._metrics.registry
            return registry.get_sample_value("scg_fingerprint_changes_total", {"model": "m"})

        assert [0, 0, 1, 1, 1, 2] == [
            await changes(listing()),
            await changes(listing(created=5)),
            await changes(listing(root="other")),
            await changes(listing(id="another")),
            await changes(listing(root="other")),
            await changes(listing()),
        ]


async def test_what_was_seen_stays_known_while_the_server_is_away() -> None:
    """A server that goes away, or lists nothing for a while, changes nothing in what the pool is."""
    async with pool_of(at(), kept=store()) as pool:
        async with open_upstream() as upstream:
            pool.upstreams[0].settings = at(upstream.url)
            await pool.look()
            found = await pool.fingerprint("m")
            for blip in (
                Reply(429),
                Reply(503),
                Reply(401),
                Reply(200, b"<html>"),
                Reply(200, b'{"data":[]}'),
            ):
                upstream.models = blip
                await pool.look()
                assert (found, True) == (await pool.fingerprint("m"), pool.upstreams[0].serves("m"))
        await pool.look()
        assert (found, ["a"]) == (await pool.fingerprint("m"), pool.down)


@pytest.mark.parametrize("model", ["", "é", "\ud800", "\0", "a" * 10_000, "fingerprint:m", "../m"])
async def test_odd_names_of_models(model: str) -> None:
    """Whatever a client calls its model, asking for its fingerprint fails nothing."""
    async with pool_of(at()) as pool:
        assert await pool.fingerprint(model) is None
        sees(pool, ["m"])
        assert await pool.fingerprint(model) is not None


async def test_made_up_names_do_not_pile_up() -> None:
    """Names that nobody lists leave nothing in the store, and in memory no more than a thousand of them."""
    kept = store()
    async with pool_of(at(), kept=kept) as pool:
        sees(pool, ["m"])
        for number in range(2000):
            await pool.fingerprint(f"made-up-{number}")
        assert (1000, 0) == (len(pool._fingerprints), len(kept._texts))
        found = await pool.fingerprint("m")
        assert (found, 1) == (pool.known_fingerprint("m"), len(kept._texts))


# Who and whose turn.


@pytest.mark.parametrize(
    ("model", "candidates"),
    [
        ("m", ["a", "c"]),
        ("n", ["b", "c"]),
        ("lora", ["c"]),
        ("unknown", ["a", "b", "c"]),
    ],
)
async def test_candidates_as_seen(model: str, candidates: list[str]) -> None:
    """Who was seen to serve a model may answer for it; all may for one that nobody lists."""
    async with pool_of(at(name="a"), at(name="b"), at(name="c")) as pool:
        sees(pool, ["m"], ["n"], ["m", "n", "lora"])
        assert candidates == names(pool.candidates(model))


@pytest.mark.parametrize(
    ("model", "candidates"), [("qwen3-8b", ["a"]), ("llama", ["b"]), ("gpt-oss", ["b", "c"]), ("m", ["c"])]
)
async def test_candidates_as_configured(model: str, candidates: list[str]) -> None:
    """What is configured counts instead of what was seen; patterns are the shell's, case and all."""
    configured = (at(name="a", models=("qwen3-*",)), at(name="b", models=("llama", "gpt-*")), at(name="c"))
    async with pool_of(*configured) as pool:
        sees(pool, ["m", "llama"], ["m"], ["m", "gpt-oss"])
        assert candidates == names(pool.candidates(model))
        assert not pool.upstreams[0].serves("Qwen3-8b")


@pytest.mark.parametrize(
    ("answers", "doubt"),
    [
        (("42",), ""),
        (("42", "42", "41"), "prompts have more than one text"),
        ((500,), "answers are missing: status 500"),
        (("",), "the model says nothing at all"),
    ],
)
async def test_a_reference_lane_is_probed(answers: tuple[doubles.Answer, ...], doubt: str) -> None:
    """One answer to each prompt makes it trusted; anything else does not, and the reason is told."""
    async with open_upstream(*answers) as far, pool_of(at(far.url, lane="reference")) as pool:
        await pool.look()
        await pool.upstreams[0].probe()
        assert [not doubt] == [pool.turn("m", "reference").pick() is not None]
        assert doubt in pool.doubted.get("a", "")


async def test_a_changed_server_is_probed_again() -> None:
    """What is trusted is the server as it was seen: another model behind it is probed anew, the same one not."""
    async with open_upstream() as far, pool_of(at(far.url, lane="reference")) as pool:
        await pool.look()
        await pool.upstreams[0].probe()
        asked = len(far.seen)
        await pool.upstreams[0].probe()
        assert asked == len(far.seen)
        far.models = listing(max_model_len=5)
        await pool.look()
        await pool.upstreams[0].probe()
        assert 2 * asked == len(far.seen)


async def test_one_that_was_away_is_probed_again() -> None:
    """A server that was down may be back with other flags: it is probed anew, though not more than once a minute."""
    clock = Clock()
    reference, watch = {"lane": "reference"}, Watch(clock=clock)
    async with open_upstream("42") as far, pool_of(at(far.url, **reference), watch=watch) as pool:
        upstream = pool.upstreams[0]

        async def doubt_after(seconds: float) -> str:
            clock.now += seconds
            await upstream.look()
            await upstream.probe()
            return upstream.trust.doubt

        assert "" == await doubt_after(0)
        asked, far.answers = len(far.seen), ["42", "41", "40"]
        assert ("", asked) == (await doubt_after(1000), len(far.seen))
        upstream.mark(up=False)
        await upstream.probe()
        assert asked == len(far.seen)
        assert "more than one text" in await doubt_after(0)
        asked = len(far.seen)
        upstream.mark(up=False)
        assert ("more than one text" in await doubt_after(59), asked) == (True, len(far.seen))
        far.answers = ["42"]
        assert "" == await doubt_after(1)


# Headers.


@pytest.mark.parametrize(
    ("settings", "sent"),
    [
        ({}, [("Authorization", "Bearer client"), ("x-a", "1")]),
        ({"api_key": "own"}, [("x-a", "1"), ("authorization", "Bearer own")]),
        ({"headers": (("X-A", "2"),)}, [("Authorization", "Bearer client"), ("X-A", "2")]),
        ({"headers": (("x-b", "3"),)}, [("Authorization", "Bearer client"), ("x-a", "1"), ("x-b", "3")]),
        ({"headers": (("authorization", "Basic x"),)}, [("x-a", "1"), ("authorization", "Basic x")]),
        (
            {"headers": (("x-b", "3"),), "api_key": "own"},
            [("x-a", "1"), ("x-b", "3"), ("authorization", "Bearer own")],
        ),
    ],
)
async def test_dress(settings: dict[str, Any], sent: list[tuple[str, str]]) -> None:
    """A server's own key and fields replace the client's of the same names, in any case."""
    async with pool_of(at(**settings)) as pool:
        assert sent == [*pool.upstreams[0].dress([("Authorization", "Bearer client"), ("x-a", "1")])]


async def test_dress_for_anthropics_clients() -> None:
    """A client's `x-api-key` does not reach a server that has a key of its own, which then comes under both names."""
    async with pool_of(at(api_key="own")) as pool:
        dressed = pool.upstreams[0].dress([("X-Api-Key", "client")])
        assert [("authorization", "Bearer own"), ("x-api-key", "own")] == [*dressed]


# A living pool.


@asynccontextmanager
async def open_pools(metrics: Metrics) -> AsyncIterator[Pools]:
    pools = Pools(metrics, store())
    try:
        yield pools
    finally:
        await pools.aclose()


async def test_an_open_pool_looks_by_itself() -> None:
    """An open pool has looked at all its servers, well or badly, once it says so; it closes cleanly."""
    async with open_upstream() as upstream:
        away = at(f"http://127.0.0.1:{free_port()}", "away")
        settings = Settings(upstreams=(at(upstream.url, "here"), away))
        registry = CollectorRegistry()
        async with open_pools(Metrics(registry)) as pools:
            pool = pools.open(settings)
            await pool.first_look.wait()
            chosen = pool.turn("m").pick()
            assert (["away"], "here") == (pool.down, chosen and chosen.name)
            assert [1.0, 0.0] == [
                registry.get_sample_value("scg_upstream_up", {"upstream": name}) for name in ("here", "away")
            ]


async def test_closing_before_the_first_look_has_ended() -> None:
    """A pool that is closed while it looks closes at once."""
    async with open_upstream() as upstream:
        settings = Settings(upstreams=(at(upstream.url),))
        async with open_pools(Metrics(CollectorRegistry())) as pools:
            pool = pools.open(settings)
        assert not pool.first_look.is_set()


@pytest.mark.parametrize(
    "garbage", [b"[" * 100_000, b'{"data":[{"id":"m","x":' + b"[" * 100_000, b"\xff", b"null"]
)
async def test_garbage_does_not_end_the_looking(garbage: bytes) -> None:
    """Whatever a server lists, the pool goes on looking, and sees it when it is well again."""
    async with open_upstream() as upstream, pool_of(at(upstream.url)) as pool:
        well, upstream.models = upstream.models, Reply(body=garbage)
        looking = asyncio.create_task(pool.keep_looking())
        await pool.first_look.wait()
        assert not looking.done()
        looking.cancel()
        upstream.models = well
        await pool.look()
        assert pool.upstreams[0].serves("m")


class Forgetful(MemoryStore):
    """A store that fails in a way that nobody thought of, for as long as it likes."""

    fails = True

    async def recall(self, name: str) -> str | None:
        if self.fails:
            raise RuntimeError("nobody thought of this")
        return await super().recall(name)


async def test_a_bug_does_not_end_the_looking(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is raised in a look is told in the log, and the next look at that upstream and at all others comes."""
    kept = Forgetful(1 << 20)
    async with open_upstream() as here, pool_of(at(here.url), at(NOBODY, "away"), kept=kept) as pool:
        pool._interval = 0.01
        looking = asyncio.create_task(pool.keep_looking())
        await pool.first_look.wait()
        looks = here.looks
        await until(lambda: here.looks > looks + 3)
        assert not looking.done()
        assert "a bug in what watches upstream away" in caplog.text
        looking.cancel()


async def test_a_slow_probe_delays_no_look() -> None:
    """A reference lane is looked at while it is probed, and all that are probed at first are waited for."""
    async with open_upstream("42") as far, pool_of(at(far.url, lane="reference")) as pool:
        far.gates[0] = asyncio.Event()
        pool._interval = 0.01
        looking = asyncio.create_task(pool.keep_looking())
        await far.asked(1)
        looks = far.looks
        await until(lambda: far.looks > looks + 3)
        assert not pool.first_look.is_set()
        far.gates[0].set()
        await pool.first_look.wait()
        assert not pool.doubted
        looking.cancel()


async def test_a_host_that_is_no_name_is_down() -> None:
    """A URL whose host no resolver takes is a server that is down, and no end of the looking."""
    async with pool_of(at("http://a..b"), at("http://nowhere.invalid.", "b")) as pool:
        await pool.look()
        assert ["a", "b"] == pool.down
        assert pool.turn("m").pick() in pool.upstreams


# Looks at servers that are slow.


def models_unless(silent: asyncio.Event) -> Play:
    """A server that lists a model, and does not answer while it is silent."""

    async def play(connection: Connection) -> None:
        while await connection.request():
            if silent.is_set():
                await connection.wait_for_leaving()
                return
            await connection.send(response(b'{"data":[{"id":"m"}]}'))

    return play


@pytest.mark.parametrize(
    ("looks", "ups"),
    [("answered silent answered", [1, 1, 1]), ("answered silent silent answered", [1, 1, 0, 1])],
)
async def test_a_busy_server_is_not_down_at_once(looks: str, ups: list[bool]) -> None:
    """One look without an answer in time may be a busy server, two are one that is down until it answers."""
    patient, hasty = (HealthSettings(timeout=seconds) for seconds in (30, 0.1))
    silent = asyncio.Event()
    async with open_raw(models_unless(silent)) as raw:
        client = AiohttpClient(Timeouts(connect=30, first_byte=30, idle=30))
        upstream = Upstream(at(raw.url), client, Metrics(CollectorRegistry()))
        seen = []
        for each in looks.split():
            (silent.set if each == "silent" else silent.clear)()
            upstream.watch = Watch(health=hasty if each == "silent" else patient)
            await upstream.look()
            seen.append(upstream.is_up)
        await client.aclose()
    assert ups == seen


async def test_a_slow_server_delays_no_look_at_another() -> None:
    """Each server is looked at in its own time: one that never answers its looks holds up nobody else's."""
    async with open_raw(hanging()) as slow, open_raw(keeping(response(b'{"data":[{"id":"m"}]}'))) as quick:
        upstreams = (at(slow.url, "slow"), at(quick.url, "quick"))
        settings = Settings(upstreams=upstreams, health=HealthSettings(interval=0.01, timeout=30))
        async with open_pools(Metrics(CollectorRegistry())) as pools:
            pool = pools.open(settings)
            await until(lambda: sum(quick.requests) > 10)
            assert not pool.first_look.is_set()
