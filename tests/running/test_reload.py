"""SIGHUP: the settings are read anew while requests are under way."""

import asyncio
import signal
from hashlib import sha256
from pathlib import Path

import pytest

from gateway.running.reload import changes, needs_restart
from gateway.settings.model import CacheSettings, Limits, Settings, UpstreamSettings
from tests.doubles.upstream import open_upstream
from tests.running.served import serve


def key(name: str) -> dict[str, str]:
    return {"name": name, "sha256": sha256(f"secret-{name}".encode()).hexdigest()}


def bearer(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer secret-{name}"}


BASE = Settings(upstreams=(UpstreamSettings(url="http://llm"),))


@pytest.mark.processes
async def test_a_request_ends_under_the_settings_that_it_met(tmp_path: Path) -> None:
    """A vote under way goes on with the old upstream, which is gone for the next one; neither is dropped."""
    async with open_upstream("old") as old, open_upstream("new") as new:
        old.gates = {0: asyncio.Event()}
        async with serve(tmp_path, {"upstreams": [{"url": old.url}]}) as served:
            first = asyncio.create_task(served.chat())
            await old.asked(1)
            served.configure({"upstreams": [{"url": new.url}], "vote": {"k": 5}})
            served.tell(signal.SIGHUP)
            assert "upstreams, vote" in await served.logged("read anew")
            second = await served.chat(seed=2)
            assert ("new", ("5", "3")) == (second.content, second.about("k", "samples"))
            old.gates[0].set()
            assert ("old", ("3", "2")) == ((await first).content, (await first).about("k", "samples"))


@pytest.mark.processes
async def test_keys_routes_and_limits(tmp_path: Path) -> None:
    """A key that is taken away is refused, a new one let in; a route and a bound hold for what comes next."""
    async with open_upstream("42") as upstream:
        base = {"upstreams": [{"url": upstream.url}]}
        async with serve(tmp_path, base | {"keys": [key("old")]}) as served:
            assert 200 == (await served.chat(bearer("old"))).status
            served.configure(
                base
                | {
                    "keys": [key("new")],
                    "routes": [{"model": "m", "policy": "single"}],
                    "limits": {"max_body": 999},
                }
            )
            served.tell(signal.SIGHUP)
            await served.logged("changed: routes, limits, keys")
            assert 401 == (await served.chat(bearer("old"), seed=2)).status
            got = await served.chat(bearer("new"), seed=2)
            assert (200, ("single", "1")) == (got.status, got.about("policy", "k"))
            alone = bearer("new") | {"connection": "close"}
            await served.chat(alone)  # so that the next one comes on a connection of its own
            assert 413 == (await served.chat(alone, padding="x" * 1000)).status


@pytest.mark.processes
async def test_a_bad_configuration_changes_nothing(tmp_path: Path) -> None:
    """What is wrong is logged key by key, and the gateway answers as before; so does a file that is gone."""
    async with (
        open_upstream("42") as upstream,
        serve(tmp_path, {"upstreams": [{"url": upstream.url}]}) as served,
    ):
        served.configure("vote: {k: none}\nprot: 1")
        served.tell(signal.SIGHUP)
        assert "refused" in await served.logged("vote.k: ")
        await served.logged("prot: no such key")
        assert "42" == (await served.chat()).content
        served.file.unlink()
        served.tell(signal.SIGHUP)
        await served.logged("the new configuration is refused", times=3)
        assert "42" == (await served.chat(seed=2)).content


@pytest.mark.processes
async def test_what_cannot_change_is_named(tmp_path: Path) -> None:
    """A new host and cache take effect only after a restart, which the log says; the rest takes effect now."""
    async with open_upstream("42") as upstream:
        settings = {"upstreams": [{"url": upstream.url}]}
        async with serve(tmp_path, settings) as served:
            fixed = {"host": "127.0.0.2", "cache": {"url": "redis://127.0.0.1:1/0"}}
            served.configure(settings | fixed | {"vote": {"policy": "single"}})
            served.tell(signal.SIGHUP)
            assert "host, cache.url" in await served.logged("only after a restart")
            await served.logged("changed: vote")
            assert ("1",) == (await served.chat()).about("k")


@pytest.mark.processes
async def test_requests_go_on_through_many_reloads(tmp_path: Path) -> None:
    """Of requests that come all the while, none fails, whatever is added, removed and renamed."""
    async with open_upstream("42") as one, open_upstream("42") as two:
        both = [{"url": one.url, "name": "one"}, {"url": two.url, "name": "two"}]
        async with serve(tmp_path, {"upstreams": both}) as served:
            seeds, statuses, is_over = iter(range(10**6)), [], False

            async def ask() -> None:
                while not is_over:
                    statuses.append((await served.chat(seed=next(seeds), n=1)).status)

            asking = [asyncio.create_task(ask()) for _ in range(8)]
            named = [each | {"name": f"{each['name']}-too"} for each in both]
            for number, upstreams in enumerate(([both[0]], both, [both[1]], named, both), start=1):
                served.configure({"upstreams": upstreams})
                served.tell(signal.SIGHUP)
                await served.logged("read anew; changed: upstreams", times=number)
            is_over = True
            await asyncio.gather(*asking)
            assert {200} == {*statuses}


def test_what_needs_a_restart() -> None:
    """Where it listens and where its pins are; not how long they live, nor that any port would do."""
    cache = CacheSettings(url="redis://a", ttl=1, ca_file="ca.pem")
    found = Settings(upstreams=BASE.upstreams, port=1, cache=cache)
    assert ["port", "cache.url", "cache.ca_file"] == needs_restart(BASE, found)
    assert [] == needs_restart(BASE, Settings(upstreams=BASE.upstreams, port=0, cache=CacheSettings(ttl=1)))


def test_what_has_changed() -> None:
    """Keys as the file has them; a configuration that says the same has none."""
    found = Settings(upstreams=(), limits=Limits(max_k=3), default_policy=BASE.policies["single"])
    assert {"upstreams", "limits", "vote"} == {*changes(BASE, found)}
    assert [] == changes(BASE, Settings(upstreams=BASE.upstreams, warnings=("a",)))
