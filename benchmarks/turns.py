"""The order of measuring: every subject once, then every subject once more, so that drift hits all alike."""

import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from benchmarks.load import Loader, check
from benchmarks.machine import Quiet
from benchmarks.results import Memory, Results
from benchmarks.servers import Servers, subjects
from benchmarks.subjects import FLOORS, MODES, Subject

_WARM_UP = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure."""

    turns: int
    seconds: int  # of one run of wrk
    connections: Sequence[int]
    subjects: Collection[str] = (*FLOORS, *MODES)

    def only(self, names: Collection[str] | None) -> "Plan":
        """The part of the plan that concerns these names."""
        return self if names is None else replace(self, subjects=tuple(names))


FULL = Plan(turns=5, seconds=2, connections=(1, 32, 256))
QUICK = Plan(turns=2, seconds=1, connections=(1, 32))


def measure(servers: Servers, plan: Plan, quiet: Quiet, results: Results) -> None:
    """Everything in the plan, into `results`."""
    measured = subjects(servers, plan.subjects)
    results.titles |= {subject.name: subject.title for subject in measured}
    default = next((subject for subject in measured if subject.name == "hit"), None)
    idle = default.group.rss_mb() if default else 0.0
    loader = Loader(servers.folder, servers.behind)
    for subject in measured:
        check(subject)
        loader.run(subject, 8, _WARM_UP, turn=-1)
    _load(plan, measured, loader, quiet, results)
    if default:
        time.sleep(1)
        results.memory = _memory(default, idle, results)


def _load(plan: Plan, measured: Sequence[Subject], loader: Loader, quiet: Quiet, results: Results) -> None:
    for turn in range(plan.turns):
        for connections in plan.connections:
            say(f"turn {turn + 1} of {plan.turns}, {connections} connections")
            for subject in measured:
                quiet.wait()
                results.loads.append(loader.run(subject, connections, plan.seconds, turn))


def _memory(subject: Subject, idle: float, results: Results) -> Memory:
    loaded = max(run.rss_mb for run in results.loads if run.subject == subject.name)
    return Memory(idle, loaded, subject.group.rss_mb())


def say(text: str) -> None:
    """Progress, beside the results."""
    print(text, file=sys.stderr, flush=True)
