"""`scg demo`: two processes that start, are awaited and never stay behind."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from gateway.cli.arguments import address
from gateway.cli.demo import _free_port, _refusal
from tests.cli.commands import SCG, environment

# A server in the place of the backend or of the gateway: it writes its process id where the test finds it.
SERVER = """
import json, os, signal, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
name, port, folder, behaviour = sys.argv[1:]
open(os.path.join(folder, name), "w").write(str(os.getpid()))
if behaviour == "dies at once":
    print("weights not found", flush=True); sys.exit(3)
if behaviour == "ignores signals":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        self.wfile.write(json.dumps({"data": [{"id": "tiny"}]}).encode())
        if behaviour == "dies later" and self.path != "/health": os._exit(4)
HTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()
"""
DEMO = """
import sys
from gateway.cli.demo import Server, run_both
script, folder, *ports_and_behaviours = sys.argv[1:]
servers = []
for name in ("backend", "gateway"):
    port, behaviour = ports_and_behaviours[:2]; del ports_and_behaviours[:2]
    servers.append(Server([sys.executable, "-c", script, name, port, folder, behaviour], f"http://127.0.0.1:{port}"))
sys.exit(run_both(*servers, patience=1))
"""


@contextmanager
def demo(folder: Path, backend: str = "serves", gateway: str = "serves") -> Iterator[subprocess.Popen[str]]:
    """The demo with these two servers."""
    command = [
        sys.executable,
        "-c",
        DEMO,
        SERVER,
        str(folder),
        str(_free_port()),
        backend,
        str(_free_port()),
        gateway,
    ]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as made:
        try:
            yield made
        finally:
            made.kill()


def until_welcome(process: subprocess.Popen[str]) -> str:
    """What it says once both are ready."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line == "Ctrl-C stops both.\n":
            break
    return "".join(lines)


def is_running(folder: Path, name: str) -> bool:
    try:
        os.kill(int((folder / name).read_text()), 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.processes
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_both(tmp_path: Path, number: signal.Signals) -> None:
    """It says where everything is; Ctrl-C is exit code 0, and neither process is left."""
    with demo(tmp_path) as process:
        told = until_welcome(process)
        assert "curl -i http://127.0.0.1:" in told
        assert '"model": "tiny"' in told
        assert "/metrics\n" in told
        assert is_running(tmp_path, "backend")
        assert is_running(tmp_path, "gateway")
        process.send_signal(number)
        assert process.wait() == 0
    assert not is_running(tmp_path, "backend")
    assert not is_running(tmp_path, "gateway")


@pytest.mark.processes
def test_a_server_that_will_not_stop_is_killed(tmp_path: Path) -> None:
    """Ctrl-C works on a backend that ignores SIGTERM, pressed twice as well."""
    with demo(tmp_path, backend="ignores signals") as process:
        until_welcome(process)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert any("stopping both" in line for line in process.stderr)  # it waits for the backend by now
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
    assert not is_running(tmp_path, "backend")


@pytest.mark.processes
@pytest.mark.parametrize(
    ("backend", "gateway", "said"),
    [
        ("dies at once", "serves", "the backend died (exit code 3); it said:\n  weights not found\n"),
        ("serves", "dies at once", "the gateway died (exit code 3)\n"),
        ("dies later", "serves", "the backend died (exit code 4)"),
        ("serves", "dies later", "the gateway died (exit code 4)"),
    ],
)
def test_a_death_ends_the_demo(tmp_path: Path, backend: str, gateway: str, said: str) -> None:
    """A server that dies by itself is exit code 1, with its last words; the other one is stopped."""
    with demo(tmp_path, backend, gateway) as process:
        _, told = process.communicate()
        assert process.returncode == 1
    assert said in told
    for name in ("backend", "gateway"):
        assert not (tmp_path / name).exists() or not is_running(tmp_path, name)


@pytest.mark.processes
@pytest.mark.backend
def test_the_real_thing() -> None:
    """`scg demo` starts the backend and the gateway, and the first question is voted on."""
    port = _free_port()
    environ = environment({"SCG_PORT": str(port), "SCG_VOTE__K": "2"})
    with subprocess.Popen(
        [*SCG, "demo", "--model", "random"],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert f"http://127.0.0.1:{port}/v1/chat/completions" in until_welcome(process)
            question = {
                "model": "random",
                "messages": [{"role": "user", "content": "hello"}],
                "max_tokens": 4,
            }
            request = Request(f"http://127.0.0.1:{port}/v1/chat/completions", json.dumps(question).encode())
            request.add_header("content-type", "application/json")
            with urlopen(request) as response:
                assert ("vote", "2") == tuple(
                    response.headers[f"x-consistency-{name}"] for name in ("source", "k")
                )
            process.send_signal(signal.SIGINT)
            assert process.wait() == 0
        finally:
            process.terminate()


@pytest.mark.processes
@pytest.mark.backend
def test_the_port_is_taken() -> None:
    """A port that somebody else has is named before anything is started: exit code 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [*SCG, "demo"],
            env=environment({"SCG_PORT": str(port)}),
            capture_output=True,
            text=True,
            check=False,
        )
    assert ended.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}: the port is taken; choose another" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.processes
def test_without_torch_the_remedy_is_told(tmp_path: Path) -> None:
    """Where PyTorch is not installed, one line says how to install it: exit code 1."""
    code = "import sys; sys.path = [p for p in sys.path if 'site-packages' not in p]; import gateway.__main__ as m"
    ended = subprocess.run(
        [sys.executable, "-c", f"{code}; sys.exit(m.main(['demo']))"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    expected = "scg demo: the backend needs torch and transformers: pip install -e '.[backend]'\n"
    assert (1, expected) == (ended.returncode, ended.stderr)


def test_a_free_port_is_free_and_a_taken_one_is_not() -> None:
    """What is told of a port is true."""
    assert _refusal("127.0.0.1", _free_port()) is None
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert _refusal("127.0.0.1", taken.getsockname()[1]) == "the port is taken"
    assert _refusal("host.invalid.", 1) is not None


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("::1", "http://[::1]:80"),
        ("box", "http://box:80"),
    ],
)
def test_the_address_is_one_to_visit(host: str, url: str) -> None:
    """Listening everywhere is visited on the loopback."""
    assert url == address(host, 80)
