"""What the service manager is told, on a socket like systemd's."""

import signal
import socket
from pathlib import Path

import pytest

from gateway.running.herald import Silent, find_herald
from tests.doubles.upstream import open_upstream
from tests.running.served import manager, serve

pytestmark = pytest.mark.processes


async def test_it_tells_when_it_is_ready_reloading_and_stopping(tmp_path: Path) -> None:
    """READY once it listens, RELOADING and READY around a reload, good or bad, and STOPPING before the drain."""
    async with open_upstream() as upstream, manager(tmp_path) as (address, told):
        settings = {"upstreams": [{"url": upstream.url}]}
        async with serve(tmp_path, settings, {"NOTIFY_SOCKET": address}) as served:
            ready = await told()
            assert ("1", f"listening on {served.url}, base URL {served.url}/v1") == (
                ready["READY"],
                ready["STATUS"],
            )
            for text in ("vote: {k: 5}", "vote: {k: none}"):
                served.configure(f"upstreams: [{{url: '{upstream.url}'}}]\n{text}")
                served.tell(signal.SIGHUP)
                reloading = await told()
                assert ("1", True) == (reloading["RELOADING"], int(reloading["MONOTONIC_USEC"]) > 0)
                assert ready == await told()
            served.tell(signal.SIGTERM)
            assert "1" == (await told())["STOPPING"]
            assert 0 == await served.process.wait()


async def test_a_manager_that_is_away_is_no_error(tmp_path: Path) -> None:
    """A socket that nobody listens on does not keep the gateway from serving."""
    async with open_upstream("42") as upstream:
        settings = {"upstreams": [{"url": upstream.url}]}
        async with serve(tmp_path, settings, {"NOTIFY_SOCKET": str(tmp_path / "nobody")}) as served:
            assert "42" == (await served.chat()).content


async def test_a_socket_without_a_file(tmp_path: Path) -> None:
    """An address that begins with @ is one of Linux's abstract ones; the variable is not left for children."""
    name = f"\0scg-{tmp_path.name}-{id(tmp_path)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(name)
        environ = {"NOTIFY_SOCKET": "@" + name[1:]}
        find_herald(environ).stopping()
        assert (True, {}) == (line.recv(4096).startswith(b"STOPPING=1\n"), environ)
    assert isinstance(find_herald({}), Silent)
