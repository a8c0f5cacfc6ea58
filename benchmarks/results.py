"""What a run of the benchmarks found, as it is written to benchmarks/results/."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

FOLDER = Path(__file__).resolve().parent / "results"
# Runs for whoever works on the gateway, too short to be shown; and what a machine showed while it was busy.
UNFIT = ("quick", "partial", "busy")


@dataclass(frozen=True, slots=True)
class LoadRun:
    """One subject under one number of connections, once."""

    turn: int
    subject: str
    connections: int
    requests: int
    seconds: float
    p50_us: float
    p99_us: float
    errors: int
    cpu_us: float  # of the subject's process group, per request
    rss_mb: float  # of the same, in the middle of the run
    others: float  # share of the machine that neither the subject nor wrk and the servers behind it used
    calls: float | None = None  # upstream requests per request; only the gateway tells

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


@dataclass(frozen=True, slots=True)
class StreamRun:
    """One subject with so many streams at once, once. Times are milliseconds; `direct` has no proxy."""

    turn: int
    subject: str
    streams: int
    first_ms: float  # from the request to the first chunk: median, p99
    first_p99_ms: float
    delay_ms: float  # from the upstream's sending to the client's receiving a chunk: median, p99
    delay_p99_ms: float
    chunks: int
    lost: int
    merged: int  # came in the same read as the one before
    failed: int  # streams without a good end
    cpu_us: float  # of the subject's process group, per chunk


@dataclass(frozen=True, slots=True)
class Memory:
    """The resident memory of the gateway with default settings, in millions of bytes."""

    idle_mb: float
    loaded_mb: float
    after_mb: float


@dataclass(frozen=True, slots=True)
class Endurance:
    """The gateway's resident memory after so many hits."""

    requests: int
    rss_mb: float


@dataclass(slots=True)
class Results:
    """Everything, turn by turn."""

    name: str
    date: str
    command: str
    machine: dict[str, str]
    versions: dict[str, str]
    titles: dict[str, str] = field(default_factory=dict)  # of the subjects, in their order
    loads: list[LoadRun] = field(default_factory=list)
    streams: list[StreamRun] = field(default_factory=list)
    memory: Memory | None = None
    endurance: list[Endurance] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)  # seconds
    notes: list[str] = field(default_factory=list)

    def load_runs(self, subject: str, connections: int) -> list[LoadRun]:
        """All turns of one row."""
        return [run for run in self.loads if (run.subject, run.connections) == (subject, connections)]

    def stream_runs(self, subject: str, streams: int) -> list[StreamRun]:
        """All turns of one row."""
        return [run for run in self.streams if (run.subject, run.streams) == (subject, streams)]

    def load_rows(self) -> Iterator[tuple[str, int]]:
        """Subject and number of connections of each row."""
        return iter(dict.fromkeys((run.subject, run.connections) for run in self.loads))

    def stream_rows(self) -> Iterator[tuple[str, int]]:
        """Subject and number of streams of each row."""
        return iter(dict.fromkeys((run.subject, run.streams) for run in self.streams))


def write(results: Results) -> Path:
    """Keep the results; returns where."""
    path = FOLDER / f"{results.date[:10]}-{results.name}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    return path


def read(path: Path) -> Results:
    """Results that were kept."""
    return msgspec.json.decode(path.read_bytes(), type=Results)


def latest() -> Path | None:
    """The newest that is fit to be shown, by the date inside: a day may have several."""
    kept = dict(_kept())
    whole = (path for path, found in kept.items() if found.name not in UNFIT)
    return max(whole, key=lambda path: kept[path].date, default=None)


def _kept() -> Iterator[tuple[Path, Results]]:
    for path in FOLDER.glob("*.json"):
        with suppress(msgspec.ValidationError):  # other benchmarks keep theirs here as well
            yield path, read(path)
