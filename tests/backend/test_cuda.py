"""What only a GPU can show: `pytest -m cuda` there."""

import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from backend.torch.config import EngineConfig
from backend.torch.invariant import InvariantRunner
from backend.torch.model import load
from tests.backend.compositions import pool_for, rounds_that_differ
from tests.backend.test_cli import exit_code

pytestmark = pytest.mark.cuda

ROOT = Path(__file__).parents[2]


@contextmanager
def answering(*options: str) -> Iterator[subprocess.Popen[str]]:
    """A server in the middle of a long answer."""
    command = [sys.executable, "-m", "backend", "torch", "--port", "0", "--shutdown-timeout", "0", *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[-1]
            body = {"prompt": "1+2", "max_tokens": 2000, "ignore_eos": True, "stream": True}
            request = urllib.request.Request(f"{url}/completions", json.dumps(body).encode())
            with urllib.request.urlopen(request) as stream:
                assert stream.readline().startswith(b"data: ")
                yield process
        finally:
            process.kill()


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_server_leaves_no_memory_taken(stop: signal.Signals) -> None:
    """Stopped or killed in mid-answer, it gives back all that it took of the GPU; the test's own time is the bound."""
    free, _ = torch.cuda.mem_get_info()
    with answering("--device", "cuda") as process:
        taken = free - torch.cuda.mem_get_info()[0]
        process.send_signal(stop)
        process.wait()
    while torch.cuda.mem_get_info()[0] < free:
        time.sleep(0.1)

    assert taken > 0


@pytest.mark.parametrize("option", [["--kv-cache-memory", "9TiB"], ["--gpu-memory-utilization", "0.001"]])
def test_too_little_memory(option: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    """What does not fit is refused in one line, before or while memory is taken."""
    arguments = ["torch", "--device", "cuda", "--port", "0", "--max-batch-size", "40000", *option]

    assert 2 == exit_code(arguments)
    assert 1 == capfd.readouterr().err.count("\n")


@pytest.mark.parametrize("model", ["demo", "random"])
def test_logits_are_bitwise_the_same(model: str) -> None:
    """With `--batch-invariant` no bit of a logit moves among 48 strangers."""
    loaded = load(EngineConfig(model=model, device="cuda"))
    pool = pool_for(loaded, 48)

    assert 0 == rounds_that_differ(InvariantRunner(loaded, pool), pool, 10)
