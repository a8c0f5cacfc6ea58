"""The output file: a line for each answer, in the order in which they come.

In the order of the input a slow answer would hold back the ones behind it, and whoever stops the command would lose
them. What failed for a reason that may pass is taken out and asked again by the next run.
"""

import fcntl
import os
from collections.abc import Mapping
from io import FileIO
from os.path import samestat
from pathlib import Path

from gateway.bulk.jobs import Job
from gateway.bulk.record import Answered, Record, answered, read_record
from gateway.calling.lines import keep_aside, mend, write_all

Named = Mapping[str, tuple[str, Job]]  # by custom_id: the name of its answer, and itself


_BEGINNING = b'{"id":"batch_req_'


class AnswersError(Exception):
    """A file that cannot be gone on with; the message says why."""


class Answers:
    """The file, open and locked, and what stood in it. `aside` is where an old one was moved, if it was."""

    def __init__(self, path: Path, jobs: Named, *, fresh: bool = False) -> None:
        """AnswersError if it holds answers to other questions, or if another process is writing it.

        A `fresh` one starts over: the old file is not read, and moved aside when the first answer comes, so that
        a command that gets none leaves it where it was.
        """
        self._path = path
        self._jobs = jobs
        self.aside: Path | None = None
        self.there: list[Answered] = []
        self._file = _locked(path)
        self._is_old = fresh and os.fstat(self._file.fileno()).st_size > 0
        if self._is_old:
            return
        try:
            records = _read(path, jobs)
            mend(path)
            kept = [record for record in records if record.is_final]
            if len(kept) < len(records):
                self._file = _replaced(path, self._file, kept)
        except BaseException:
            self.close()
            raise
        self.there = [answered(jobs[each.custom_id][1], each) for each in kept]

    def append(self, record: Record) -> None:
        """Add a line. One thread at a time."""
        if self._is_old:
            self._start_over()
        write_all(self._file, record.line)

    def read(self) -> list[Answered]:
        """All that is in it by now."""
        if self._is_old:
            return []
        return [answered(self._jobs[each.custom_id][1], each) for each in _read(self._path, self._jobs)]

    def _start_over(self) -> None:
        with self._file:  # locked until the new one is
            self.aside = keep_aside(self._path)
            self._file = _locked(self._path)
        self._is_old = False

    def close(self) -> None:
        """Let others have it. An empty file is taken away."""
        if not self._file.closed:
            if not os.fstat(self._file.fileno()).st_size:
                self._path.unlink()
            self._file.close()


def _locked(name: Path) -> FileIO:
    file = FileIO(name, "a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if name.exists() and samestat(os.fstat(file.fileno()), name.stat()):
            return file  # and not one that was replaced in between
    except BlockingIOError:
        pass
    file.close()
    raise AnswersError(f"{name}: another scg bulk is writing it")


def _replaced(path: Path, file: FileIO, kept: list[Record]) -> FileIO:
    """The file with these lines alone: the old one until all of the new one is there."""
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)  # of one that was killed at it: the lock of `path` is ours
    new = _locked(beside)
    for record in kept:
        write_all(new, record.line)
    os.fsync(new.fileno())
    beside.replace(path)
    file.close()
    return new


def _read(path: Path, jobs: Named) -> list[Record]:
    """The whole lines. A last one that was cut off is left out, if it may have become an answer."""
    records = []
    *lines, rest = path.read_bytes().split(b"\n")
    if rest[: len(_BEGINNING)] != _BEGINNING[: len(rest)]:
        lines.append(rest)  # which says below that it is none
    for number, line in enumerate(lines, 1):
        where = f"{path}:{number}"
        try:
            record = read_record(line)
        except ValueError as error:
            raise AnswersError(
                f"{where}: not a line of answers ({error}); --out names another file"
            ) from error
        name, _ = jobs.get(record.custom_id, (None, None))
        if name is None:
            told = f"custom_id {record.custom_id!r} is not in the input"
        elif name != record.id:
            told = f"under custom_id {record.custom_id!r} something else was asked, or with other flags"
        else:
            records.append(record)
            continue
        raise AnswersError(f"{where}: {told}; --fresh starts over and keeps this file, --out names another")
    return records
