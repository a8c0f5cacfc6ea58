"""The machine that was measured on: what it is, what runs on it, how busy others keep it."""

import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

_PACKAGES = ("aiohttp", "uvloop", "redis", "hiredis", "msgspec", "prometheus-client", "httptools")
_PROGRAMS = (("nginx", "-v"), ("wrk", "-v"), ("redis-server", "--version"))
_LOOK = 0.25  # seconds of one look at how busy the machine is


def describe_machine() -> dict[str, str]:
    """Processor, memory and system; nothing that names the machine."""
    model = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return {
        "processor": model[1] if model else platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
    }


def describe_gpu() -> str:
    """The GPUs by nvidia-smi: name, memory, driver; "" where there is none."""
    return _output("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")


def describe_versions() -> dict[str, str]:
    """Python, its packages, the programs and the gateway's own commit."""
    found = {"python": platform.python_version()} | {name: _package(name) for name in _PACKAGES}
    found |= {name: _program(name, flag) for name, flag in _PROGRAMS}
    found["gateway"] = _output("git", "describe", "--always", "--dirty")
    return {name: text for name, text in found.items() if text}


def _package(name: str) -> str:
    try:
        return version(name)
    except ModuleNotFoundError:
        return ""


def _program(name: str, flag: str) -> str:
    found = re.search(r"\d+\.\d+(\.\d+)?", _output(name, flag))
    return found[0] if found else ""


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return (done.stdout + done.stderr).strip()


def busy_seconds() -> float:
    """Processor time that all of the machine has used since its start."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    user, nice, system, _idle, _wait, irq, softirq, steal = map(int, fields[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Quiet:
    """Waits for a quiet machine, but no longer than `patience` seconds over a whole run."""

    limit: float = 0.05  # what others may use of the machine
    patience: float = 300.0

    def wait(self) -> None:
        """Return when the machine is quiet, or when patience is at its end."""
        while (others := self._others()) > self.limit and self.patience > 0:
            self.patience -= _LOOK
            if self.patience <= 0:
                print(f"the machine does not become quiet: others use {others:.0%}", file=sys.stderr)

    def _others(self) -> float:
        before, began = busy_seconds(), time.monotonic()
        time.sleep(_LOOK)
        return (busy_seconds() - before) / (time.monotonic() - began) / (os.cpu_count() or 1)
