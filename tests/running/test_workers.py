"""Several workers on one port: one gateway to its clients, to Prometheus and to whoever signals it."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientConnectionError
from prometheus_client.parser import text_string_to_metric_families

from gateway.running.port import reserved
from tests.cli.commands import scg
from tests.doubles.ipv6 import needs_ipv6
from tests.doubles.redis_server import RedisServer, free_port
from tests.doubles.upstream import HANG, Answer, Upstream, open_upstream
from tests.doubles.waiting import until
from tests.running.served import Served, manager, serve

pytestmark = pytest.mark.processes

ALONE = {"connection": "close"}  # a connection for each request, so that all workers are met
MANY = 40  # connections; that one of two workers meets none of them has a chance of 2^-39


def settings_for(upstream: Upstream, redis: RedisServer, **more: Any) -> dict[str, Any]:
    cache = {"url": redis.url, "timeout": "30s"}  # a Redis that is slow is still there
    return {"upstreams": [{"url": upstream.url}], "cache": cache, "workers": 2, **more}


@asynccontextmanager
async def two_workers(
    folder: Path, redis: RedisServer, *answers: Answer, **more: Any
) -> AsyncIterator[tuple[Served, Upstream]]:
    async with (
        open_upstream(*answers) as upstream,
        serve(folder, settings_for(upstream, redis, **more)) as served,
    ):
        await served.logged("2 workers listening")
        yield served, upstream


def workers_of(served: Served) -> list[int]:
    """The processes that it has started and that still run."""
    path = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children")
    return [int(pid) for pid in path.read_text().split()]


async def metric(served: Served, name: str) -> float:
    """The sum of a metric's samples, from whichever worker answers."""
    text = (await served.get("/metrics", ALONE)).text
    samples = (each for family in text_string_to_metric_families(text) for each in family.samples)
    return sum(each.value for each in samples if each.name == name)


async def summary(served: Served) -> Any:
    return (await served.get("/v1/consistency/summary", ALONE)).json


async def ask(served: Served, seeds: Sequence[int]) -> list[str]:
    """Each question on a connection of its own; what was said."""
    return [(await served.chat(ALONE, seed=seed)).content for seed in seeds]


async def test_they_are_one_gateway(tmp_path: Path, redis_server: RedisServer) -> None:
    """What one worker pins all give out, and any of them tells the metrics and the summary of all."""
    async with two_workers(tmp_path, redis_server, *map(str, range(1000)), vote={"k": 1}) as (
        served,
        upstream,
    ):
        first = await ask(served, range(MANY))
        assert first == await ask(served, range(MANY))
        assert MANY == len(upstream.seen)
        for _ in range(MANY):
            assert 2 * MANY == await metric(served, "scg_requests_total")
            assert 2 * MANY == await metric(served, "scg_request_seconds_count")
        assert 1 == await metric(served, "scg_upstream_up")
        assert {each.split('"worker":')[1][0] for each in served.log if '"message":"round"' in each} == {
            "0",
            "1",
        }


async def test_the_summary_is_of_all(tmp_path: Path, redis_server: RedisServer) -> None:
    """Questions that different workers voted on stand in one rate."""
    async with two_workers(tmp_path, redis_server, "42") as (served, _):
        await ask(served, range(MANY))
        for _ in range(4):
            told = await summary(served)
            assert (2, MANY, 1.0) == (
                told["workers"],
                told["consistency"][0]["questions"],
                told["consistency"][0]["rate"],
            )
            assert ["closed"] == [each["breaker"] for each in told["upstream_states"].values()]


async def test_a_worker_that_dies_is_replaced(tmp_path: Path, redis_server: RedisServer) -> None:
    """Requests go on, and no counter that anybody was told goes back, whether it was killed or ended by itself."""
    async with two_workers(tmp_path, redis_server, "42") as (served, _):
        await ask(served, range(MANY))
        counted = await metric(served, "scg_samples_total")
        for times, number in enumerate((signal.SIGKILL, signal.SIGTERM, signal.SIGKILL), start=1):
            os.kill(workers_of(served)[0], number)
            await served.logged("died", times=times)
            assert counted == await metric(served, "scg_samples_total")
            assert {200} == {(await served.get("/readyz", ALONE)).status for _ in range(MANY)}
            await served.logged('"message":"listening', times=2 + times)
            assert counted == await metric(served, "scg_samples_total")
        assert ["42"] * MANY == await ask(served, range(MANY))
        assert counted == await metric(served, "scg_samples_total")


