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
from benchmarks.servers import Servers, mode_subject

_CONNECTIONS = 32
_SECONDS = 6
_LAUNCHER = Path(__file__).resolve().parent / "programs/profiled.py"


class Line(NamedTuple):
    """One function; times are microseconds per request."""

    own: float
    total: float
    calls: float  # per request
    name: str


def profile(servers: Servers, name: str, top: int) -> str:
    """A mode's functions with the most time of their own. Ends all servers: the profile is written last."""
    file = servers.folder / f"{name}.profile"
    launcher = [sys.executable, str(_LAUNCHER), str(file), "serve", "--port"]
    subject = mode_subject(servers, name, lambda port: [*launcher, str(port)])
    check(subject)
    run = Loader(servers.folder, servers.behind).run(subject, _CONNECTIONS, _SECONDS, turn=0)
    servers.close()
    lines = sorted(_lines(file, run.requests), reverse=True)
    head = (
        f"{subject.title}: {run.requests} requests, {run.cpu_us:.0f} µs of processor time each under the profiler\n"
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
