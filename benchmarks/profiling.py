"""Which functions of the gateway take the time of a mode.

The profiler slows Python's functions more than C's, so that a list is a map of where to look, not a measure:
what a change has gained is told by the processor time of an unprofiled run.
"""

import pstats
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.load import Loader, check
from benchmarks.servers import Servers
from benchmarks.subjects import MODES, Subject

_CONNECTIONS = 32
_SECONDS = 4
_LAUNCHER = Path(__file__).resolve().parent / "programs/profiled.py"


class Line(NamedTuple):
    """One function; times are microseconds per request."""

    own: float
    total: float
    calls: float  # per request
    name: str


def profile(servers: Servers, name: str, top: int) -> str:
    """A mode's functions with the most time of their own."""
    mode, upstream = MODES[name], servers.upstream()
    file = servers.folder / f"{name}.profile"
    server = servers.gateway(
        upstream,
        mode.settings,
        lambda port: [sys.executable, str(_LAUNCHER), str(file), "serve", "--port", str(port)],
    )
    subject = Subject(name, mode.title, server.url, server.group, mode.question, mode.source, is_ours=True)
    check(subject)
    run = Loader(servers.folder, servers.behind).run(subject, _CONNECTIONS, _SECONDS, turn=0)
    server.stop()
    lines = sorted(_lines(file, run.requests), reverse=True)
    head = (
        f"{mode.title}: {run.requests} requests, {run.cpu_us:.0f} µs of processor time each under the profiler\n"
        f"{'own µs':>8}{'total µs':>10}{'calls':>8}  function"
    )
    body = (f"{line.own:8.1f}{line.total:10.1f}{line.calls:8.2f}  {line.name}" for line in lines[:top])
    return "\n".join([head, *body])


def _lines(file: Path, requests: int) -> Iterator[Line]:
    for place, (_, calls, own, total, _callers) in pstats.Stats(str(file)).stats.items():  # type: ignore[attr-defined]
        yield Line(1e6 * own / requests, 1e6 * total / requests, calls / requests, _spell(*place))


def _spell(file: str, line: int, name: str) -> str:
    if file == "~":  # C's
        return name
    path = Path(file)
    return f"{'/'.join(path.parts[-2:])}:{line} {name}"
