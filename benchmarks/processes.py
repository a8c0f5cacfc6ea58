"""Servers as processes that lead their groups, and what a group has used: /proc tells."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PATIENCE = 60.0  # seconds for a server to come up
_GRACE = 10.0  # seconds for it to end by itself


class BenchError(Exception):
    """Something needed for measuring is not there or does not answer; one line says what."""


@dataclass(frozen=True, slots=True)
class Group:
    """A process group, by the process that leads it."""

    leader: int

    def members(self) -> list[int]:
        """The processes that belong to it now."""
        return [pid for pid in _all_pids() if _stat(pid, 2) == str(self.leader)]

    def cpu_seconds(self) -> float:
        """User and system time of all its processes so far."""
        used = (_stat(pid, column) for pid in self.members() for column in (11, 12))
        return sum(int(ticks) for ticks in used if ticks) / _TICKS

    def rss_mb(self) -> float:
        """Resident memory, in millions of bytes."""
        return sum(_resident_pages(pid) for pid in self.members()) * _PAGE / 1e6


@dataclass(frozen=True, slots=True)
class Server:
    """A server that we started."""

    name: str
    url: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def group(self) -> Group:
        """Its process group."""
        return Group(self.process.pid)

    def wait_until_ready(self, path: str, patience: float = _PATIENCE) -> None:
        """Return once GET `path` answers 200; BenchError if it ends or takes too long."""
        deadline = time.monotonic() + patience
        while not answers(self.url + path):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise BenchError(
                    f"{self.name} did not come up: {self.log.read_text(errors='replace')[-800:]}"
                )
            time.sleep(0.005)

    def stop(self) -> None:
        """End the whole group: asked first, killed after a while."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
                self.process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                continue
            except ProcessLookupError:
                pass
            return


def start(
    name: str, command: Sequence[str], port: int, log: Path, environment: Mapping[str, str] | None = None
) -> Server:
    """Start a server that is going to listen on this port."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    return Server(name, f"http://127.0.0.1:{port}", process, log)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(url: str) -> bool:
    """Whether GET answers 200 now."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _all_pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _stat(pid: int, column: int) -> str:
    """One field of /proc/PID/stat, counted from the one after the name; "" if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[column]
    except OSError:
        return ""


def _resident_pages(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
