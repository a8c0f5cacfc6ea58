"""`python benchmarks/accuracy.py`: starts backend and gateway, asks, writes JSON, page and plot."""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

from benchmarks.determinism import running
from benchmarks.machine import describe_machine
from benchmarks.votes.asking import Asked, Way, ask_all
from benchmarks.votes.findings import auroc, buckets, line
from benchmarks.votes.page import page, plot
from benchmarks.votes.problems import Problem, keep_problems, make_problems, read_problems

_ROOT = Path(__file__).resolve().parent.parent.parent
_RESULTS, _DOCUMENT = _ROOT / "benchmarks/results/votes", _ROOT / "docs/accuracy.md"
_SINGLES = 5  # single samples of each problem, with seeds that lie far apart
_MOST = 15


def ways() -> list[Way]:
    """Every way of voting that is compared."""
    votes = [Way(f"maj@{k}", k) for k in (3, 5, 9, _MOST)]
    rules = [Way(f"maj@{_MOST}, {stop}", _MOST, stop) for stop in ("unbeatable", "beta:0.95")]
    return [*votes, *rules]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="Takes about half an hour on two cores.")
    parser.add_argument("--problems", type=int, default=200, help="how many (default: 200)")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="write the problems there, and ask nothing")
    parser.add_argument("--kept", type=Path, metavar="FILE", help="take the problems from there")
    parser.add_argument("--temperature", type=float, default=0.7, help="of sampling (default: 0.7)")
    parser.add_argument("--device", default="cpu", help="the backend's (default: cpu)")
    parser.add_argument("--batch", type=int, default=16, help="the backend's --max-batch-size (default: 16)")
    parser.add_argument("--ports", type=int, nargs=2, default=(9801, 9802), help="of backend and gateway")
    parser.add_argument("--results", type=Path, default=_RESULTS, help="where the JSON goes")
    args = parser.parse_args(argv)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    problems = read_problems(args.kept) if args.kept else make_problems(args.problems)
    if args.keep:
        keep_problems(args.keep, problems)
        return 0
    with _servers(args.ports, args.device, args.batch) as url:
        found = asyncio.run(_measure(url, problems, args.temperature, args.batch))
    found |= {"machine": describe_machine(), "device": args.device}
    found["command"] = f"python benchmarks/accuracy.py {' '.join(sys.argv[1:])}".strip()
    args.results.mkdir(parents=True, exist_ok=True)
    (args.results / "accuracy.json").write_text(json.dumps(found, indent=1) + "\n")
    (args.results / "accuracy.svg").write_text(plot(found))
    _DOCUMENT.write_text(page(found))
    print(page(found))
    return 0


@contextmanager
def _servers(ports: Sequence[int], device: str, batch: int) -> Iterator[str]:
    backend, gateway = (f"http://127.0.0.1:{port}" for port in ports)
    torch = ["backend", "torch", "--device", device, "--port", str(ports[0]), "--max-batch-size", str(batch)]
    serve = ["gateway", "serve", "--upstream-url", backend, "--port", str(ports[1])]
    with running(torch, f"{backend}/health"), running(serve, f"{gateway}/readyz"):
        yield gateway


async def _measure(url: str, problems: Sequence[Problem], temperature: float, batch: int) -> dict[str, Any]:
    began = monotonic()
    found: dict[str, list[Asked]] = {}
    singles: list[Asked] = []
    for at in range(_SINGLES):
        way = Way("single", 1, seed=1_000_000 * at + 1)
        singles += await _told(url, temperature, way, problems, batch)
    for way in ways():
        found[way.title] = await _told(url, temperature, way, problems, batch)
    full = found[f"maj@{_MOST}"]
    lines = [line(Way("single", 1), singles, None, len(problems))]
    for way in ways():
        compared = full if way.stop != "all" else None
        lines.append(line(way, found[way.title], compared, len(problems)))
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "problems": len(problems),
        "temperature": temperature,
        "seconds": round(monotonic() - began),
        "lines": [asdict(each) for each in lines],
        "agreement": {
            title: {"auroc": auroc(found[title]), "buckets": [asdict(each) for each in buckets(found[title])]}
            for title in ("maj@5", f"maj@{_MOST}")
        },
    }


async def _told(
    url: str, temperature: float, way: Way, problems: Sequence[Problem], batch: int
) -> list[Asked]:
    began = monotonic()
    asked = await ask_all(url, temperature, way, problems, batch)
    right = sum(each.is_right for each in asked)
    told = f"{way.title}: {right} of {len(asked)} right, {monotonic() - began:.0f} s"
    print(told, file=sys.stderr, flush=True)
    return asked
