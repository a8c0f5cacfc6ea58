"""`python benchmarks/soak.py`: a long run, told as it goes, judged in the end."""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from benchmarks.chaos.clients import Clients
from benchmarks.chaos.curve import draw
from benchmarks.chaos.faults import FAULTS
from benchmarks.chaos.run import Outcome, run
from benchmarks.machine import describe_machine

_RESULTS = Path(__file__).resolve().parent.parent / "results"
_FAULT, _PAUSE = 4.0, 4.0  # seconds
_EVERY = 30.0  # seconds between two lines
_ROOM = 1.3


def main(about: str | None, argv: Sequence[str] | None = None) -> int:
    """Run, tell, judge; 1 if a request failed, a question had two answers or memory grew."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default: 10)")
    parser.add_argument("--clients", type=int, default=100, help="how many at once (default: 100)")
    parser.add_argument("--workers", type=int, default=2, help="of the gateway (default: 2)")
    parser.add_argument("--faults", action="store_true", help="break everything around it, in turn")
    parser.add_argument("--write", action="store_true", help="keep the figures in benchmarks/results")
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        outcome = asyncio.run(_soak(Path(folder), given))
    print(summary(outcome))
    if given.write:
        _keep(outcome, given)
    return 0 if is_good(outcome) else 1


async def _soak(folder: Path, given: argparse.Namespace) -> Outcome:
    seconds = given.minutes * 60
    rounds = max(1, round(seconds / (len(FAULTS) * (_FAULT + _PAUSE)))) if given.faults else 0
    rest = 0.0 if given.faults else seconds
    began = monotonic()

    async def tell(clients: Clients) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            seen = clients.seen
            print(
                f"{monotonic() - began:7.0f} s  {sum(seen.counts.values()):9,} requests  "
                f"{len(seen.failures)} failed",
                flush=True,
            )

    return await run(
        folder,
        clients=given.clients,
        workers=given.workers,
        faults=FAULTS * rounds,
        lasting=_FAULT,
        pause=_PAUSE,
        before=rest,
        tell=tell,
    )


def is_good(outcome: Outcome) -> bool:
    """Whether nothing failed or was cut off, nothing was disputed, and memory came back to its level."""
    wrong = outcome.failed() or outcome.cut_off() or outcome.disputed() or outcome.unsettled()
    return not wrong and outcome.growth <= _ROOM


def summary(outcome: Outcome) -> str:
    """What came of it, for people."""
    seen, failed = outcome.seen, outcome.failed()
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in sorted(seen.counts.items()))
    cut_off = outcome.cut_off()
    superseded = len(seen.failures) - len(failed)
    disputed, unsettled = len(outcome.disputed()), len(outcome.unsettled())
    memory = (outcome.early, outcome.memory.most, outcome.settled)
    lines = [
        f"{sum(seen.counts.values()):,} requests: {kinds}",
        f"failed: {len(failed)}; superseded while Redis was away: {superseded}; cut off: {len(cut_off)}",
        f"questions: {len(seen.answers):,}; with two answers: {disputed}; unsettled in the end: {unsettled}",
        "resident memory: {:.0f} MB early, {:.0f} MB at most, {:.0f} MB in the end".format(*memory),
    ]
    lines += [f"  {each.question}: {each.why}" for each in [*failed, *cut_off][:10]]
    return "\n".join(lines)


def _keep(outcome: Outcome, given: argparse.Namespace) -> None:
    name = f"{datetime.now(UTC):%Y-%m-%d}-{'chaos' if given.faults else 'soak'}"
    began = outcome.memory.began
    told = {
        "command": " ".join(["python", *sys.argv]),
        "machine": describe_machine(),
        "clients": given.clients,
        "workers": given.workers,
        "summary": summary(outcome).splitlines(),
        "faults": [(each.fault.name, each.began - began, each.ended - began) for each in outcome.windows],
        "memory": outcome.memory.points,
    }
    (_RESULTS / f"{name}.json").write_text(json.dumps(told, indent=1) + "\n")
    (_RESULTS / f"{name}.svg").write_text(draw(outcome))
    print(f"kept in {_RESULTS / name}.*")
