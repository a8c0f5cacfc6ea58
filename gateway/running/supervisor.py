"""Several processes on one port: their parent starts them, replaces those that die, and passes signals on.

Workers are forks of the parent, which has imported everything and serves nothing, so that what they have in
common is in memory once. Each listens on the port itself (SO_REUSEPORT) and the kernel deals out connections.
"""

import gc
import importlib
import logging
import os
import selectors
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any

from gateway.running.herald import Herald
from gateway.running.process import Crew, serve, told_of_address, told_of_listening
from gateway.running.reload import Load, reread
from gateway.settings.model import Settings
from gateway.telemetry.logs import open_log
from gateway.telemetry.siblings import Siblings, bury, name_of

_LOG = logging.getLogger(__name__)

_READY = b"r"
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0  # seconds before a worker is replaced, doubled each time
_LONG_LIFE = 30.0  # seconds after which a worker's death does not count as another failure to start
_GRACE = 5.0  # seconds that workers have beyond their own time to drain
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


@dataclass(slots=True)
class Worker:
    """A place for a process, and the one that has it now."""

    slot: int
    pid: int = 0  # 0: nobody
    line: socket.socket | None = None
    began: float = 0.0
    pause: float = _FIRST_PAUSE
    due: float = field(default=0.0)  # when the next one is to be started, by the monotonic clock


def supervise(settings: Settings, load: Load, herald: Herald) -> int:
    """Serve with so many workers until SIGTERM or SIGINT; the exit code."""
    with open_log(settings.log, threaded=False), ExitStack() as stack:
        try:
            port = stack.enter_context(_reserved(settings))
        except OSError as error:
            print(told_of_listening(settings, error), file=sys.stderr)  # noqa: T201
            return 2
        importlib.import_module("gateway.store.redis")  # once, for all
        gc.collect()
        gc.freeze()  # what is there now is not written to by collections, and so stays shared
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="scg-")))
        heard = stack.enter_context(_heard_signals())
        return Supervisor(replace(settings, port=port), load, herald, folder, heard).run()


