"""The text of docs/gpu.md, from what runs have kept."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.lanes.claims import Claim, Seen, verdicts
from benchmarks.lanes.figures import Figures, Quantile, Share, figures
from benchmarks.lanes.kept import Kept, Run
from benchmarks.lanes.scenarios import SCENARIOS
from benchmarks.tables import table

_HEAD = """\
# On a GPU

<!-- Made by `benchmarks/gpu_report.py` from benchmarks/results/gpu/: change that, not this. -->

What one answer per question costs on real lanes ([lanes.md](lanes.md)), by each of the ways that there are to it:
the plain server, batch size 1, batch-invariant kernels, votes over copies sent together or apart, arbitration, pins.
"""

_NOTHING = "\nNo run on a GPU is kept yet.\n"

_METHOD = """\
## How it is measured

- `python benchmarks/gpu.py --fast LANE --serial LANE --invariant LANE` asks greedy completions of a fixed length,
  the same in every scenario: many prompts once in each of two rounds, each round in an order of its own, a few of
  them over and over beside the others. A lane is a running server or the command that starts it; the gateway is
  started anew for every scenario, with `memory://` and nothing set but `vote`.
- **Nothing is taken from the cache** (`cache-control: no-store`) but in *pinned*, so every answer is voted on anew;
  each scenario has a `cache_salt` of its own on vLLM, so that none finds the prefixes of another.
- **answers/s** is over both rounds, with as many clients for every scenario, however many samples each takes.
  A scenario ends after a fixed time; requests that are under way then are *cut*, count as no answers, and count in
  p50 and p99 as at least as long as they had taken: ≥ marks a quantile that such a request bounds.
- **texts** are the different ones that the worst of the repeated prompts got. **the same again** is the share of
  prompts whose first answers in both rounds are the same text, with its 95 % interval (Wilson).
- **decorrelated**: samples start half a second apart, each with a salt of its own.
- **The truth** about the rate that `measure` publishes is what the plain server did with the same prompts in two
  rounds.
- **Pinned** answers are asked for by one Python process, which is what bounds them.

Random weights (`python benchmarks/random_model.py FOLDER` makes a model of Qwen3-1.7B's shape) are the worst case:
near-ties everywhere, so that hardly an answer comes twice. A trained model has few near-ties, and what large ones do
lies between. A run that is cut off goes on where it was when it is called again; `--within 540` begins nothing that
may end later. `benchmarks/gpu_report.py` makes this page.
"""

_ENGINES = """\
## Engines on one model

`python benchmarks/backend.py`: the same prompts, tokens per second over all that are in flight, the median turn.
The PyTorch engine and transformers' continuous batching are called without HTTP; a server is asked over it.
"""


def page(runs: Sequence[Run], engines: Mapping[str, Any] | None) -> str:
    """The whole page; `engines` is what `benchmarks/backend.py` has kept."""
    parts = [_HEAD, *(_run(run) for run in runs)]
    if not runs:
        parts.append(_NOTHING.lstrip())
    if engines is not None:
        parts.append(f"{_ENGINES}\n{engine_table(engines)}\n\n{_engines_on(engines)}\n")
    return "\n".join([*parts, _METHOD])


def claim_table(run: Run) -> str:
    """Every claim, its bound, what was found, and whether it holds."""
    return table(("claim", "bound", "found", ""), (_claim_row(*each) for each in verdicts(run)))


def scenario_table(run: Run) -> str:
    """A line for each scenario that was measured."""
    head = (
        "", "answers/s", "of plain", "p50 ms", "p99 ms", "texts", "of copies", "the same again",
        "samples", "tokens/answer", "cut", "failed",
    )  # fmt: skip
    plain = _figures(run.scenarios.get("plain"))
    kept = [run.scenarios[scenario.name] for scenario in SCENARIOS if scenario.name in run.scenarios]
    return table(head, (_row(each, plain) for each in kept))


def engine_table(found: Mapping[str, Any]) -> str:
    """The PyTorch engine beside others."""
    head = ("engine", "in flight", "tokens/s", "slowest - fastest turn", "prompts with one answer")
    rows = [
        (
            run["engine"],
            str(run["in_flight"]),
            f"{run['tokens_per_second']:,.0f}",
            f"{run['slowest']:,.0f} - {run['fastest']:,.0f}",
            f"{run['prompts_with_one_answer']} of {run['prompts']}",
        )
        for run in found["runs"]
    ]
    return table(head, rows)


def read_runs(folder: Path) -> list[Run]:
    """All runs that are kept there, by name."""
    return [Run.load(path) for path in sorted(folder.glob("lanes*.json"))]


def _run(run: Run) -> str:
    about = run.about
    size = about["load"]
    title = about["about"] or about["model"]
    engines = ", ".join(f"{name}: {owner}" for name, owner in about["engines"].items())
    machine = about["machine"]
    asked = (
        f"{size['prompts']} prompts of {size['characters']} characters, {size['repeated']} of them "
        f"{size['copies']} times a round, {size['tokens']} tokens out, {size['in_flight']} clients"
    )
    on = f"{about['gpu'] or 'no GPU'}; {machine['processor']}, {machine['cores']} cores; {engines}; {about['date']}"
    return f"## {title}\n\n{asked}. {on}.\n\n{claim_table(run)}\n\n{scenario_table(run)}\n"


def _engines_on(found: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {text}" for name, text in found["machine"].items()) + "."


def _claim_row(claim: Claim, seen: Seen | None) -> Sequence[str]:
    if seen is None:
        return claim.title, claim.bound, "", "not measured"
    return claim.title, claim.bound, seen.shown, "holds" if seen.holds else "**does not hold**"


def _figures(kept: Kept | None) -> Figures | None:
    return None if kept is None else figures(kept)


def _row(kept: Kept, plain: Figures | None) -> Sequence[str]:
    found = figures(kept)
    title = kept.title if kept.is_complete else f"{kept.title} ({kept.fault or 'unfinished'})"
    if found is None:
        return (title, *[""] * 11)
    of_plain = f"{found.per_second / plain.per_second:.2f}" if plain is not None else ""
    return (
        title,
        f"{found.per_second:,.1f}",
        of_plain,
        _milliseconds(found.p50),
        _milliseconds(found.p99),
        str(found.most_texts),
        f"{found.copies:.0f}",
        _share(found.reproduced),
        f"{found.samples:.2f}" if found.samples else "",
        "" if found.tokens is None else f"{found.tokens:.0f}",
        str(found.cut),
        str(found.faults),
    )


def _milliseconds(found: Quantile) -> str:
    return f"{'≥ ' if found.is_bound else ''}{found.ms:,.{0 if found.ms >= 100 else 1}f}"


def _share(found: Share | None) -> str:
    if found is None:
        return ""
    return f"{found.share:.2f} ({found.low:.2f} - {found.high:.2f}, {found.prompts})"
