"""`python benchmarks/audit_proof.py`: for each model an audit, the metrics, two rounds of each policy, under load."""

import argparse
import asyncio
import json
import os
import re
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

from backend.train.problems import draw_problem, draw_question
from benchmarks.determinism import running
from benchmarks.machine import describe_machine
from benchmarks.proof.asking import IN_FLIGHT, WAYS, Asking, answer_of, ask_all, load
from benchmarks.proof.comparison import Line, foretold, share_same, table

_ROOT = Path(__file__).resolve().parent.parent.parent
_RESULTS, _DOCUMENT = _ROOT / "benchmarks/results/audit", _ROOT / "docs/audit.md"
_MEASURED = {"x-consistency-policy": "measured"}
_COMPARED = ("text", "answer")
_PATIENCE = 300.0  # seconds for the pairs of the metrics to come


@dataclass(frozen=True, slots=True)
class Trial:
    """A model and how it is asked."""

    model: str
    title: str
    max_tokens: int
    answer: str
    compared: tuple[str, ...]
    prompts: int


_TRIALS = (
    Trial("random", "random weights, the worst case", 32, "text", ("text",), 80),
    Trial("demo", "the trained demo model, the mild case", 160, "number", _COMPARED, 60),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, write the JSON, and put the tables into docs/audit.md."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="Takes about half an hour on two cores.")
    parser.add_argument("--prompts", type=int, help="of each model (default: 80 random, 60 demo)")
    parser.add_argument(
        "--copies", type=int, default=10, help="of each prompt apart in the audit (default: 10)"
    )
    parser.add_argument(
        "--model", choices=[trial.model for trial in _TRIALS], help="only this one (default: both)"
    )
    parser.add_argument(
        "--ports", type=int, nargs=3, default=(9801, 9802, 9803), help="backend, lane, gateway"
    )
    parser.add_argument("--tables", action="store_true", help="measure nothing, write what was kept")
    args = parser.parse_args(argv)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    _RESULTS.mkdir(parents=True, exist_ok=True)
    for trial in _TRIALS:
        if not args.tables and args.model in {None, trial.model}:
            found = _prove(trial, args.prompts or trial.prompts, args.copies, args.ports)
            found["command"] = f"python benchmarks/audit_proof.py {' '.join(sys.argv[1:])}".strip()
            (_RESULTS / f"{trial.model}-proof.json").write_text(json.dumps(found, indent=1) + "\n")
    _write()
    return 0


def _prove(trial: Trial, number: int, copies: int, ports: Sequence[int]) -> dict[str, Any]:
    prompts, began = _prompts(number), monotonic()
    with tempfile.TemporaryDirectory() as folder, _servers(trial, ports, Path(folder)) as urls:
        found = asyncio.run(_measure(trial, prompts, copies, urls, Path(folder)))
    return {
        "model": trial.model,
        "title": trial.title,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "prompts": number,
        "copies": copies,
        "max_tokens": trial.max_tokens,
        "seconds": round(monotonic() - began),
        "machine": describe_machine(),
        **found,
    }


def _prompts(number: int) -> list[str]:
    """Sums that the demo model can do, and random weights as well as anything; each once."""
    dice = Random(20261128)
    made: dict[str, None] = {}
    while len(made) < number:
        made[draw_question(dice, draw_problem(dice, fewest=4))[0]] = None
    return list(made)


@contextmanager
def _servers(trial: Trial, ports: Sequence[int], folder: Path) -> Iterator[tuple[str, str, str]]:
    backend, lane, gateway = (f"http://127.0.0.1:{port}" for port in ports)
    settings = folder / "scg.yaml"
    settings.write_text(
        "upstreams:\n"
        f"  - {{name: fast, url: {backend}}}\n"
        f"  - {{name: lane, url: {lane}, lane: reference, trust: on}}\n"
        "policies:\n"
        f"  measured: {{extends: single, measure: 1.0, measure_k: 5, answer: {trial.answer}}}\n"
    )
    torch = ["backend", "torch", "--model", trial.model, "--port"]
    commands = (
        ([*torch, str(ports[0]), "--max-batch-size", "16"], f"{backend}/health"),
        ([*torch, str(ports[1]), "--max-batch-size", "1"], f"{lane}/health"),
        (["gateway", "serve", "--config", str(settings), "--port", str(ports[2])], f"{gateway}/readyz"),
    )
    with ExitStack() as stack:
        for command, ready in commands:
            stack.enter_context(running(command, ready))
        yield backend, lane, gateway


async def _measure(
    trial: Trial, prompts: Sequence[str], copies: int, urls: tuple[str, ...], folder: Path
) -> dict[str, Any]:
    backend, lane, gateway = urls
    model = json.loads(await _get(f"{backend}/v1/models"))["data"][0]["id"]
    asking = Asking(gateway, model, trial.max_tokens, trial.answer)
    async with load(backend, model, trial.max_tokens):
        audit = await _audit(trial, prompts, copies, (backend, lane), folder)
        metrics = await _metrics(asking, prompts)
        rounds: dict[str, list[list[str]]] = {way.title: [] for way in WAYS}
        for again in range(2):
            for way in WAYS:
                at_once = max(1, IN_FLIGHT // way.at_once)
                rounds[way.title].append(await ask_all(asking, way.headers, prompts, at_once, again))
                _say(f"{trial.model}: {way.title}, round {again + 1} is in")
    lines = _lines(trial, audit, metrics, rounds)
    return {
        "lines": [asdict(line) | {"holds": line.holds} for line in lines],
        "metrics": metrics,
        "rounds": rounds,
    }


async def _audit(
    trial: Trial, prompts: Sequence[str], copies: int, urls: tuple[str, str], folder: Path
) -> dict[str, Any]:
    """The command itself, as a user runs it."""
    (folder / "prompts.txt").write_text("\n".join(prompts) + "\n")
    process = await asyncio.create_subprocess_exec(
        sys.executable, *("-m", "gateway", "audit", urls[0], "--reference", urls[1]),
        *("--prompts", str(folder / "prompts.txt")),
        *("--phases", "mixed,apart", "--concurrency", f"1,{IN_FLIGHT}", "--copies", str(copies)),
        *("--max-tokens", str(trial.max_tokens), "--answer", trial.answer, "--rate", "0", "--max-requests", "100000"),
        *("--out", str(folder / "audit")),
    )  # fmt: skip
    if await process.wait():
        sys.exit(f"the audit ended with {process.returncode}")
    kept = (folder / "audit.json").read_text()
    (_RESULTS / f"{trial.model}-audit.json").write_text(kept)
    found: dict[str, Any] = json.loads(kept)
    return found


async def _metrics(asking: Asking, prompts: Sequence[str]) -> dict[str, Any]:
    """What the gateway's summary says once each prompt was asked, and asked again later by itself."""
    await ask_all(asking, _MEASURED | {"cache-control": "no-cache"}, prompts, IN_FLIGHT, 7)
    deadline = monotonic() + _PATIENCE
    while monotonic() < deadline:
        summary = json.loads(await _get(f"{asking.url}/v1/consistency/summary"))
        found = [
            each for each in _rates(summary) if (each["policy"], each["spread"]) == ("measured", "apart")
        ]
        if found and found[0]["questions"] == len(prompts):
            rate: dict[str, Any] = found[0]
            return rate
        await asyncio.sleep(1)
    sys.exit(f"the metrics have not all of their pairs after {_PATIENCE:g} s")


def _rates(told: Any) -> Iterator[dict[str, Any]]:
    """Every rate in the summary, wherever it is."""
    if isinstance(told, dict) and {"spread", "questions", "rate"} <= told.keys():
        yield told
    elif isinstance(told, dict | list):
        for each in told.values() if isinstance(told, dict) else told:
            yield from _rates(each)


def _lines(
    trial: Trial, audit: dict[str, Any], metrics: dict[str, Any], rounds: dict[str, list[list[str]]]
) -> Iterator[Line]:
    for compared in trial.compared:
        rule = trial.answer if compared == "answer" else "text"
        for way in WAYS:
            one, other = ([answer_of(text, rule) for text in each] for each in rounds[way.title])
            seen = share_same(one, other)
            rate, low, high = foretold(audit, way.policy, way.spread, compared)
            yield Line(way.title, compared, "audit", rate, low, high, seen, len(one))
            if way.policy == "single" and rule == trial.answer:
                rate, (low, high) = metrics["rate"], metrics["interval"]
                yield Line(way.title, compared, "metrics", rate, low, high, seen, len(one))


async def _get(url: str) -> bytes:
    def fetch() -> bytes:
        with urllib.request.urlopen(url) as answer:
            body: bytes = answer.read()
        return body

    return await asyncio.to_thread(fetch)


def _write() -> None:
    """The tables of all that was measured, between the marks in the document."""
    parts = []
    for trial in _TRIALS:
        path = _RESULTS / f"{trial.model}-proof.json"
        if path.exists():
            found = json.loads(path.read_text())
            lines = [Line(**{k: v for k, v in line.items() if k != "holds"}) for line in found["lines"]]
            about = f"{found['prompts']} prompts, {found['copies']} copies apart, at most {found['max_tokens']} tokens"
            when = f"{found['date']}, {found['seconds'] / 60:.0f} minutes"
            parts.append(f"**{found['title']}**: {about}; {when}.\n\n{table(lines)}")
    text = _DOCUMENT.read_text()
    made = "<!-- proof -->\n\n" + "\n\n".join(parts) + "\n\n<!-- /proof -->"
    _DOCUMENT.write_text(re.sub(r"<!-- proof -->.*<!-- /proof -->", lambda _: made, text, flags=re.DOTALL))
    print("\n\n".join(parts))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