class Supervisor:
    """The parent."""

    def __init__(
        self, settings: Settings, load: Load, herald: Herald, folder: Path, heard: socket.socket
    ) -> None:
        self._settings = settings
        self._load = load
        self._herald = herald
        self._folder = folder
        self._heard = heard
        self._workers = [Worker(slot) for slot in range(settings.workers)]
        self._selector = selectors.DefaultSelector()
        self._selector.register(heard, selectors.EVENT_READ)
        self._awaited: set[int] = {worker.slot for worker in self._workers}  # slots that are to be ready
        self._was_ready = False  # any of them, once
        self._is_up = False  # all of them have been, once
        self._status = f"{settings.workers} workers {_address(settings)}"
        self._code = 0
        self._ends: float | None = None  # when those that still drain are killed

    def run(self) -> int:
        """Until the last worker has ended."""
        while self._ends is None or any(worker.pid for worker in self._workers):
            self._start_due()
            for key, _ in self._selector.select(self._timeout()):
                if key.fileobj is self._heard:
                    self._obey()
                else:
                    self._listen_to(key.data)
            self._reap()
            if self._ends is not None and monotonic() > self._ends:
                self._signal(signal.SIGKILL)
        return self._code

    def _timeout(self) -> float | None:
        """Seconds until something has to be done unasked."""
        times = (
            [worker.due for worker in self._workers if not worker.pid] if self._ends is None else [self._ends]
        )
        return max(0.0, min(times) - monotonic()) if times else None

    # Workers.

    def _start_due(self) -> None:
        for worker in self._workers:
            if self._ends is None and not worker.pid and worker.due <= monotonic():
                self._start(worker)

    def _start(self, worker: Worker) -> None:
        ours, theirs = socket.socketpair()
        worker.began = monotonic()
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # none is heard by a child that still has our ears
        worker.pid = os.fork()
        if not worker.pid:
            ours.close()
            self._become(worker, theirs)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        theirs.close()
        worker.line = ours
        self._selector.register(ours, selectors.EVENT_READ, worker)

    def _become(self, worker: Worker, parent: socket.socket) -> None:
        """Be a worker from now on: never returns."""
        code = _CRASHED
        try:
            self._let_go()
            siblings = Siblings(self._folder, worker.slot)
            crew = Crew(worker.slot, siblings, parent, is_late=self._was_ready)
            code = serve(self._settings, self._load, Line(parent), crew)
        except BaseException:  # noqa: BLE001  nothing above this is the worker's
            traceback.print_exc()
        finally:
            with suppress(OSError):
                sys.stderr.flush()
            os._exit(code)

    def _let_go(self) -> None:
        """Of what is the parent's: its signals, its lines to the others, its log."""
        signal.set_wakeup_fd(-1)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(
            signal.SIG_UNBLOCK, {*_SIGNALS} - {signal.SIGHUP}
        )  # which waits for its handler
        self._selector.close()
        self._heard.close()
        for other in self._workers:
            if other.line is not None:
                other.line.close()
        logging.getLogger().handlers.clear()

    def _listen_to(self, worker: Worker) -> None:
        assert worker.line is not None
        told = worker.line.recv(64)
        if not told:  # it is ending, and will be reaped
            self._selector.unregister(worker.line)
            worker.line.close()
            worker.line = None
        else:
            self._was_ready = True
            self._arrived(worker.slot)

    def _arrived(self, slot: int) -> None:
        """One fewer to wait for; once nobody is left, all that was asked for has been done."""
        if slot in self._awaited:
            self._awaited.remove(slot)
            if not self._awaited and self._ends is None:
                if not self._is_up:
                    self._is_up = True
                    _LOG.info("%s", self._status)
                self._herald.ready(self._status)

    def _reap(self) -> None:
        for worker in self._workers:
            if worker.pid and (ended := os.waitpid(worker.pid, os.WNOHANG))[0]:
                self._bury(worker, os.waitstatus_to_exitcode(ended[1]))

    def _bury(self, worker: Worker, code: int) -> None:
        bury(self._folder, name_of(worker.slot, worker.pid))
        told = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        pid, worker.pid = worker.pid, 0
        if self._ends is not None:
            return
        if not self._was_ready:
            _LOG.error("worker %s ended before any was ready: %s", worker.slot, told)
            self._code = code if code > 0 else 1
            self._stop()
            return
        lived = monotonic() - worker.began
        worker.pause = _FIRST_PAUSE if lived > _LONG_LIFE else min(worker.pause * 2, _LONGEST_PAUSE)
        worker.due = monotonic() + worker.pause
        _LOG.error(
            "worker %s (process %s) died: %s; another one starts in %g s",
            worker.slot,
            pid,
            told,
            worker.pause,
        )

    # Signals.

    def _obey(self) -> None:
        for number in self._heard.recv(64):
            if number in {signal.SIGTERM, signal.SIGINT}:
                self._stop()
            elif number == signal.SIGHUP and self._ends is None:
                self._reload()

    def _stop(self) -> None:
        """Let all drain; asked once more, let them hurry."""
        if self._ends is None:
            self._herald.stopping()
            drain = self._settings.drain
            self._ends = monotonic() + drain.delay + drain.timeout + _GRACE
        self._signal(signal.SIGTERM)

    def _reload(self) -> None:
        """Look whether the new settings are any good before the workers are told to take them."""
        self._herald.reloading()
        found = reread(self._load, self._settings)
        if found is None:
            self._herald.ready(self._status)
            return
        self._settings = found
        self._awaited = {worker.slot for worker in self._workers}
        self._signal(signal.SIGHUP)

    def _signal(self, number: signal.Signals) -> None:
        for worker in self._workers:
            if worker.pid:
                with suppress(ProcessLookupError):
                    os.kill(worker.pid, number)


@contextmanager
def _reserved(settings: Settings) -> Iterator[int]:
    """The port, kept for the workers until they listen; OSError if others do already.

    With SO_REUSEPORT nobody is told of others who have it too, so a bind without it comes first.
    """
    with ExitStack() as places:
        port = settings.port
        flags, stream = socket.AI_PASSIVE, socket.SOCK_STREAM
        for family, kind, protocol, _, address in socket.getaddrinfo(
            settings.host, port, type=stream, flags=flags
        ):
            at = (address[0], port, *address[2:])
            with socket.socket(family, kind, protocol) as probe:
                _bind(probe, at, socket.SO_REUSEADDR)
            place = places.enter_context(socket.socket(family, kind, protocol))
            _bind(place, at, socket.SO_REUSEADDR, socket.SO_REUSEPORT)
            port = place.getsockname()[1]
        yield port


def _bind(to_bind: socket.socket, address: tuple[Any, ...], *options: int) -> None:
    for option in options:
        to_bind.setsockopt(socket.SOL_SOCKET, option, 1)
    if to_bind.family == socket.AF_INET6:  # as servers do, so that IPv4 can have the port, too
        to_bind.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    to_bind.bind(address)


@contextmanager
def _heard_signals() -> Iterator[socket.socket]:
    """Signals as bytes on a socket, so that they are waited for like everything else."""
    heard, woken = socket.socketpair()
    heard.setblocking(False)  # noqa: FBT003  its own signature
    woken.setblocking(False)  # noqa: FBT003  likewise
    signal.set_wakeup_fd(woken.fileno())
    for number in _SIGNALS:
        signal.signal(number, lambda *_: None)
    try:
        with heard, woken:
            yield heard
    finally:
        signal.set_wakeup_fd(-1)


def _address(settings: Settings) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return told_of_address(f"{host}:{settings.port}")
