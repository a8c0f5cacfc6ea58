"""Results as tables, in text that is Markdown as well."""

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median

from benchmarks.figures import Figure, figure
from benchmarks.goals import GOALS, Goal
from benchmarks.results import LoadRun, Results, StreamRun

_WORDS = ("passed", "missed", "not measured")


def goal_table(results: Results) -> str:
    """Every goal, what was found, and whether it is met."""
    head = ("goal", "bound", "found", "turns from - to", "")
    rows = [_goal_row(goal, goal.reading(results)) for goal in GOALS]
    told = Counter(row[-1].strip("*") for row in rows)
    return f"{table(head, rows)}\n\n{', '.join(f'{told[word]} {word}' for word in _WORDS)}."


def load_table(results: Results) -> str:
    """Throughput, latency and cost of every subject at every number of connections."""
    head = (
        "", "connections", "requests/s", "p50 ms", "p99 ms", "CPU µs/request", "spread",
        "memory MB", "upstream calls", "errors", "others",
    )  # fmt: skip
    rows = results.load_rows()
    return table(head, (_load_row(results, *row) for row in rows))


def stream_table(results: Results) -> str:
    """What each subject adds to streams."""
    head = (
        "", "streams", "added to first chunk ms (p99)", "added per chunk ms (p99)", "CPU µs/chunk", "spread",
        "chunks", "merged", "lost", "failed",
    )  # fmt: skip
    return table(head, (_stream_row(results, *row) for row in results.stream_rows()))


def rest(results: Results) -> str:
    """Memory and start-up in a line each."""
    lines = []
    if memory := results.memory:
        lines.append(
            f"Resident memory, default settings: {memory.idle_mb:.0f} MB idle, {memory.loaded_mb:.0f} MB under "
            f"load, {memory.after_mb:.0f} MB after."
        )
    if results.endurance:
        first, last = results.endurance[0], results.endurance[-1]
        lines.append(
            f"Over hits in a row: {first.rss_mb:.1f} MB after {first.requests:,}, "
            f"{last.rss_mb:.1f} MB after {last.requests:,}."
        )
    if start := figure(results.starts):
        lines.append(
            f"From start to the first answer: {start.middle:.2f} s ({start.low:.2f} - {start.high:.2f})."
        )
    return "\n".join(lines)


def _goal_row(goal: Goal, found: Figure | None) -> Sequence[str]:
    bound = f"{goal.sign} {goal.bound:g} {goal.unit}"
    if found is None:
        return goal.title, bound, "", "", "not measured"
    ends = f"{found.low:.2f} - {found.high:.2f}"
    return goal.title, bound, f"{found.middle:.2f}", ends, "passed" if goal.is_met(found) else "**missed**"


def _load_row(results: Results, subject: str, connections: int) -> Sequence[str]:
    runs = results.load_runs(subject, connections)

    def middle(field: str) -> float:
        return median(float(getattr(run, field)) for run in runs)

    return (
        results.titles[subject],
        str(connections),
        f"{middle('rate'):,.0f}",
        f"{middle('p50_us') / 1e3:.2f}",
        f"{middle('p99_us') / 1e3:.2f}",
        f"{middle('cpu_us'):,.0f}",
        _spread(runs),
        f"{middle('rss_mb'):.0f}",
        "" if runs[0].calls is None else f"{middle('calls'):.2f}",
        str(sum(run.errors for run in runs)),
        f"{max(run.others for run in runs):.0%}",
    )


def _stream_row(results: Results, subject: str, streams: int) -> Sequence[str]:
    runs, direct = results.stream_runs(subject, streams), results.stream_runs("direct", streams)

    def added(field: str) -> float:
        pairs = zip(runs, direct, strict=False)
        return median(float(getattr(run, field) - getattr(other, field)) for run, other in pairs)

    counts = [str(sum(getattr(run, name) for run in runs)) for name in ("chunks", "merged", "lost", "failed")]
    if counts[0] == "0":
        return results.titles[subject], str(streams), "", "", "", "", *counts
    return (
        results.titles[subject],
        str(streams),
        f"{added('first_ms'):.2f} ({added('first_p99_ms'):.2f})",
        f"{added('delay_ms'):.2f} ({added('delay_p99_ms'):.2f})",
        f"{median(run.cpu_us for run in runs):.0f}",
        _spread(runs),
        *counts,
    )


def _spread(runs: Sequence[LoadRun] | Sequence[StreamRun]) -> str:
    """How far the turns lie apart in processor time."""
    found = figure(run.cpu_us for run in runs)
    return f"{found.spread:.0%}" if found else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table with columns that line up; all but the first to the right."""
    lines = [head, *rows]
    widths = [max(3, *(len(line[at]) for line in lines)) for at in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(_line(line, widths) for line in (lines[0], rule, *lines[1:]))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return f"| {' | '.join(padded)} |"
