"""Several processes on one port: their parent starts them, replaces those that die, and passes signals on.

Workers are forks of the parent, which has imported everything and serves nothing, so that what they have in
common is in memory once. Each listens on the port itself (SO_REUSEPORT) and the kernel deals out connections.
"""

import gc
import importlib
import logging
import selectors
import signal
import socket
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic

from gateway.running.herald import Herald
from gateway.running.port import reserved
from gateway.running.process import Crew, serve, told_of_address, told_of_listening
from gateway.running.reload import Load, reread
from gateway.running.signals import become_a_worker, heard_signals
from gateway.running.worker import Line, Worker
from gateway.settings.model import Settings
from gateway.telemetry.logs import open_log
from gateway.telemetry.siblings import Siblings, bury, name_of

_LOG = logging.getLogger(__name__)

_GRACE = 5.0  # seconds that workers have beyond their own time to drain


def supervise(settings: Settings, load: Load, herald: Herald) -> int:
    """Serve with so many workers until SIGTERM or SIGINT; the exit code."""
    with open_log(settings.log, threaded=False), ExitStack() as stack:
        try:
            port = stack.enter_context(reserved(settings.host, settings.port))
        except OSError as error:
            print(told_of_listening(settings, error), file=sys.stderr)  # noqa: T201
            return 2
        importlib.import_module("gateway.store.redis")  # once, for all
        gc.collect()
        gc.freeze()  # what is there now is not written to by collections, and so stays shared
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="scg-")))
        heard = stack.enter_context(heard_signals())
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
                line = worker.start(partial(self._serve_as, worker.slot))
                self._selector.register(line, selectors.EVENT_READ, worker)

    def _serve_as(self, slot: int, parent: socket.socket) -> int:
        """In the child: let go of what is the parent's, and serve."""
        become_a_worker()
        self._selector.close()
        self._heard.close()
        for other in self._workers:
            other.hang_up()
        logging.getLogger().handlers.clear()
        crew = Crew(slot, Siblings(self._folder, slot), parent, is_late=self._was_ready)
        return serve(self._settings, self._load, Line(parent), crew)

    def _listen_to(self, worker: Worker) -> None:
        if worker.told():
            self._was_ready = True
            self._arrived(worker.slot)
        else:  # it is ending, and will be reaped
            self._hang_up(worker)

    def _hang_up(self, worker: Worker) -> None:
        if worker.line is not None:
            self._selector.unregister(worker.line)
            worker.hang_up()

    def _arrived(self, slot: int) -> None:
        """One fewer to wait for; once nobody is left, all that was asked for has been done."""
        if slot not in self._awaited:
            return
        self._awaited.remove(slot)
        if self._awaited or self._ends is not None:
            return
        if not self._is_up:
            self._is_up = True
            _LOG.info("%s", self._status)
        self._herald.ready(self._status)

    def _reap(self) -> None:
        for worker in self._workers:
            code = worker.ended()
            if code is not None:
                self._bury(worker, f"exit code {code}" if code >= 0 else signal.Signals(-code).name, code)

    def _bury(self, worker: Worker, told: str, code: int) -> None:
        pid = worker.pid
        bury(self._folder, name_of(worker.slot, pid))
        self._hang_up(worker)
        worker.leave()
        if self._ends is not None:
            return
        if not self._was_ready:
            _LOG.error("worker %s ended before any was ready: %s", worker.slot, told)
            self._code = code if code > 0 else 1
            self._stop()
            return
        then = f"another one starts in {worker.pause:g} s"
        _LOG.error("worker %s (process %s) died: %s; %s", worker.slot, pid, told, then)

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
            worker.signal(number)


def _address(settings: Settings) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return told_of_address(f"{host}:{settings.port}")
