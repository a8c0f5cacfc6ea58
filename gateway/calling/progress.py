"""How it goes, while it goes: a live display where there is a terminal and rich, else a line now and then."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from time import monotonic
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_EVERY = 10.0  # seconds between two lines


class Display(Protocol):
    """Shows parts of the work, one after the other."""

    def begins(self, name: str, left: int) -> None:
        """A part of so many requests begins."""

    def came(self, seen: str) -> None:
        """One further; `seen` says what was seen so far."""

    def waits(self, told: str) -> None:
        """Why nothing happens."""


@contextmanager
def open_display(stream: TextIO, command: str) -> Iterator[Display]:
    """The display that this stream can have; plain lines begin with the command's name."""
    if not stream.isatty() or find_spec("rich") is None:
        yield PlainDisplay(stream, command)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description:14}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[seen]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(file=stream)) as progress:
        yield RichDisplay(progress)


class PlainDisplay:
    """A line for each part, and one every ten seconds."""

    def __init__(self, stream: TextIO, command: str, clock: Callable[[], float] = monotonic) -> None:
        self._stream = stream
        self._command = command
        self._clock = clock
        self._name, self._left, self._done = "", 0, 0
        self._began = self._told = clock()

    def begins(self, name: str, left: int) -> None:
        """Name it."""
        self._name, self._left, self._done = name, left, 0
        self._began = self._told = self._clock()
        self._say(f"{self._name}: {left} requests")

    def came(self, seen: str) -> None:
        """Tell now and then."""
        self._done += 1
        now = self._clock()
        if now - self._told >= _EVERY or self._done == self._left:
            self._told = now
            remaining = (now - self._began) / self._done * (self._left - self._done)
            rest = f", about {remaining:.0f} s to go" if self._done < self._left else ""
            self._say(f"{self._name}: {self._done} of {self._left}{rest}; {seen}")

    def waits(self, told: str) -> None:
        """At once."""
        self._say(told)

    def _say(self, line: str) -> None:
        print(f"{self._command}: {line}", file=self._stream, flush=True)


class RichDisplay:
    """A bar for each part."""

    def __init__(self, progress: "Progress") -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def begins(self, name: str, left: int) -> None:
        """Another bar."""
        self._task = self._progress.add_task(name, total=left, seen="")

    def came(self, seen: str) -> None:
        """One further."""
        if self._task is not None:
            self._progress.update(self._task, advance=1, seen=seen)

    def waits(self, told: str) -> None:
        """Above the bars."""
        self._progress.console.print(told, markup=False)
