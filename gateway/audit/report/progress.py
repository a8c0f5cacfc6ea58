"""How it goes, while it goes: a live display where there is a terminal and rich, else a line now and then."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from time import monotonic
from typing import TYPE_CHECKING, TextIO

from gateway.audit.ask.run import Watcher
from gateway.audit.heard import Heard, Outcome
from gateway.audit.schedule import Phase

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_EVERY = 10.0  # seconds between two lines


@contextmanager
def open_progress(stream: TextIO) -> Iterator[Watcher]:
    """The display that this stream can have."""
    if not stream.isatty() or find_spec("rich") is None:
        yield PlainProgress(stream)
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
        yield RichProgress(progress)


class _Seen:
    """The texts of each prompt so far."""

    def __init__(self) -> None:
        self._texts: dict[int, set[str]] = defaultdict(set)
        self.missed = 0

    def note(self, outcome: Outcome) -> None:
        if isinstance(outcome, Heard):
            self._texts[outcome.shot.prompt].add(outcome.sample.reply.shown)
        else:
            self.missed += 1

    def __str__(self) -> str:
        several = sum(len(texts) > 1 for texts in self._texts.values())
        missed = f", {self.missed} without an answer" if self.missed else ""
        return f"{several} of {len(self._texts)} prompts with several texts{missed}"


class PlainProgress:
    """A line for each phase, and one every ten seconds."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._seen = _Seen()
        self._name, self._left, self._done = "", 0, 0
        self._began = self._told = clock()

    def begins(self, phase: Phase, left: int) -> None:
        """Name it."""
        self._name, self._left, self._done = phase.name, left, 0
        self._began = self._told = self._clock()
        self._say(f"{self._name}: {left} requests")

    def came(self, outcome: Outcome) -> None:
        """Tell now and then."""
        self._seen.note(outcome)
        self._done += 1
        now = self._clock()
        if now - self._told >= _EVERY or self._done == self._left:
            self._told = now
            remaining = (now - self._began) / self._done * (self._left - self._done)
            rest = f", about {remaining:.0f} s to go" if self._done < self._left else ""
            self._say(f"{self._name}: {self._done} of {self._left}{rest}; {self._seen}")

    def waits(self, seconds: float, why: str) -> None:
        """Say why nothing happens."""
        self._say(f"waiting {seconds:g} s, as the server asks: {why}")

    def _say(self, line: str) -> None:
        print(f"scg audit: {line}", file=self._stream, flush=True)


class RichProgress:
    """A bar for each phase."""

    def __init__(self, progress: "Progress") -> None:
        self._progress = progress
        self._seen = _Seen()
        self._task: TaskID | None = None

    def begins(self, phase: Phase, left: int) -> None:
        """Another bar."""
        self._task = self._progress.add_task(phase.name, total=left, seen="")

    def came(self, outcome: Outcome) -> None:
        """One further."""
        self._seen.note(outcome)
        if self._task is not None:
            self._progress.update(self._task, advance=1, seen=str(self._seen))

    def waits(self, seconds: float, why: str) -> None:
        """Above the bars."""
        self._progress.console.print(f"waiting {seconds:g} s, as the server asks: {why}", markup=False)
