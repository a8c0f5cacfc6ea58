"""`scg serve` as a process, in front of a server that hardly answers."""

import json
import signal
import subprocess
import urllib.request

import pytest

from gateway.cli.demo import _free_port
from tests.cli.commands import SCG, environment, http_server

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
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as response:
                    assert response.status == 200
            finally:
                process.send_signal(number)
            assert process.wait(30) == 0