async def test_a_worker_that_is_stuck_does_not_hold_the_metrics(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    """One that does not answer is left out after a second with its state, not with what it had told before."""
    async with two_workers(tmp_path, redis_server, "42") as (served, _):
        await ask(served, range(MANY))
        counted = await metric(served, "scg_samples_total")
        stuck = workers_of(served)[0]
        os.kill(stuck, signal.SIGSTOP)
        asking = [asyncio.create_task(metric(served, "scg_samples_total")) for _ in range(MANY)]
        try:  # the kernel deals every other connection to the stuck one
            done, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
            assert {counted} == {task.result() for task in done}
        finally:
            os.kill(stuck, signal.SIGCONT)
        await asyncio.gather(*asking)


async def test_all_drain(tmp_path: Path, redis_server: RedisServer) -> None:
    """On SIGTERM votes under way in every worker end, and so does the parent, with exit code 0."""
    async with two_workers(tmp_path, redis_server, "42", vote={"k": 1}) as (served, upstream):
        upstream.gates = {at: asyncio.Event() for at in range(MANY)}
        asked = [asyncio.create_task(served.chat(ALONE, seed=seed)) for seed in range(MANY)]
        await upstream.asked(MANY)
        served.tell(signal.SIGTERM)
        await served.logged("requests in flight", times=2)
        for gate in upstream.gates.values():
            gate.set()
        assert [200] * MANY == [got.status for got in await asyncio.gather(*asked)]
        assert 0 == await served.process.wait()


async def test_a_second_signal_hurries_all(tmp_path: Path, redis_server: RedisServer) -> None:
    """SIGTERM again cuts off what is under way in every worker."""
    async with two_workers(tmp_path, redis_server, HANG, drain={"timeout": "1h"}) as (served, upstream):
        asked = [asyncio.create_task(served.chat(ALONE, seed=seed)) for seed in range(MANY)]
        await upstream.asked(MANY)
        served.tell(signal.SIGTERM)
        await served.logged("requests in flight", times=2)
        served.tell(signal.SIGTERM)
        assert 0 == await served.process.wait()
        await asyncio.gather(*asked, return_exceptions=True)


async def test_all_read_their_settings_anew(tmp_path: Path, redis_server: RedisServer) -> None:
    """After SIGHUP every worker has them, and one that is started later, too; bad ones reach none."""
    async with two_workers(tmp_path, redis_server, "42") as (served, upstream):
        served.configure(settings_for(upstream, redis_server, vote={"k": 5}))
        served.tell(signal.SIGHUP)
        await served.logged("read anew; changed: vote", times=2)
        served.configure("vote: {k: none}")
        served.tell(signal.SIGHUP)
        await served.logged("the new configuration is refused")
        os.kill(workers_of(served)[0], signal.SIGKILL)
        await served.logged("died")
        await served.logged('"message":"listening', times=3)
        got = [(await served.chat(ALONE, seed=seed)).about("k") for seed in range(MANY)]
        assert [("5",)] * MANY == got


async def test_none_outlives_its_parent(tmp_path: Path, redis_server: RedisServer) -> None:
    """When the parent is killed, its workers drain and end, and the port is free."""
    async with two_workers(tmp_path, redis_server, "42") as (served, _):
        workers = workers_of(served)
        served.tell(signal.SIGKILL)

        def are_gone() -> bool:
            return not any(Path(f"/proc/{pid}/fd/0").exists() for pid in workers)

        await until(are_gone)
        with pytest.raises(ClientConnectionError):
            await served.chat(ALONE)


async def test_the_manager_is_told_once(tmp_path: Path, redis_server: RedisServer) -> None:
    """Ready when all workers are, reloading and ready when all have reloaded, stopping: by the parent alone."""
    async with open_upstream() as upstream, manager(tmp_path) as (address, told):
        settings = settings_for(upstream, redis_server)
        async with serve(tmp_path, settings, {"NOTIFY_SOCKET": address}) as served:
            assert (
                f"2 workers listening on {served.url}, base URL {served.url}/v1" == (await told())["STATUS"]
            )
            served.tell(signal.SIGHUP)
            assert ["RELOADING", "READY"] == [next(iter(await told())) for _ in range(2)]
            served.tell(signal.SIGTERM)
            assert "1" == (await told())["STOPPING"]


def test_a_port_in_use_is_exit_code_2() -> None:
    """In one line, even if whoever listens there would share the port."""
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        port = str(taken.getsockname()[1])
        words = ("--upstream-url", "http://127.0.0.1:9", "--port", port, "--workers", "2")
        ended = scg("serve", *words, environ={"SCG_CACHE__URL": "redis://127.0.0.1:1"})
    assert (2, f"scg: cannot listen on 127.0.0.1:{port}: Address already in use\n") == (
        ended.returncode,
        ended.stderr,
    )


def test_a_port_in_use_on_one_of_two_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that stands for several addresses needs the port on all of them."""
    both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 0)) for host in ("127.0.0.1", "127.0.0.2")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
    with (
        socket.create_server(("127.0.0.2", 0)) as taken,
        pytest.raises(OSError, match="in use"),
        reserved("two", taken.getsockname()[1]),
    ):
        pass


@needs_ipv6
def test_a_port_in_use_on_ipv6() -> None:
    """The line names the address as it was given."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        port = str(taken.getsockname()[1])
        words = ("--upstream-url", "http://127.0.0.1:9", "--port", port, "--workers", "2", "--host", "::1")
        ended = scg("serve", *words, environ={"SCG_CACHE__URL": "redis://127.0.0.1:1"})
    assert (2, f"scg: cannot listen on ::1:{port}: Address already in use\n") == (
        ended.returncode,
        ended.stderr,
    )


def test_workers_that_cannot_start_end_the_parent(tmp_path: Path) -> None:
    """What one of them died of is told, and the parent does not try for ever."""
    (deep := tmp_path / ("x" * 100)).mkdir()  # more than a socket's name can have
    environ = {"SCG_CACHE__URL": "redis://127.0.0.1:1", "TMPDIR": str(deep), "SCG_PORT": str(free_port())}
    ended = scg("serve", "--upstream-url", "http://127.0.0.1:9", "--workers", "2", environ=environ)
    assert 0 < ended.returncode
    assert ("AF_UNIX path too long" in ended.stderr, "ended before any was ready" in ended.stderr) == (
        True,
        True,
    )


def test_workers_need_a_cache_that_they_share() -> None:
    """With memory:// each would pin for itself: refused, with the flag that asks for it."""
    ended = scg("serve", "--upstream-url", "http://127.0.0.1:9", "--workers", "2")
    assert 2 == ended.returncode
    assert "config: workers: 2 need a cache that they share" in ended.stderr
    assert ended.stderr.endswith("set cache.url to redis://…, or use 1 (from --workers)\n")
