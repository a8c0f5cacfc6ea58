"""Log lines: JSON for programs, text for people; written by a thread, so that no request waits for their reader.

A line belongs to the request in whose task it was logged, or whose vote or check it is about. No prompt, answer
or key is in one, unless `log.prompts` asks for the first two.
"""

import json
import logging
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from threading import Event, Thread
from time import time
from typing import Any, TextIO

import msgspec

from gateway.core.record import RoundRecord
from gateway.settings.model import LogSettings

_LOG = logging.getLogger(__name__)
REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")

_MOST = 10_000  # lines that wait to be written; what comes on top is counted and lost
_GATHER = 0.05  # seconds in which they gather before they are written
_PATIENCE = 2.0  # seconds for the last ones to be written


def said(**about: object) -> Mapping[str, object]:
    """What a line says besides its message: the `extra` of a logger's methods."""
    return {"said": about}


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, message, worker, request_id, then what else is said."""

    def __init__(self, worker: int | None = None) -> None:
        super().__init__()
        self._worker = {} if worker is None else {"worker": worker}

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        about = getattr(record, "said", {})
        if record.exc_info:
            about = {**about, "exception": self.formatException(record.exc_info)}
        return self.line(record.created, record.levelname.lower(), record.getMessage(), about)

    def line(self, created: float, level: str, message: str, about: Mapping[str, object]) -> str:
        """The same of what a record would hold."""
        seconds = int(created)
        line: dict[str, object] = {
            "time": f"{_second(seconds)}.{int((created - seconds) * 1000):03d}+00:00",
            "level": level,
            "message": message,
            **self._worker,
        }
        if request_id := REQUEST_ID.get():
            line["request_id"] = request_id
        line |= about
        try:
            return msgspec.json.encode(line, enc_hook=str).decode()
        except UnicodeEncodeError:  # half a surrogate pair, which JSON can say and UTF-8 cannot
            return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """Time, level and message, then `name=value` for what else is said."""

    def __init__(self, worker: int | None = None) -> None:
        name = "" if worker is None else f"worker {worker}: "
        super().__init__(f"%(asctime)s %(levelname)s {name}%(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  the base class's name
        """The line before its traceback."""
        pairs = {**getattr(record, "said", {})}
        if request_id := REQUEST_ID.get():
            pairs["request_id"] = request_id
        about = "".join(f" {name}={value}" for name, value in pairs.items())
        return super().formatMessage(record) + about.replace("\n", "\\n")


class ThreadHandler(logging.Handler):
    """Hands lines to a thread that writes them. Where that is stuck, lines are lost, and their number is told.

    The thread wakes up for many lines at a time: for each line it would take the interpreter from the requests.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._lost = 0
        self._lines: deque[str] = deque()
        self._has_lines, self._is_closing = Event(), Event()
        self._thread = Thread(target=self._write_for_ever, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line."""
        try:
            self.tell(self.format(record))
        except Exception:  # noqa: BLE001  logging's own way with lines that cannot be formatted
            self.handleError(record)

    def tell(self, line: str) -> None:
        """Take a line that is there already."""
        if len(self._lines) >= _MOST:
            self._lost += 1
            return
        self._lines.append(line)
        if not self._has_lines.is_set():
            self._has_lines.set()

    def close(self) -> None:
        """Write what waits, if that can be done soon."""
        super().close()
        self._is_closing.set()
        self._has_lines.set()
        self._thread.join(_PATIENCE)

    def _write_for_ever(self) -> None:
        while self._lines or not self._is_closing.is_set():
            self._has_lines.wait()
            self._is_closing.wait(_GATHER)
            self._has_lines.clear()
            self._write([self._lines.popleft() for _ in range(len(self._lines))])

    def _write(self, lines: Iterable[str]) -> None:
        with suppress(OSError, ValueError):  # nobody reads, or the stream is closed
            self._stream.write("".join(f"{line}\n" for line in lines))
            if self._lost:
                self._write_lost()
            self._stream.flush()

    def _write_lost(self) -> None:
        lost, self._lost = self._lost, 0
        message = f"{lost} lines of the log were lost: they came faster than they were read"
        record = logging.LogRecord("gateway", logging.WARNING, __file__, 0, message, (), None)
        self._stream.write(self.format(record) + "\n")


@contextmanager
def open_log(settings: LogSettings, *, worker: int | None = None, threaded: bool = True) -> Iterator[None]:
    """Log to standard error as the settings say. Without a thread where the process is going to fork."""
    handler = ThreadHandler(sys.stderr) if threaded else logging.StreamHandler(sys.stderr)
    is_text = settings.format == "text" or (settings.format == "auto" and sys.stderr.isatty())
    formatter = TextFormatter(worker) if is_text else JsonFormatter(worker)
    handler.setFormatter(formatter)
    if isinstance(handler, ThreadHandler) and isinstance(formatter, JsonFormatter):
        _DIRECT.append((handler, formatter))
    # What no line of ours tells need not be found out for each.
    logging._srcfile = None  # noqa: SLF001  documented: "Optimization" in logging's guide
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(settings.level.upper())
    try:
        yield
    finally:
        _DIRECT.clear()
        root.removeHandler(handler)
        handler.close()


def log_round(about: Mapping[str, object]) -> None:
    """The line of a round, one for each vote: past `logging`, whose records take most of a line's time."""
    for handler, formatter in _DIRECT:
        handler.tell(formatter.line(time(), "info", "round", about))
    if not _DIRECT:
        _LOG.info("round", extra={"said": about})


# Where lines go that need no record: to the process's log, if that is one of JSON.
_DIRECT: list[tuple[ThreadHandler, JsonFormatter]] = []


@lru_cache(maxsize=4)
def _second(since_epoch: int) -> str:
    return datetime.fromtimestamp(since_epoch, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def round_said(record: RoundRecord) -> dict[str, Any]:
    """A round in figures, as its line and the live page have it; no prompt and no answer."""
    line: dict[str, Any] = {
        "key": record.key,
        "endpoint": record.endpoint,
        "model": record.model,
        "policy": record.policy,
        "outcome": record.outcome,
        "k": record.k,
        "ballots": record.ballots,
        "spoiled": record.spoiled,
        "abstained": record.abstained,
        "cancelled": record.cancelled,
        "saved": record.saved,
        "tokens": record.tokens,
        "pin": record.pin,
        "seconds": round(record.seconds, 4),
    }
    if (verdict := record.verdict) is not None:
        line |= {
            "agreement": round(verdict.agreement, 4),
            "distinct": verdict.distinct_answers,
            "upstream": verdict.winner.upstream,
        }
        if verdict.divergence is not None:
            line["divergence"] = verdict.divergence
    if record.reference != "none":
        line["reference"] = record.reference
    if record.is_escalated:
        line["escalated"] = True
    if record.fields:
        line["fields"] = dict(record.fields)
    return line
