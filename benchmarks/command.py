"""The command line of `make bench`."""

import argparse
import shlex
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import results, tables
from benchmarks.machine import Quiet, describe_machine, describe_versions
from benchmarks.processes import BenchError
from benchmarks.results import Results
from benchmarks.servers import Servers
from benchmarks.subjects import FLOORS, MODES
from benchmarks.turns import FULL, QUICK, measure

_EXAMPLES = """\
examples:
  make bench                                       everything, about 15 minutes
  make bench ARGS=--quick                          everything in short, about 2 minutes
  make bench ARGS="--only hit floor-cache"         these two, at all numbers of connections
  make bench ARGS="--profile pass-through"         which functions of the gateway take the time
  make bench ARGS=--guard                          only count instructions and calls
  make bench ARGS=--update-guard                   and take what is counted as the new baseline
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, keep. The exit code: 0 done, 1 the guard failed, 2 something is missing."""
    words = sys.argv[1:] if argv is None else list(argv)
    arguments = _parser().parse_args(words)
    try:
        return _run(arguments, words)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2


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
        help=f"some of: {', '.join([*FLOORS, *MODES, 'streams', 'start'])}",
    )
    parser.add_argument(
        "--name", default="", help="of the file in benchmarks/results/ (full, quick or partial)"
    )
    return parser


def _run(arguments: argparse.Namespace, words: Sequence[str]) -> int:
    plan = QUICK if arguments.quick else FULL
    found = _empty(arguments.name or _name(arguments), words)
    with tempfile.TemporaryDirectory(prefix="scg-bench-") as folder, Servers(Path(folder)) as servers:
        measure(servers, plan.only(arguments.only), Quiet(), found)
    print(f"\n{tables.load_table(found)}\n\n{tables.goal_table(found)}\n\n{tables.rest(found)}\n")
    print(f"kept as benchmarks/results/{results.write(found).name}")
    return 0


def _name(arguments: argparse.Namespace) -> str:
    if arguments.only:
        return "partial"
    return "quick" if arguments.quick else "full"


def _empty(name: str, words: Sequence[str]) -> Results:
    command = shlex.join(["make", "bench", *([f"ARGS={shlex.join(words)}"] if words else [])])
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return Results(name, date, command, describe_machine(), describe_versions())
