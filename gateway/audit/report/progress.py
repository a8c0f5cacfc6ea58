"""How an audit goes, while it goes."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from gateway.audit.ask.run import Watcher
from gateway.audit.heard import Heard, Outcome
from gateway.audit.schedule import Phase
from gateway.calling.progress import Display, open_display


@contextmanager
def open_progress(stream: TextIO) -> Iterator[Watcher]:
    """The display that this stream can have."""
    with open_display(stream, "scg audit") as display:
        yield AuditProgress(display)


class AuditProgress:
    """Each phase is a part; what is seen are the texts of each prompt so far."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._texts: dict[int, set[str]] = defaultdict(set)
        self._missed = 0

    def begins(self, phase: Phase, left: int) -> None:
        """Name it."""
        self._display.begins(phase.name, left)

    def came(self, outcome: Outcome) -> None:
        """Count it."""
        if isinstance(outcome, Heard):
            self._texts[outcome.shot.prompt].add(outcome.sample.reply.shown)
        else:
            self._missed += 1
        several = sum(len(texts) > 1 for texts in self._texts.values())
        missed = f", {self._missed} without an answer" if self._missed else ""
        self._display.came(f"{several} of {len(self._texts)} prompts with several texts{missed}")

    def waits(self, seconds: float, why: str) -> None:
        """Say why nothing happens."""
        self._display.waits(f"waiting {seconds:g} s, as the server asks: {why}")
