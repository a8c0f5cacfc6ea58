"""The end of a gateway: nobody who was being served is cut off, and nobody new is let in."""

import asyncio
import signal
from pathlib import Path

import pytest

from tests.doubles.upstream import HANG, Paced, open_upstream
from tests.doubles.waiting import until_async
from tests.running.served import serve

pytestmark = pytest.mark.processes


async def test_votes_under_way_end(tmp_path: Path) -> None:
    """On SIGTERM a vote of three that is under way is answered, a new one is told 503, and the exit code is 0."""
    async with open_upstream("41", "42", "42") as upstream:
        upstream.gates = {at: asyncio.Event() for at in range(3)}
        async with serve(tmp_path, {"upstreams": [{"url": upstream.url}]}) as served:
            asked = asyncio.create_task(served.chat(consistency={"stop": "all"}))
            await upstream.asked(3)
            served.tell(signal.SIGTERM)
            await served.logged("requests in flight")
            refused = await served.chat(seed=2)
            assert (503, "1") == (refused.status, refused.headers["retry-after"])
            assert 503 == (await served.get("/readyz")).status
            for gate in upstream.gates.values():
                gate.set()
            got = await asked
            assert (200, "42", ("majority", "3")) == (
                got.status,
                got.content,
                got.about("outcome", "samples"),
            )
            assert 0 == await served.process.wait()


async def test_a_stream_under_way_ends(tmp_path: Path) -> None:
    """On SIGTERM a stream that is being shown is shown to its end."""
    paced = Paced("hello", 2)
    async with open_upstream(paced) as upstream:
        settings = {"upstreams": [{"url": upstream.url}], "vote": {"policy": "single"}}
        async with serve(tmp_path, settings) as served:
            asked = asyncio.create_task(served.chat(stream=True))
            await upstream.asked(1)
            served.tell(signal.SIGTERM)
            await served.logged("requests in flight")
            paced.go.set()
            assert (await asked).body.endswith(b"data: [DONE]\n\n")
            assert 0 == await served.process.wait()


async def test_it_is_not_ready_before_it_refuses(tmp_path: Path) -> None:
    """/readyz is 503 while requests are still answered, for as long as drain.delay; a second signal ends that."""
    async with open_upstream("42") as upstream:
        settings = {"upstreams": [{"url": upstream.url}], "drain": {"delay": "1h"}}
        async with serve(tmp_path, settings) as served:
            served.tell(signal.SIGTERM)

            async def is_leaving() -> bool:
                return bool((await served.get("/readyz")).json["status"] == "draining")

            await until_async(is_leaving)
            assert 200 == (await served.chat()).status
            served.tell(signal.SIGTERM)
            assert 0 == await served.process.wait()


async def test_what_takes_too_long_is_cut_off(tmp_path: Path) -> None:
    """After drain.timeout the process ends with exit code 0, and says how many requests it cut off."""
    async with open_upstream(HANG) as upstream:
        settings = {"upstreams": [{"url": upstream.url}], "drain": {"delay": 0, "timeout": "50ms"}}
        async with serve(tmp_path, settings) as served:
            asked = asyncio.create_task(served.chat())
            await upstream.asked(1)
            served.tell(signal.SIGTERM)
            assert 0 == await served.process.wait()
            await served.logged("1 requests are cut off")
            assert isinstance((await asyncio.gather(asked, return_exceptions=True))[0], Exception)


async def test_a_second_signal_hurries(tmp_path: Path) -> None:
    """SIGTERM during the drain cuts off what is under way at once."""
    async with open_upstream(HANG) as upstream:
        settings = {"upstreams": [{"url": upstream.url}], "drain": {"delay": 0, "timeout": "1h"}}
        async with serve(tmp_path, settings) as served:
            asked = asyncio.create_task(served.chat())
            await upstream.asked(1)
            served.tell(signal.SIGTERM)
            await served.logged("1 requests in flight")
            served.tell(signal.SIGTERM)
            assert 0 == await served.process.wait()
            await asyncio.gather(asked, return_exceptions=True)


async def test_measuring_does_not_hold_it(tmp_path: Path) -> None:
    """Samples that are taken only to be compared are given up: the process does not wait for them."""
    async with open_upstream("42") as upstream:
        vote = {"policy": "single", "measure": 1, "measure_k": 16}
        settings = {"upstreams": [{"url": upstream.url}], "vote": vote, "drain": {"timeout": "1h"}}
        async with serve(tmp_path, settings) as served:
            assert 200 == (await served.chat()).status
            served.tell(signal.SIGTERM)
            assert 0 == await served.process.wait()
            assert len(upstream.seen) < 16
