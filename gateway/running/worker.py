"""A worker as its parent sees it: a fork, a line to it, and when the next one is due."""

import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

from gateway.running.signals import held_back

_READY = b"r"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0  # seconds before a worker is replaced, doubled each time
_LONG_LIFE = 30.0  # seconds after which a worker's death does not count as another failure to start
_CRASHED = 70  # EX_SOFTWARE


class Line:
    """A worker's herald: tells its parent, in one byte a time."""

    def __init__(self, parent: socket.socket) -> None:
        self._parent = parent

    def ready(self, status: str) -> None:  # noqa: ARG002  the parent has its own
        """It serves, or has read its settings."""
        with suppress(OSError):
            self._parent.send(_READY)

    def reloading(self) -> None:
        """The parent knows."""

    def stopping(self) -> None:
        """Likewise."""


class Worker:
    """A place for a process, and the one that has it now."""

    def __init__(self, slot: int) -> None:
        self.slot = slot
        self.pid = 0  # 0: nobody
        self.line: socket.socket | None = None
        self.due = 0.0  # when the next one is to be started, by the monotonic clock
        self.pause = _FIRST_PAUSE
        self._began = 0.0

    def start(self, serve: Callable[[socket.socket], int]) -> socket.socket:
        """Fork. The child does `serve` with its line to the parent, and ends with that; the parent has its own."""
        ours, theirs = socket.socketpair()
        self._began = monotonic()
        with held_back():  # none is heard by a child that still has the parent's ears
            self.pid = os.fork()
            if not self.pid:
                ours.close()
                _become(serve, theirs)
        theirs.close()
        self.line = ours
        return ours

    def told(self) -> bool:
        """Whether it said anything, when the line can be read; if not it has ended."""
        return self.line is not None and bool(self.line.recv(64))

    def hang_up(self) -> None:
        """Close the line."""
        if self.line is not None:
            self.line.close()
            self.line = None

    def signal(self, number: signal.Signals) -> None:
        """Pass a signal on."""
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def ended(self) -> int | None:
        """Its exit code if it has ended, below 0 for a signal."""
        if not self.pid:
            return None
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None

    def leave(self) -> None:
        """Nobody has the place any more; after a pause, longer each time, somebody else may."""
        is_old = monotonic() - self._began > _LONG_LIFE
        self.pause = _FIRST_PAUSE if is_old else min(self.pause * 2, _LONGEST_PAUSE)
        self.due = monotonic() + self.pause
        self.pid = 0


def _become(serve: Callable[[socket.socket], int], parent: socket.socket) -> None:
    """Never returns."""
    code = _CRASHED
    try:
        code = serve(parent)
    except BaseException:  # noqa: BLE001  nothing above this is the worker's
        traceback.print_exc()
    finally:
        with suppress(OSError):
            sys.stderr.flush()
        os._exit(code)
