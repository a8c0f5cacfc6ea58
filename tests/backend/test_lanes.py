"""`python -m backend vllm|lmdeploy|sglang`, with engines that are small servers of the engines' names."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from backend.__main__ import main
from backend.lanes.command import Command
from backend.lanes.run import run
from tests.doubles.redis_server import free_port

ROOT = Path(__file__).parents[2]
FAKE = Path(__file__).parent / "fake_engine.py"
MODULES = {
    "vllm": "vllm/entrypoints/openai/api_server.py",
    "lmdeploy": "lmdeploy/__main__.py",
    "sglang": "sglang/launch_server.py",
}


@dataclass
class Machine:
    """A folder of engines and programs, and the environment in which they are found."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
        return inherited | {
            "PYTHONPATH": f"{self.folder}:{ROOT}",
            "PATH": f"{self.folder}:{os.environ['PATH']}",
            "FAKE_ENGINE_LOG": str(self.folder / "log"),
        }

    def install(self, engine: str, version: str) -> None:
        """An engine, under the name by which pip would know it."""
        module = self.folder / MODULES[engine]
        module.parent.mkdir(parents=True)
        shutil.copy(FAKE, module)
        distribution = self.folder / f"{engine}_build-{version}.dist-info"
        distribution.mkdir()
        (distribution / "METADATA").write_text(f"Name: {engine}-build\nVersion: {version}\n")
        (distribution / "top_level.txt").write_text(engine)

    def install_gpus(self, *capabilities: str) -> None:
        """An nvidia-smi that lists these, or the one that --id asks for."""
        lines = "\n".join(
            f'[ "${{3#--id=}}" = {at} ] && echo {it} && exit' for at, it in enumerate(capabilities)
        )
        program = self.folder / "nvidia-smi"
        every = "\n".join(f"echo {capability}" for capability in capabilities)
        program.write_text(f"#!/bin/sh\n{lines}\n{every}\n")
        program.chmod(0o755)

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """`python -m backend …` to its end."""
        return subprocess.run(
            [sys.executable, "-m", "backend", *arguments],
            env=self.environment | variables,
            capture_output=True,
            text=True,
            check=False,
        )

    def wait_for_notes(self, number: int) -> None:
        """Until the engine has noted this many things."""
        while len(self.seen()) < number:
            time.sleep(0.01)

    def seen(self) -> list[dict[str, Any]]:
        """What the engine noted."""
        return [json.loads(line) for line in (self.folder / "log").read_text().splitlines()]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


class Started:
    """A lane under way, from the moment its server is ready."""

    def __init__(self, machine: Machine, *arguments: str) -> None:
        self.port = free_port()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "backend", *arguments, "--port", str(self.port)],
            env=machine.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.command = self.process.stdout.readline().rstrip()
        self.ready = self.process.stdout.readline().rstrip()

    def end(self, *numbers: signal.Signals) -> tuple[int, str]:
        """Send signals; the exit code, and what was said on stderr."""
        for number in numbers:
            self.process.send_signal(number)
        _, errors = self.process.communicate()
        return self.process.returncode, errors


