"""How many files `scg serve` may have open, and what becomes of requests when there are no more."""

import json
import resource
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.cli.commands import SCG, environment, http_server
from tests.doubles.waiting import until

pytestmark = pytest.mark.processes

_LIMITED = (
    "import os, resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard})); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)
MODELS = json.dumps({"object": "list", "data": [{"id": "m", "object": "model"}]})


@contextmanager
def serving(soft: int, hard: int) -> Iterator[tuple[subprocess.Popen[str], int, list[str]]]:
    """The process, its port, and what it said up to the line that tells where it listens."""
    limited = [sys.executable, "-c", _LIMITED.format(soft=soft, hard=hard), *SCG]
    with http_server({"GET /v1/models": (200, MODELS)}) as (upstream, _):
        command = [*limited, "serve", "--upstream-url", upstream, "--port", "0"]
        with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as process:
            try:
                assert process.stderr is not None
                said: list[str] = []
                while not said or "listening on" not in said[-1]:
                    said.append(process.stderr.readline())
                    assert said[-1], said
                yield process, int(said[-1].partition("/v1")[0].rpartition(":")[2]), said
            finally:
                process.kill()


def test_the_limit_is_raised_as_far_as_it_goes() -> None:
    """The soft limit is for programs that use select(); where the hard one is enough nothing is said."""
    with serving(256, 4096) as (process, _, said):
        assert (4096, 4096) == resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    assert not [line for line in said if "open files" in line]


def test_too_few_are_told() -> None:
    """A warning names both settings and what is allowed."""
    with serving(256, 512) as (_, _, said):
        (line,) = [line for line in said if "open files" in line]
    assert (
        "at most 512 open files (`ulimit -Hn`), fewer than limits.max_in_flight + limits.max_samples" in line
    )


async def test_it_heals_when_connections_close() -> None:
    """With all descriptors taken by clients that say nothing it lives, and serves again once they have left."""
    with serving(128, 128) as (process, port, _):
        with ExitStack() as idle:
            for _ in range(200):
                idle.enter_context(socket.create_connection(("127.0.0.1", port)))
            await until(lambda: sum(1 for _ in Path(f"/proc/{process.pid}/fd").iterdir()) >= 120)

        def serves() -> bool:
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models") as answer:
                return bool(json.load(answer) == json.loads(MODELS))
            return False

        await until(serves)
        assert process.poll() is None
