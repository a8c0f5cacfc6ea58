"""The text of docs/benchmarks.md, and the files that a run leaves."""

from pathlib import Path

from benchmarks import results, tables
from benchmarks.chart import chart
from benchmarks.results import Results

DOCUMENT = Path(__file__).resolve().parent.parent / "docs/benchmarks.md"

_HEAD = """\
# Benchmarks

<!-- Made by `benchmarks/report.py` from a file in benchmarks/results/: change that, not this. -->

`make bench` measures the gateway on your machine, beside the shortest programs that do part of its work, and
beside other gateways where those are at hand. It takes about 15 minutes; `make bench ARGS=--quick` takes 2,
`make bench ARGS=--help` tells the rest.
"""

_NOTHING = "No full run is kept yet.\n"

_METHOD = """\
## How it is measured

- **One machine, loopback only.** The upstream is nginx with one canned vLLM answer of about 700 bytes, so that
  what is seen is the gateway's own work. wrk loads with one thread; it and the upstream compete with the subject for
  the same cores. What is too slow to end two requests a connection in a run is left out at 256 connections.
- **In turns.** Every subject runs once, then every subject once more, and so on, so that drift and noise hit all
  alike. Ratios are made within a turn; figures are medians over turns. *spread* is the distance between the
  extreme turns as a share of the median, *others* the share of the machine that went to anything but the subject,
  wrk and the servers behind it, in the worst turn. Before each run the harness waits for a quiet machine, with
  bounded patience.
- **CPU µs/request** is user and system time of the subject's whole process group (`/proc/PID/stat`) over the run,
  divided by the requests. It is the steadiest figure, and the one that most goals are about.
- **The gateway** is `scg serve` with one worker, default settings, log and metrics on, but for what the mode is about:
  `when: deterministic` and a sampled request to be passed through, `k: 1`, `stop: all`, or Redis without the layer
  in memory. *no cache* is `cache-control: no-store`. *16 copies* has a process of its own, since the answers that it
  pins fill memory, up to `cache.memory`. Before a mode is measured, `x-consistency-source` is checked to be what the
  mode is called; *upstream calls* are counted by the gateway itself.
- **The floors** (`benchmarks/programs/`): nginx `proxy_pass` with kept connections is the machine's, the shortest
  sensible aiohttp proxy and the shortest aiohttp + Redis GET are the language's. All of them on uvloop, without logs.
- **Streams** come from an upstream of our own whose chunks carry the time at which they were sent. *added* is against
  the same streams read directly in the same turn. *merged* chunks came in the same read as the one before.
- **Start-up** is from starting the process to the first 200 of `/healthz`.
- **Guard**: `make bench` fails when a request of a hot path runs more than 10 % more interpreter instructions or
  calls than `benchmarks/guard.json` says; `make bench ARGS=--update-guard` takes the counts as the new baseline.

## What the figures do not say

- A real model takes seconds; whatever a gateway adds is then below what anybody notices. The figures say how many
  requests one core can take, and that the gateway is not what limits a GPU.
- The floors and the other gateways do less, or other things: none of them votes, and their hits are made under keys
  that leave out part of the request, or without coalescing, headers or metrics.
- Where the subject runs on several threads, requests per second are not per core; CPU per request is.
- Latencies at 256 connections are mostly queueing: requests per second and latency are the same figure there.
- Loopback has no network in it, and 2 cores shared with the load are not a server.
"""


def keep(found: Results) -> Path:
    """Write the run to benchmarks/results/: JSON, tables and chart. Returns the JSON's path."""
    path = results.write(found)
    path.with_suffix(".md").write_text(_figures(found))
    if picture := chart(found):
        path.with_suffix(".svg").write_text(picture)
    return path


def page(found: Results | None, stem: str) -> str:
    """The whole page; `stem` names the run's files."""
    if found is None:
        return f"{_HEAD}\n{_NOTHING}\n{_METHOD}"
    picture = f"![CPU per request](../benchmarks/results/{stem}.svg)\n\n" if chart(found) else ""
    return f"{_HEAD}\n{picture}{_figures(found)}\n{_METHOD}"


def publish(path: Path | None) -> None:
    """Write docs/benchmarks.md from a kept run, or without figures."""
    DOCUMENT.write_text(page(results.read(path) if path else None, path.stem if path else ""))


def _figures(found: Results) -> str:
    """Everything that was measured, in tables, and on what."""
    parts = [
        f"## Goals\n\n{tables.goal_table(found)}",
        f"## Requests\n\n{tables.load_table(found)}",
        f"## Streams\n\n{tables.stream_table(found)}",
        f"## Memory and start-up\n\n{tables.rest(found)}",
        f"## Machine\n\n{_machine(found)}",
    ]
    return "\n\n".join(parts) + "\n"


def _machine(found: Results) -> str:
    about = found.machine
    versions = ", ".join(f"{name} {text}" for name, text in found.versions.items())
    lines = [
        f"- {about['processor']}, {about['cores']} cores, {about['memory']}, {about['system']}",
        f"- {versions}",
        f"- {found.date}, `{found.command}`",
        *(f"- {note}" for note in found.notes),
    ]
    return "\n".join(lines)
