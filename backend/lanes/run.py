"""Runs an engine in the foreground: progress until it is ready, signals passed on, nothing left behind."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from http.client import HTTPException
from types import FrameType
from typing import Self

from backend.errors import UsageError
from backend.lanes.command import Command

_LOOK = 0.25  # seconds between two looks at the engine
_TELL = 10.0  # seconds between two lines of progress
_KNOCK = 2.0
_GRACE = 60.0  # seconds that an engine has to stop in
_PR_SET_PDEATHSIG = 1
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(command: Command, title: str, tell: float = _TELL) -> int:
    """Run the engine until it ends; its exit code, 128 + n where signal n ended it.

    Until it is ready a line every `tell` seconds says for how long that has been so.

    The first SIGINT or SIGTERM is passed on; a second one, or 60 s without an end, kills the engine with all
    of its processes.
    """
    check_port(command)
    with _Engine(command) as engine:
        told = start = time.monotonic()
        ready = False
        while engine.wait(_LOOK) is None:
            if ready or engine.is_stopping:
                continue
            now = time.monotonic()
            if _is_healthy(command.url):
                ready = True
                print(f"backend: {title} on {command.url}/v1, ready after {now - start:.0f} s", flush=True)
            elif now - told >= tell:
                told = now
                _say(f"waiting for {command.url}/health, {now - start:.0f} s")
        code = engine.wait(0)
        if not ready and not engine.is_stopping:
            _say(f"{title} ended before it was ready")
    return 128 - code if code is not None and code < 0 else code or 0


def check_port(command: Command) -> None:
    """UsageError if somebody answers where the engine is to listen: its own error comes minutes later."""
    host, _, port = command.url.removeprefix("http://").rpartition(":")
    with suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), _KNOCK):
        raise UsageError(f"--port {port}: in use on {host}")


class _Engine:
    """The engine's process, in a group of its own so that Ctrl-C reaches it once, through us."""

    def __init__(self, command: Command) -> None:
        self.is_stopping = False
        self._deadline = float("inf")
        try:
            self._process = subprocess.Popen(  # noqa: S603  the command that was printed
                command.arguments,
                env={**os.environ, **dict(command.environment)},
                process_group=0,
                preexec_fn=_end_with_parent,  # noqa: PLW1509  no threads here
            )
        except OSError as error:
            raise UsageError(f"{command.arguments[0]}: cannot be run: {error.strerror}") from error
        self._handlers = {number: signal.signal(number, self._pass_on) for number in _SIGNALS}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Whatever the engine left of its group ends with it: workers hold GPU memory."""
        self._kill()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def wait(self, patience: float) -> int | None:
        """The exit code, as subprocess has it; None if the engine still runs after `patience` seconds."""
        if time.monotonic() > self._deadline:
            self._kill()
        try:
            return self._process.wait(patience)
        except subprocess.TimeoutExpired:
            return None

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        if self.is_stopping:
            self._deadline = 0.0
            return
        self.is_stopping = True
        self._deadline = time.monotonic() + _GRACE
        if self._process.returncode is None:
            self._process.send_signal(number)

    def _kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _end_with_parent() -> None:
    """Where Linux is: the engine is told to stop if we are killed, even by SIGKILL."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _is_healthy(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # this machine needs no proxy
    try:
        with opener.open(f"{url}/health", timeout=_KNOCK) as response:
            healthy: bool = response.status == 200
    except (OSError, HTTPException):
        return False
    return healthy


def _say(message: str) -> None:
    print(f"backend: {message}", file=sys.stderr, flush=True)
