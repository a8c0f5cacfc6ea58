"""Servers run as child processes: started, awaited, and never left behind."""

import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from http.client import HTTPException
from typing import IO

_POLL_SECONDS = 0.2
_PROGRESS_SECONDS = 5.0
_TAIL_BYTES = 4000
_TAIL_LINES = 15


class ChildDied(Exception):
    """A server ended that should have gone on."""


class Child:
    """One server. It has a process group of its own, so that Ctrl-C reaches only who started it."""

    def __init__(self, name: str, command: Sequence[str], *, quiet: bool) -> None:
        self.name = name
        self._log: IO[bytes] | None = tempfile.TemporaryFile() if quiet else None  # noqa: SIM115  closed by stop()
        self._process = subprocess.Popen(  # noqa: S603  our own command
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT if self._log else None,
            process_group=0,
        )

    def check(self) -> None:
        """ChildDied if the process has ended, with the last lines that it wrote."""
        code = self._process.poll()
        if code is not None:
            told = f"exit code {code}" if code >= 0 else f"signal {-code}"
            raise ChildDied(f"the {self.name} died ({told}){self._tail()}")

    def wait_ready(self, url: str, pause: Callable[[float], None], *, timeout: float) -> None:
        """Return when GET says 200, with pauses between the attempts. ChildDied if it dies or takes too long."""
        start = told = time.monotonic()
        while fetch(url) is None:
            self.check()
            now = time.monotonic()
            if now - start > timeout:
                raise ChildDied(f"the {self.name} is not ready after {timeout:.0f} s{self._tail()}")
            if now - told >= _PROGRESS_SECONDS:
                told = now
                progress(f"waiting for the {self.name}, {now - start:.0f} s")
            pause(_POLL_SECONDS)

    def stop(self, patience: float) -> None:
        """Ask it to end, after `patience` seconds make it; returns when it is gone."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._log:
            self._log.close()

    def _tail(self) -> str:
        if self._log is None:
            return ""
        size = self._log.seek(0, 2)
        self._log.seek(max(0, size - _TAIL_BYTES))
        lines = self._log.read().decode(errors="replace").splitlines()[-_TAIL_LINES:]
        return "; it said:\n" + "\n".join(f"  {line}" for line in lines) if lines else ""


def progress(message: str) -> None:
    """One line for whoever waits."""
    print(f"scg demo: {message}", file=sys.stderr, flush=True)


def fetch(url: str) -> bytes | None:
    """The body of a 200; None of anything else. The loopback needs no proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2) as response:
            body: bytes | None = response.read() if response.status == 200 else None
    except (OSError, HTTPException):
        return None
    return body