@pytest.fixture
def start(machine: Machine) -> Iterator[Any]:
    started: list[Started] = []

    def begin(*arguments: str) -> Started:
        started.append(Started(machine, *arguments))
        return started[-1]

    yield begin
    for each in started:
        each.process.kill()
        each.process.communicate()


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        ("vllm", "P -m vllm.entrypoints.openai.api_server --model m --host 127.0.0.1 --port 8000"),
        (
            "vllm --lane serial",
            (
                "P -m vllm.entrypoints.openai.api_server --model m --host 127.0.0.1 --port 8000"
                " --max-num-seqs 1 --no-enable-prefix-caching"
            ),
        ),
        (
            "vllm --lane invariant",
            "VLLM_BATCH_INVARIANT=1 P -m vllm.entrypoints.openai.api_server --model m --host 127.0.0.1 --port 8000",
        ),
        ("lmdeploy", "P -m lmdeploy serve api_server m --server-name 127.0.0.1 --server-port 8000"),
        (
            "lmdeploy --lane serial --served-model-name n",
            (
                "P -m lmdeploy serve api_server m --server-name 127.0.0.1 --server-port 8000 --model-name n"
                " --max-batch-size 1"
            ),
        ),
        ("sglang", "P -m sglang.launch_server --model-path m --host 127.0.0.1 --port 8000"),
        (
            "sglang --lane serial --port 9 --host ::",
            (
                "P -m sglang.launch_server --model-path m --host :: --port 9"
                " --max-running-requests 1 --disable-radix-cache"
            ),
        ),
        (
            "sglang --lane invariant -- --tp-size 2",
            (
                "P -m sglang.launch_server --model-path m --host 127.0.0.1 --port 8000"
                " --enable-deterministic-inference --tp-size 2"
            ),
        ),
    ],
)
def test_commands(arguments: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The exact command of every lane, printed and not run; what comes after -- goes to the engine."""
    engine, *rest = arguments.split()
    assert 0 == main([engine, "--model", "m", "--python", "P", "--dry-run", *rest])
    assert f"{command}\n" == capsys.readouterr().out


def test_a_command_can_be_typed(capsys: pytest.CaptureFixture[str]) -> None:
    """What is printed is quoted for a shell."""
    main(["vllm", "--model", "a model", "--python", "P", "--dry-run", "--", "--hf-overrides", '{"a": 1}'])
    assert "--model 'a model' " in (told := capsys.readouterr().out)
    assert told.endswith(" --hf-overrides '{\"a\": 1}'\n")


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ("vllm", "--model"),
        ("vllm --model m --lane fastest", "fastest"),
        (
            "lmdeploy --model m --lane invariant",
            "--lane invariant: LMDeploy has no such mode, use fast|serial",
        ),
        ("vllm --model m --port 0", "--port 0"),
        ("vllm --model m --port 70000", "--port 70000"),
        ("vllm --model /nowhere", "--model /nowhere: no such folder"),
        ("vllm --model ./nowhere", "--model ./nowhere: no such folder"),
        ("vllm --model m --tensor-parallel-size 2", "--tensor-parallel-size"),
        ("vllm --model m --lane serial -- --max-num-seqs 4", "--max-num-seqs: is what makes the lane serial"),
        ("vllm --model m --lane serial -- --max_num_seqs=4", "--max_num_seqs=4"),
        ("vllm --model m --lane serial -- --enable-prefix-caching", "--enable-prefix-caching"),
        ("vllm --model m -- --port 9", "--port: has an option of its own before --"),
        ("lmdeploy --model m -- --server-port 9", "--server-port"),
        ("vllm --model m --python /nowhere", "/nowhere: cannot be run"),
        ("torch -- --model m", "takes nothing after --"),
    ],
)
def test_bad_usage(arguments: str, names: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and one line on stderr that names what is wrong."""
    try:
        code = main(arguments.split())
    except SystemExit as stop:
        code = int(stop.code or 0)
    told = capsys.readouterr()
    assert names in told.err
    assert (2, 1, "") == (code, told.err.count("\n"), told.out)


@pytest.mark.parametrize(
    ("lane", "version", "gpus", "why"),
    [
        ("vllm fast", None, (), "vLLM is not installed for"),
        ("sglang fast", None, (), "SGLang is not installed for"),
        ("vllm invariant", "0.11.0", ("9.0",), "vLLM 0.11.0 is too old for this lane: it needs 0.11.1"),
        (
            "sglang invariant",
            "0.5.2.post1",
            ("9.0",),
            "SGLang 0.5.2.post1 is too old for this lane: it needs 0.5.3",
        ),
        ("vllm invariant", "0.32.0", ("7.5",), "a GPU here is 7.5: this lane needs NVIDIA GPUs of compute"),
        ("vllm invariant", "0.32.0", ("9.0", "7.5"), "a GPU here is 7.5"),
        ("sglang invariant", "0.5.3", ("7.5",), "capability 8.0 or more; --lane serial runs anywhere"),
    ],
)
def test_what_a_machine_cannot_do(
    lane: str, version: str | None, gpus: tuple[str, ...], why: str, machine: Machine
) -> None:
    """No engine, one that is too old or GPUs that are: said in one line, exit code 2, and nothing is started."""
    engine, name = lane.split()
    if version:
        machine.install(engine, version)
    machine.install_gpus(*gpus)
    ended = machine.run(engine, "--model", "m", "--lane", name)
    assert (2, 1, "") == (ended.returncode, ended.stderr.count("\n"), ended.stdout)
    assert why in ended.stderr


def test_no_gpu(machine: Machine) -> None:
    """Without nvidia-smi PyTorch is asked; where it sees no GPU either, a batch-invariant lane is refused."""
    machine.install("vllm", "0.32.0")
    ended = machine.run("vllm", "--model", "m", "--lane", "invariant", CUDA_VISIBLE_DEVICES="")
    assert (2, 1) == (ended.returncode, ended.stderr.count("\n"))
    assert "python -m backend vllm: no GPU here: this lane needs NVIDIA GPUs" in ended.stderr


def test_only_visible_gpus_count(machine: Machine) -> None:
    """A GPU that CUDA_VISIBLE_DEVICES leaves out may be as old as it likes."""
    machine.install("vllm", "0.32.0")
    machine.install_gpus("7.5", "9.0")
    refused = machine.run("vllm", "--model", "crash", "--lane", "invariant", CUDA_VISIBLE_DEVICES="0")
    assert 2 == refused.returncode
    port = ("--port", str(free_port()))
    started = machine.run("vllm", "--model", "crash", "--lane", "invariant", *port, CUDA_VISIBLE_DEVICES="1")
    assert 3 == started.returncode


@pytest.mark.processes
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_from_start_to_stop(number: signal.Signals, machine: Machine, start: Any) -> None:
    """The command, a line when the server is ready; a signal goes to the engine, whose exit code is ours."""
    machine.install("vllm", "0.32.0")
    machine.install_gpus("9.0")
    lane = start("vllm", "--model", "plain", "--lane", "invariant")
    assert (7, "") == lane.end(number)

    assert lane.command.startswith(
        f"VLLM_BATCH_INVARIANT=1 {sys.executable} -m vllm.entrypoints.openai.api_server"
    )
    assert lane.ready.startswith(
        f"backend: vLLM 0.32.0, lane invariant, on http://127.0.0.1:{lane.port}/v1, ready after "
    )
    began, ended = machine.seen()
    assert ("1", number) == (began["invariant"], ended["signal"])


@pytest.mark.processes
@pytest.mark.parametrize("engine", ["lmdeploy", "sglang"])
def test_other_engines(engine: str, machine: Machine, start: Any) -> None:
    """The other engines are started and stopped alike."""
    machine.install(engine, "1.0")
    lane = start(engine, "--model", "plain", "--lane", "serial")
    assert f"lane serial, on http://127.0.0.1:{lane.port}/v1" in lane.ready
    assert (7, "") == lane.end(signal.SIGTERM)


@pytest.mark.processes
def test_waiting_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """While the engine loads, a line now and then names what is waited for, and for how long so far."""
    monkeypatch.setenv("FAKE_ENGINE_LOG", str(tmp_path / "log"))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = Command((sys.executable, str(FAKE), "slow", "--port", str(port)), (), url)
    assert 0 == run(command, "slow,", tell=0.0)
    told = capfd.readouterr()
    assert {f"backend: waiting for {url}/health"} == {
        line.partition(",")[0] for line in told.err.splitlines()
    }
    assert told.out.startswith(f"backend: slow, on {url}/v1, ready after ")


@pytest.mark.processes
def test_an_engine_that_ends_before_it_is_ready(machine: Machine) -> None:
    """Its exit code, and a line that says so."""
    machine.install("vllm", "0.32.0")
    ended = machine.run("vllm", "--model", "crash", "--port", str(free_port()))
    assert (3, "backend: vLLM 0.32.0, lane fast, ended before it was ready\n") == (
        ended.returncode,
        ended.stderr,
    )


@pytest.mark.processes
def test_an_engine_that_is_killed(machine: Machine, start: Any) -> None:
    """128 + the signal, and the processes that it started go with it."""
    machine.install("vllm", "0.32.0")
    lane = start("vllm", "--model", "family")
    began = machine.seen()[0]
    os.kill(began["pid"], signal.SIGKILL)
    assert (137, "") == lane.end()
    while is_running(began["child"]):  # it has been told to
        time.sleep(0.01)


@pytest.mark.processes
def test_a_second_signal_kills(machine: Machine, start: Any) -> None:
    """An engine that does not stop at the first signal is killed at the second."""
    machine.install("vllm", "0.32.0")
    lane = start("vllm", "--model", "deaf")
    lane.process.send_signal(signal.SIGTERM)
    machine.wait_for_notes(2)
    assert 137 == lane.end(signal.SIGTERM)[0]


@pytest.mark.processes
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_no_orphan(machine: Machine, start: Any) -> None:
    """An engine whose launcher is killed is told to stop."""
    machine.install("vllm", "0.32.0")
    lane = start("vllm", "--model", "plain")
    assert -9 == lane.end(signal.SIGKILL)[0]
    machine.wait_for_notes(2)
    assert {"signal": signal.SIGTERM} == machine.seen()[1]


def test_a_port_in_use(machine: Machine) -> None:
    """A taken port is refused before the engine takes its minutes to find out."""
    machine.install("vllm", "0.32.0")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = machine.run("vllm", "--model", "m", "--port", str(port))
    assert (2, f"python -m backend vllm: --port {port}: in use on 127.0.0.1\n") == (
        ended.returncode,
        ended.stderr,
    )


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
