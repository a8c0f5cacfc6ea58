"""The order of measuring: every subject once, then every subject once more, so that drift hits all alike."""

import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from benchmarks.load import Loader, check
from benchmarks.machine import Quiet
from benchmarks.peers import Peers
from benchmarks.processes import free_port, start
from benchmarks.results import Endurance, Memory, Results
from benchmarks.servers import Servers, gateway_command, mode_subject, subjects
from benchmarks.streams import FULL_SHAPES, QUICK_SHAPES, Shape, measure_streams, own_streamers
from benchmarks.subjects import SECTIONS, Subject

_ORDER = tuple(chain.from_iterable(SECTIONS.values()))
NAMES = (*_ORDER, "streams", "start", "endurance")
_USUAL = 32  # connections
_WARM_UP = 1
_STRETCH = 3
_REST = 2.0  # seconds from the last request to the last look at memory


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure."""

    turns: Sequence[Sequence[int]]  # the numbers of connections in each turn
    seconds: int  # of one run of wrk
    shapes: Sequence[Shape]
    stream_turns: int
    starts: int
    endurance: int  # hits in a row
    names: Collection[str] = NAMES

    def only(self, names: Collection[str] | None) -> "Plan":
        """The part of the plan that concerns these names."""
        return self if names is None else replace(self, names=names)


FULL = Plan(
    turns=[(1, 32, 256)] * 2 + [(32,)] * 3,
    seconds=2,
    shapes=FULL_SHAPES,
    stream_turns=3,
    starts=9,
    endurance=1_000_000,
)
QUICK = Plan(turns=[(32,)] * 2, seconds=1, shapes=QUICK_SHAPES, stream_turns=1, starts=3, endurance=30_000)


def measure(servers: Servers, peers: Peers, plan: Plan, quiet: Quiet, results: Results) -> None:
    """Everything in the plan, into `results`."""
    results.versions |= peers.versions()
    if "start" in plan.names:
        _say("start-up")
        results.starts += (_start_seconds(servers, quiet) for _ in range(plan.starts))
    _say("starting everything")
    measured = subjects(servers, plan.names)
    idle = {subject.name: subject.group.rss_mb() for subject in measured}
    measured += peers.subjects(plan.names, servers.upstream())
    measured.sort(key=lambda subject: _ORDER.index(subject.name))
    loader = Loader(servers.folder, servers.behind)
    if measured:
        _load(loader, measured, plan, quiet, results)
    _look_at_memory(measured, idle, results)
    if "endurance" in plan.names and plan.endurance:
        _endure(loader, mode_subject(servers, "hit"), plan.endurance, results)
    if "streams" in plan.names:
        peers.close()  # a dozen idle servers are not quite idle, and here tenths of milliseconds count
        servers.close()
        streamers = own_streamers(servers) + peers.streamers(plan.names, servers.sse_upstream())
        measure_streams(streamers, plan.shapes, plan.stream_turns, quiet, results)


def _load(loader: Loader, measured: Sequence[Subject], plan: Plan, quiet: Quiet, results: Results) -> None:
    results.titles |= {subject.name: subject.title for subject in measured}
    rates = {subject.name: _warm_up(loader, subject) for subject in measured}
    for turn, numbers in enumerate(plan.turns):
        for connections in numbers:
            _say(f"turn {turn + 1} of {len(plan.turns)}, {connections} connections")
            for subject in measured:
                if connections > _USUAL and rates[subject.name] * plan.seconds < 2 * connections:
                    continue  # too slow: hardly a request would end, and the rest would burden the next subject
                quiet.wait()
                results.loads.append(loader.run(subject, connections, plan.seconds, turn))


def _warm_up(loader: Loader, subject: Subject) -> float:
    """Requests per second."""
    check(subject)
    return loader.run(subject, 8, _WARM_UP, turn=-1).rate


def _look_at_memory(measured: Sequence[Subject], idle: dict[str, float], results: Results) -> None:
    """That of the gateway with default settings."""
    default = next((subject for subject in measured if subject.name == "hit"), None)
    if default:
        time.sleep(_REST)
        modes = {subject.name for subject in measured if subject.group == default.group}
        loaded = max(run.rss_mb for run in results.loads if run.subject in modes)
        results.memory = Memory(idle[default.name], loaded, default.group.rss_mb())


def _endure(loader: Loader, subject: Subject, requests: int, results: Results) -> None:
    """Hits in a row, with a look at memory every few seconds."""
    check(subject)
    _say(f"{requests:,} hits in a row")
    done = 0
    while done < requests:
        run = loader.run(subject, _USUAL, _STRETCH, turn=-1)
        done += run.requests
        results.endurance.append(Endurance(done, run.rss_mb))


def _start_seconds(servers: Servers, quiet: Quiet) -> float:
    """From starting the process to the first 200 of /healthz."""
    quiet.wait()
    port, environment = free_port(), {"SCG_UPSTREAM_URL": servers.upstream().url}
    began = time.perf_counter()
    server = start("gateway", gateway_command(port), port, servers.folder / "start.log", environment)
    server.wait_until_ready("/healthz")
    seconds = time.perf_counter() - began
    server.stop()
    return seconds


def _say(text: str) -> None:
    """Progress, beside the results."""
    print(text, file=sys.stderr, flush=True)
