"""`python benchmarks/gpu.py`: every way to one answer on running lanes, measured in turn and kept."""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from benchmarks.lanes.claims import unfinished, verdicts
from benchmarks.lanes.kept import Kept, Run
from benchmarks.lanes.measuring import measure
from benchmarks.lanes.page import claim_table, scenario_table
from benchmarks.lanes.questions import QUESTIONS, Load
from benchmarks.lanes.scenarios import FAST, INVARIANT, NAMES, SCENARIOS, SERIAL, Scenario
from benchmarks.lanes.servers import Lane, lane
from benchmarks.machine import describe_gpu, describe_machine
from benchmarks.processes import BenchError

_RESULTS = Path(__file__).resolve().parents[1] / "results/gpu"
# Beside its rounds a scenario takes a gateway's start with its probe, warming up, and what is asked later.
_BESIDE = 60.0
_EXAMPLES = """\
A lane is a URL, or a command with {port} in it that starts one. What is there already is not measured again; a run
that is cut off keeps what it has, and goes on where it was when it is called again.

examples:
  python benchmarks/gpu.py --fast http://127.0.0.1:8001 --serial http://127.0.0.1:8002 --invariant http://127.0.0.1:8003
  python benchmarks/gpu.py --fast http://127.0.0.1:8001 --only plain measured pinned --within 540
  python benchmarks/gpu.py --fast 'python -m backend torch --model random --port {port}' --out /tmp/try.json \\
      --prompts 12 --copies 4 --tokens 16 --in-flight 8 --seconds 20
  python benchmarks/gpu.py --fast 'python -m backend torch --port {port}' --questions sums --out /tmp/sums.json
exit code: 0 all measured and every claim holds, 1 a claim does not or a scenario failed, 2 bad usage, 3 out of time
"""
_HELP = {
    "questions": "of words, or sums as the demo model was trained on",
    "prompts": "different ones, each asked in two rounds",
    "repeated": "of them asked over and over",
    "copies": "of each of those in a round",
    "characters": "of a prompt of words",
    "tokens": "of an answer, at most of one to a sum",
    "in_flight": "clients at once",
    "seconds": "for both rounds of a scenario",
    "hits": "of a round of pinned answers",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, keep; the exit code is in --help."""
    options = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, _leave)
    try:
        return _run(options)
    except BenchError as error:
        print(f"gpu: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _leave(number: int, _frame: object) -> NoReturn:
    """Whoever stops us lets the servers that we started be stopped, too."""
    sys.exit(128 + number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks/gpu.py",
        description=__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(f"--{FAST}", required=True, metavar="LANE", help="as the engine comes")
    parser.add_argument(f"--{SERIAL}", metavar="LANE", help="at batch size 1")
    parser.add_argument(f"--{INVARIANT}", metavar="LANE", help="with batch-invariant kernels")
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--again", nargs="+", choices=NAMES, default=[], metavar="NAME", help="measure anew")
    parser.add_argument(
        "--within", type=float, metavar="S", help="begin nothing that may end later than this"
    )
    parser.add_argument(
        "--out", type=Path, default=_RESULTS / "lanes.json", metavar="FILE", help="%(default)s"
    )
    parser.add_argument("--about", default="", metavar="TEXT", help="the model and the servers, in words")
    for size in fields(Load):
        choices = QUESTIONS if size.name == "questions" else None
        parser.add_argument(
            f"--{size.name.replace('_', '-')}",
            type=type(size.default),
            choices=choices,
            default=size.default,
            metavar=None if choices else "N",
            help=f"{_HELP[size.name]} (%(default)s)",
        )
    return parser


def _run(options: argparse.Namespace) -> int:
    load = Load(**{size.name: getattr(options, size.name) for size in fields(Load)})
    end = time.monotonic() + options.within if options.within else float("inf")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="scg-gpu-")))
        named = {name: getattr(options, name) for name in (FAST, SERIAL, INVARIANT)}
        lanes = {name: stack.enter_context(lane(name, text, folder)) for name, text in named.items() if text}
        _check_models(lanes)
        run = Run.open(options.out, _about(options, load, lanes))
        late = _measure_all(_wanted(options, run), lanes, load, folder, run, end)
    print(f"\n{scenario_table(run)}\n\n{claim_table(run)}\n\nkept in {run.path}")
    if late:
        print(f"out of time for {', '.join(late)}: call again")
        return 3
    failed = any(kept.fault for kept in run.scenarios.values())
    missed = any(seen is not None and not seen.holds for _, seen in verdicts(run))
    return 1 if failed or missed else 0


def _wanted(options: argparse.Namespace, run: Run) -> list[Scenario]:
    names = {*unfinished(run), *options.again} & set(options.only or NAMES)
    return [scenario for scenario in SCENARIOS if scenario.name in names]


def _measure_all(
    wanted: Sequence[Scenario], lanes: dict[str, Lane], load: Load, folder: Path, run: Run, end: float
) -> list[str]:
    """Measure one after the other; the names of those for which there was no time."""
    for at, scenario in enumerate(wanted):
        if time.monotonic() + load.seconds + _BESIDE > end:
            return [each.name for each in wanted[at:]]
        began = time.monotonic()
        kept = run.scenarios[scenario.name] = Kept(scenario.name, scenario.title)
        with _kept_whatever_comes(run):
            try:
                measure(scenario, lanes, load, folder, kept, run.write)
            except BenchError as error:
                kept.fault = str(error)
        told = kept.fault or f"{len(kept.answers)} requests"
        print(f"{scenario.name}: {told}, {time.monotonic() - began:.0f} s", flush=True)
    return []


@contextmanager
def _kept_whatever_comes(run: Run) -> Iterator[None]:
    try:
        yield
    finally:
        run.write()


def _check_models(lanes: dict[str, Lane]) -> None:
    for name, each in lanes.items():
        if each.model != lanes[FAST].model:
            raise BenchError(
                f"--{name} serves {each.model!r}, --{FAST} {lanes[FAST].model!r}: give them one name"
            )


def _about(options: argparse.Namespace, load: Load, lanes: dict[str, Lane]) -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "about": options.about,
        "model": lanes[FAST].model,
        "engines": {name: each.owner for name, each in lanes.items()},
        "load": asdict(load),
        "gpu": describe_gpu(),
        "machine": describe_machine(),
    }
