"""The command line of `make bench`."""

import argparse
import shlex
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import guard, tables
from benchmarks.machine import Quiet, describe_machine, describe_versions
from benchmarks.page import keep, publish
from benchmarks.peers import Peers
from benchmarks.processes import BenchError
from benchmarks.profiling import profile
from benchmarks.results import Results
from benchmarks.servers import Servers
from benchmarks.subjects import MODES
from benchmarks.turns import FULL, NAMES, QUICK, measure

_PEERS = Path(__file__).resolve().parents[2] / "shared/peers"
_EXAMPLES = """\
examples:
  make bench                                       everything, about 15 minutes, into docs/benchmarks.md
  make bench ARGS=--quick                          everything in short, about 2 minutes
  make bench ARGS="--only hit floor-cache"         these two, at all numbers of connections
  make bench ARGS="--only endurance"               1,000,000 hits: does memory grow?
  make bench ARGS="--profile pass-through"         which functions of the gateway take the time
  make bench ARGS=--guard                          only count instructions and calls
  make bench ARGS=--update-guard                   and take what is counted as the new baseline
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, keep. The exit code: 0 done, 1 the guard failed, 2 something is missing, 130 interrupted."""
    words = sys.argv[1:] if argv is None else list(argv)
    arguments = _parser().parse_args(words)
    try:
        return _run(arguments, words)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks/run.py",
        description="Measure the gateway, the floor of the language and other gateways in turns.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter turns")
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="MODE",
        help=f"some of: {', '.join(NAMES)}",
    )
    parser.add_argument(
        "--peers", type=Path, metavar="DIR", default=_PEERS, help="where other gateways' peers.py is"
    )
    parser.add_argument(
        "--profile", metavar="MODE", choices=tuple(MODES), help="list a mode's costliest functions"
    )
    parser.add_argument("--top", type=int, default=25, help="how many of them")
    parser.add_argument("--guard", action="store_true", help="only count instructions and calls, and compare")
    parser.add_argument("--update-guard", action="store_true", help="count them and keep the counts")
    parser.add_argument(
        "--name", default="", help="of the file in benchmarks/results/ (full, quick or partial)"
    )
    return parser


def _run(arguments: argparse.Namespace, words: Sequence[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="scg-bench-") as folder, Servers(Path(folder)) as servers:
        if arguments.profile:
            print(profile(servers, arguments.profile, arguments.top))
            return 0
        if arguments.guard or arguments.update_guard:
            return _guard(servers, is_update=arguments.update_guard)
        plan = (QUICK if arguments.quick else FULL).only(arguments.only)
        found = _empty(arguments.name or _name(arguments), words)
        with Peers(arguments.peers, found.notes) as peers:
            measure(servers, peers, plan, Quiet(patience=20 if arguments.quick else 60), found)
        _tell(found, is_whole=not (arguments.only or arguments.quick))
        return 0 if arguments.only else _guard(servers, is_update=False)


def _tell(found: Results, *, is_whole: bool) -> None:
    parts = (
        tables.load_table(found),
        tables.stream_table(found),
        tables.goal_table(found),
        tables.rest(found),
    )
    print("\n" + "\n\n".join(parts) + "\n")
    path = keep(found)
    print(f"kept as benchmarks/results/{path.name}")
    if is_whole:
        publish(path)
        print("and shown in docs/benchmarks.md")


def _guard(servers: Servers, *, is_update: bool) -> int:
    """Count, print, compare; 1 if a path has grown."""
    found, baseline = guard.count_modes(servers), guard.read_baseline()
    for mode, counts in found.items():
        print(
            f"guard: {mode}: {counts.instructions:,.0f} instructions, {counts.calls:,.0f} calls per request"
        )
    if is_update:
        guard.write_baseline(found)
        return 0
    if not baseline:
        print("guard: no baseline for this version of Python: make bench ARGS=--update-guard takes one")
    if guard.is_outdated(found, baseline):
        print("guard: shorter than the baseline: make bench ARGS=--update-guard keeps what was gained")
    grown = guard.complaints(found, baseline)
    for line in grown:
        print(f"guard: {line}", file=sys.stderr)
    return 1 if grown else 0


def _name(arguments: argparse.Namespace) -> str:
    if arguments.only:
        return "partial"
    return "quick" if arguments.quick else "full"


def _empty(name: str, words: Sequence[str]) -> Results:
    command = shlex.join(["make", "bench", *([f"ARGS={shlex.join(words)}"] if words else [])])
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return Results(name, date, command, describe_machine(), describe_versions())
