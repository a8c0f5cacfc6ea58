"""Results made by hand."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.results import LoadRun, Results, StreamRun

_LOAD: dict[str, Any] = {
    "connections": 32, "requests": 2000, "seconds": 2.0, "p50_us": 1000.0, "p99_us": 2500.0, "errors": 0,
    "rss_mb": 50.0, "others": 0.01,
}  # fmt: skip
_STREAM: dict[str, Any] = {
    "streams": 50, "first_ms": 1.0, "first_p99_ms": 2.0, "delay_ms": 0.2, "delay_p99_ms": 0.5, "chunks": 3200,
    "lost": 0, "merged": 0, "failed": 0, "cpu_us": 0.0,
}  # fmt: skip


def made(costs: Mapping[str, Sequence[float]]) -> Results:
    """A run in which these subjects cost so much, turn by turn."""
    results = Results("full", "2026-01-02T03:04:05+00:00", "make bench", _MACHINE, {"python": "3.11"})
    results.titles = {name: name for name in (*costs, "direct", "gateway")}
    results.loads = [
        LoadRun(turn=turn, subject=name, cpu_us=cost, **_LOAD)
        for name, turns in costs.items()
        for turn, cost in enumerate(turns)
    ]
    return results


def streamed(subject: str, turn: int = 0, **changes: Any) -> StreamRun:
    return StreamRun(**(_STREAM | {"subject": subject, "turn": turn} | changes))


_MACHINE = {"processor": "P", "cores": "2", "memory": "8 GiB", "system": "Linux"}
