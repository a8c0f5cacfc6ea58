import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from http.client import IncompleteRead
from pathlib import Path
from typing import IO

import pytest
import torch

from backend.__main__ import main
from backend.torch.config import DEMO_FOLDER

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ([], "command"),
        (["tensorflow"], "tensorflow"),
        (["torch", "--port", "x"], "--port"),
        (["torch", "--port", "70000"], "--port 70000"),
        (["torch", "--max-batch-size", "0"], "--max-batch-size 0"),
        (["torch", "--max-model-len", "1"], "--max-model-len 1"),
        (["torch", "--dtype", "int8"], "--dtype int8"),
        (["torch", "--device", "abacus"], "--device abacus"),
        (["torch", "--threads", "0"], "--threads 0"),
        (["torch", "--seed", "-1"], "--seed -1"),
        (["torch", "--shutdown-timeout", "nan"], "--shutdown-timeout nan"),
        (["torch", "--served-model-name", ""], "--served-model-name"),
        (["torch", "--model", "/nowhere"], "--model /nowhere"),
        (["torch", "--host", "256.256.256.256", "--port", "0"], "--host 256.256.256.256"),
        (["torch", "--unheard-of"], "--unheard-of"),
        (["torch", "--max-waiting", "0"], "--max-waiting 0"),
        (["torch", "--kv-cache-memory", "lots"], "--kv-cache-memory: 'lots'"),
        (["torch", "--kv-cache-memory", "1MiB", "--device", "cpu", "--port", "0"], "--kv-cache-memory 1 MiB"),
        (["torch", "--gpu-memory-utilization", "1.5"], "--gpu-memory-utilization 1.5"),
        (["torch", "--max-model-len", "4096", "--device", "cpu", "--port", "0"], "--max-model-len 4096"),
    ],
)
def test_bad_usage(arguments: list[str], names: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and one line on stderr that names the option and the value."""
    assert 2 == exit_code(arguments)

    output = capsys.readouterr()
    assert names in output.err
    assert (1, "") == (output.err.count("\n"), output.out)


@pytest.mark.parametrize(
    ("arguments", "command"),
    [([], "python -m backend"), (["torch", "--port", "x"], "python -m backend torch")],
)
def test_bad_usage_says_where_to_read(
    arguments: list[str], command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command is named as it is typed, and so is the one that explains it."""
    assert 2 == exit_code(arguments)
    said = capsys.readouterr().err
    assert said.startswith(f"{command}: ")
    assert said.endswith(f" ({command} --help shows how)\n")


def halve(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def configure(file: Path, **members: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | members))


@pytest.mark.backend
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: (folder / "config.json").unlink(), "no config.json in it"),
        (lambda folder: halve(folder / "model.safetensors"), "its weights cannot be read"),
        (lambda folder: halve(folder / "tokenizer.json"), "its tokenizer cannot be read"),
        (
            lambda folder: configure(folder / "config.json", num_hidden_layers=9),
            "weights are missing or misshapen",
        ),
        (
            lambda folder: configure(folder / "config.json", model_type="abacus"),
            "does not recognize this architecture",
        ),
    ],
)
def test_a_folder_that_cannot_be_served(
    spoil: Callable[[Path], None], reason: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A folder that is half there, or of an unknown architecture: nothing but one line on stderr, exit code 2."""
    folder = tmp_path / "model"
    shutil.copytree(DEMO_FOLDER, folder)
    spoil(folder)

    assert 2 == exit_code(["torch", "--model", str(folder), "--device", "cpu", "--port", "0"])

    output = capfd.readouterr()
    assert output.err.startswith(f"python -m backend torch: --model {folder}: ")
    assert reason in output.err
    assert (1, "") == (output.err.count("\n"), output.out)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_without_cuda(capsys: pytest.CaptureFixture[str]) -> None:
    """Asking for CUDA where there is none says so."""
    assert 2 == exit_code(["torch", "--device", "cuda", "--port", "0"])

    error = capsys.readouterr().err
    assert (1, True) == (error.count("\n"), "no CUDA" in error)


def test_a_port_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    """A taken port is refused before the model is loaded."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert 2 == exit_code(["torch", "--port", str(port)])

    assert f"python -m backend torch: --port {port}: in use on 127.0.0.1\n" == capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--help"], ["torch", "--help"], ["vllm", "--help"], ["probe", "--help"]], ids=" ".join
)
def test_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Every command explains itself, and shows how it is typed."""
    assert 0 == exit_code(arguments)

    command = " ".join(["python -m backend", *arguments[:-1]])
    said = capsys.readouterr().out
    assert said.startswith(f"usage: {command} ")
    assert f"\nexamples:\n  {command} " in said


@pytest.mark.backend
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_server_from_start_to_stop(stop: signal.Signals) -> None:
    """One line when ready, answers, then a clean stop by signal: exit code 0 and nothing on stderr."""
    command = [sys.executable, "-m", "backend", "torch", "--port", "0", "--served-model-name", "sums"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    ) as process:
        assert process.stdout is not None
        ready = process.stdout.readline()
        url = ready.split()[-1]
        with urllib.request.urlopen(f"{url}/models") as response:
            served = json.load(response)["data"][0]["id"]
        process.send_signal(stop)
        output, errors = process.communicate()

    assert ready.startswith("backend: sums (5.2 M parameters, bfloat16, c")
    assert "sums" == served
    assert (0, "", "") == (process.returncode, output, errors)


@pytest.mark.backend
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGKILL])
def test_a_server_killed_in_mid_answer(stop: signal.Signals) -> None:
    """Asked to stop it ends the stream with an error and exits 0; killed it is gone at once. No process is left."""
    command = [sys.executable, "-m", "backend", "torch", "--port", "0", "--shutdown-timeout", "0"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        body = {"prompt": "1+2", "max_tokens": 2000, "ignore_eos": True, "stream": True}
        request = urllib.request.Request(f"{url}/completions", json.dumps(body).encode())
        stream = urllib.request.urlopen(request)
        assert stream.readline().startswith(b"data: ")
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()

        process.send_signal(stop)
        process.wait()

        rest = _rest(stream)
    assert "" == children
    if stop == signal.SIGTERM:
        assert 0 == process.returncode
        assert b'"error":{"message":"the engine has stopped"' in rest
        assert rest.endswith(b"data: [DONE]\n\n")


def _rest(stream: IO[bytes]) -> bytes:
    try:
        return stream.read()
    except (ConnectionError, IncompleteRead):
        return b""


def exit_code(arguments: list[str]) -> int:
    try:
        return main(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
