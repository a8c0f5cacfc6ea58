"""`scg serve` as a process, in front of a server that hardly answers."""

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterable, Iterator

import pytest

from gateway.cli.demo import _free_port
from tests.cli.commands import SCG, environment, http_server, scg
from tests.doubles.ipv6 import needs_ipv6

# What takes long to import and serves no start like the one below.
HEAVY = {
    "aiohttp",
    "pydantic",
    "pydantic_settings",
    "yaml",
    "redis",
    "hiredis",
    "opentelemetry",
    "google",
    "requests",
}
MODELS = json.dumps({"object": "list", "data": [{"id": "m", "object": "model"}]})


@pytest.mark.processes
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serves_until_a_signal(number: signal.Signals) -> None:
    """Flags reach the application, /healthz answers, and a signal ends it with exit code 0."""
    port = _free_port()
    with http_server({"GET /v1/models": (200, MODELS)}) as (upstream, _):
        command = [*SCG, "serve", "--upstream-url", upstream, "--port", str(port)]
        with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as process:
            try:
                assert process.stderr is not None
                assert f"127.0.0.1:{port}" in process.stderr.readline()
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz") as response:
                    assert response.status == 200
                process.send_signal(number)
                assert process.wait() == 0
            finally:
                process.kill()


@pytest.mark.processes
def test_a_port_in_use_is_exit_code_2() -> None:
    """One line says where nobody can listen, and why."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = scg("serve", "--upstream-url", "http://127.0.0.1:9", "--port", port)
    assert 2 == ended.returncode
    assert f"scg: cannot listen on 127.0.0.1:{port}: " in ended.stderr


@needs_ipv6
@pytest.mark.processes
def test_an_ipv6_address_is_told_as_a_url_has_it() -> None:
    """The line that says where the gateway listens can be copied into a client."""
    command = [*SCG, "serve", "--upstream-url", "http://127.0.0.1:9", "--host", "::1", "--port", "0"]
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            (told,) = list(iter_until(process.stderr, "listening on"))[-1:]
            url = told.split("base URL ")[1].partition("/v1")[0]
            assert url.startswith("http://[::1]:")
            with urllib.request.urlopen(f"{url}/healthz") as response:
                assert response.status == 200
        finally:
            process.kill()


@pytest.mark.processes
def test_a_plain_start_imports_nothing_that_it_does_not_need() -> None:
    """Without a file, Redis and proxies, the libraries for those are not loaded by the time it listens."""
    command = [sys.executable, "-X", "importtime", *SCG[1:], "serve", "--port", "0"]
    command += ["--upstream-url", "http://127.0.0.1:9"]
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            told = list(iter_until(process.stderr, "listening on"))
        finally:
            process.kill()
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in told if "import time:" in line}
    assert "gateway" in imported
    assert set() == imported & HEAVY


def iter_until(lines: Iterable[str], text: str) -> Iterator[str]:
    """The lines up to the one with this text."""
    for line in lines:
        yield line
        if text in line:
            return
