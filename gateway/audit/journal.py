"""Every answer of an audit, in a file as it comes: JSON lines, the first of which says what is being asked.

Whoever is interrupted goes on from here. A group that was sent at once counts only whole: copies of which a part was
sent an hour later would not be together.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from gateway.audit.heard import Heard, Missed, Outcome
from gateway.audit.schedule import Group, Shot
from gateway.audit.spec import Prompt, Spec
from gateway.calling.lines import Unreadable, append, as_line, read_text, whole_lines
from gateway.core.ballot import Extracted, Reply, Sample

_VERSION = 1


class JournalError(Exception):
    """A journal that cannot be gone on with; the message says why."""


@dataclass(frozen=True, slots=True)
class Head:
    """What is asked, of whom."""

    spec: Spec
    urls: tuple[str, ...]
    engine: str
    nonce: str  # part of every salt: another audit's prefixes are not this one's
    started: str  # ISO 8601, UTC
    gateway: bool = False  # whether one answered
    pins: bool = False  # whether it may answer with what is pinned


class Journal:
    """The file, for appending. Safe to call from several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()

    def begin(self, head: Head) -> None:
        """Start the file; JournalError if it is there already."""
        try:
            with self.path.open("x", encoding="utf-8") as file:
                file.write(as_line({"audit": _VERSION} | asdict(head)))
        except OSError as error:
            raise JournalError(f"{self.path}: {error.strerror}") from error

    def append(self, outcome: Outcome) -> None:
        """Add one outcome, whole or not at all as far as that is in our hands."""
        line = as_line(_as_json(outcome))
        with self._lock:
            append(self.path, line)


def read_journal(path: Path) -> tuple[Head, list[Outcome]]:
    """What the file says, without a last line that was cut off; JournalError names a line that cannot be read."""
    try:
        lines = whole_lines(read_text(path))
    except Unreadable as error:
        raise JournalError(str(error)) from error
    if not lines:
        raise JournalError(f"{path}: is empty")
    head = _read(path, 1, lines[0], _head)
    return head, [_read(path, number, line, _outcome) for number, line in enumerate(lines[1:], 2)]


def whole_groups(groups: Iterable[Group], outcomes: Sequence[Outcome]) -> dict[Shot, Heard]:
    """The answers that count, by shot: of each group that was sent whole, the latest time."""
    launches: dict[Shot, dict[int, Outcome]] = defaultdict(dict)
    for outcome in outcomes:
        launches[outcome.shot][outcome.launch] = outcome
    found: dict[Shot, Heard] = {}
    for group in groups:
        common = set.intersection(*(set(launches[shot]) for shot in group))
        if common:
            came = (launches[shot][max(common)] for shot in group)
            found |= {outcome.shot: outcome for outcome in came if isinstance(outcome, Heard)}
    return found


def _as_json(outcome: Outcome) -> dict[str, Any]:
    told: dict[str, Any] = {"shot": asdict(outcome.shot), "launch": outcome.launch}
    if isinstance(outcome, Missed):
        return told | {"missed": outcome.detail}
    return told | {
        "reply": outcome.sample.reply._asdict(),
        "answer": outcome.answer,
        "replica": outcome.replica,
        "seconds": round(outcome.seconds, 4),
        "in_flight": outcome.in_flight,
        "told": dict(outcome.told),
        "late": outcome.late,
    }


def _read(path: Path, number: int, line: str, make: Any) -> Any:
    try:
        return make(json.loads(line))
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise JournalError(f"{path}:{number}: not a line of an audit's journal ({error})") from error


def _head(told: dict[str, Any]) -> Head:
    if told.pop("audit") != _VERSION:
        raise ValueError("of another version")
    spec = told.pop("spec")
    prompts = tuple(
        Prompt(each["shown"], each["path"], tuple(map(tuple, each["members"])))
        for each in spec.pop("prompts")
    )
    kinds, concurrencies = tuple(spec.pop("kinds")), tuple(spec.pop("concurrencies"))
    made = Spec(prompts=prompts, kinds=kinds, concurrencies=concurrencies, **spec)
    return Head(made, tuple(told.pop("urls")), **told)


def _outcome(told: dict[str, Any]) -> Outcome:
    shot = Shot(**told["shot"])
    if "missed" in told:
        return Missed(shot, told["launch"], told["missed"])
    reply = Reply(**told["reply"])
    reply = reply._replace(calls=tuple((name, arguments) for name, arguments in reply.calls))
    sample = Sample(shot.turn, reply, extracted=Extracted(told["answer"]))
    return Heard(
        shot,
        sample,
        told["launch"],
        told["replica"],
        told["seconds"],
        told["in_flight"],
        tuple(told["told"].items()),
        told["late"],
    )
