"""The text of docs/gpu.md, from what runs have kept."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.lanes.claims import Claim, Seen, verdicts
from benchmarks.lanes.figures import Figures, Quantile, Share, figures
from benchmarks.lanes.kept import Kept, Run
from benchmarks.lanes.questions import in_words
from benchmarks.lanes.scenarios import SCENARIOS
from benchmarks.tables import table

_HEAD = """\
# On a GPU

<!-- Made by `benchmarks/gpu_report.py` from benchmarks/results/gpu/: change that, not this. -->

What one answer per question costs on real lanes ([lanes.md](lanes.md)), by each of the ways that there are to it:
the plain server, batch size 1, batch-invariant kernels, votes over copies sent together or apart, arbitration, pins.
"""

_NOTHING = "No run on a GPU is kept yet.\n"

_FINDINGS = """\
## What this says

- **The model decides whether there is anything to cure.** With random weights hardly an answer comes twice. The
  trained model's short sums came out the same every time: 37,695 answers to 2,000 prompts, on all three lanes and with
  no hit among them, one text each. There a vote costs a third of the answers and tells nothing; what is worth its price
  is to know that it is so, by `measure` or by `scg audit`. Large models and long answers lie between.
- **Where there is a batch-invariant lane, asking it alone is the cheapest way to one text.** `reference` gives the
  same text whenever it is asked; of all the others only a pin and batch size 1 do. `strict` in front of the same lane
  costs more and promises less: what its samples agree on is answered without asking the lane.
- **Copies sent together agree with each other, not with tomorrow's.** Compare *unanimous* with *the same again* on
  random weights: three copies at once hardly ever differ, and a second round answers most prompts differently all the
  same. Half a second apart they differ as the rounds do. That is why the consistency rate is that of pairs taken
  `apart`.
- **Voting does not make near-ties reproducible; a pin does.** A vote finds the mode of what comes often, and with
  random weights hardly a text comes twice. What voting is for is answers at a temperature, engines without such
  kernels, and knowing the rate.
- **Knowing the rate is cheap**: `measure: 0.05` costs the tokens of the samples that it takes, about a tenth more.
  Many of them are taken after a round's end, so that answers/s do not show all of it.
- **Ratios move by a fifth from round to round** on the trained model, whose answers take half a second: with rounds of
  5 s instead of 15 to 20 the plain server over `measure: 0.05` was 1.26, and pinned answers were 19.7 times as many.
"""

_FIRST_TOKEN = """\
## The first token

`python benchmarks/first_token.py --device cuda`, the demo model on the PyTorch backend, median of {turns} turns:
straight {straight:.1f} ms, through the gateway {one:.1f} ms with one sample, {three:.1f} ms with three.
"""

_METHOD = """\
## How it is measured

- `python benchmarks/gpu.py --fast LANE --serial LANE --invariant LANE` asks greedy completions, of a fixed length or
  of sums that the model ends itself, the same in every scenario: many prompts once in each of two rounds, each round
  in an order of its own, a few of them over and over beside the others. A lane is a running server or the command that
  starts it; the gateway is started anew for every scenario, with `memory://` and nothing set but `vote`.
- **Nothing is taken from the cache** (`cache-control: no-store`) but in *pinned*, so every answer is voted on anew;
  each scenario has a `cache_salt` of its own on vLLM, so that none finds the prefixes of another.
- **answers/s** is over both rounds, with as many clients for every scenario, however many samples each takes.
  A scenario ends after a fixed time; requests that are under way then are *cut*, count as no answers, and count in
  p50 and p99 as at least as long as they had taken: ≥ marks a quantile that such a request bounds.
- **texts** are the different ones that the worst of the repeated prompts got. **the same again** is the share of
  prompts whose first answers in both rounds are the same text, with its 95 % interval (Wilson).
- **unanimous** is the share of votes whose samples all agreed. `majority` stops as soon as it is decided, so two of
  three, or three of five, are often all that it took.
- **decorrelated**: samples start half a second apart, each with a salt of its own.
- **The truth** about the rate that `measure` publishes is what the plain server did with the same prompts in two
  rounds.
- **Pinned** answers are asked for by one Python process, which is what bounds them.

Random weights (`python benchmarks/random_model.py FOLDER` makes a model of Qwen3-1.7B's shape) are the worst case:
near-ties everywhere. The demo model (`--questions sums`) is the mild one. A run that is cut off goes on where it was
when it is called again; `--within 540` begins nothing that may end later. `benchmarks/gpu_report.py` makes this page.
"""

_ENGINES = """\
## Engines on one model

`python benchmarks/backend.py`: the same prompts, tokens per second over all that are in flight, the median turn.
The PyTorch engine and transformers' continuous batching are called without HTTP; a server is asked over it. Both
launch each kernel by itself, and so wait for the processor; vLLM replays CUDA graphs. One answer per prompt is a
promise of batch-invariant only; elsewhere it means that all turns happened to make up the same batches.
"""


_COLUMNS = (
    "", "answers/s", "of plain", "p50 ms", "p99 ms", "texts", "of copies", "the same again",
    "unanimous", "samples", "tokens/answer", "cut", "failed",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """All that is kept: of lanes, of `benchmarks/backend.py` and of `benchmarks/first_token.py`, as JSON."""

    runs: Sequence[Run]
    engines: Sequence[Mapping[str, Any]] = ()
    first_token: Mapping[str, Any] | None = None


def page(found: Found) -> str:
    """The whole page."""
    parts = [_HEAD, *(_run(run) for run in found.runs)]
    parts.append(_FINDINGS if found.runs else _NOTHING)
    if found.engines:
        parts.append("\n".join([_ENGINES, *map(_engines, found.engines)]))
    if found.first_token is not None:
        parts.append(_first_token(found.first_token))
    return "\n".join([*parts, _METHOD])


def claim_table(run: Run) -> str:
    """Every claim, its bound, what was found, and whether it holds."""
    return table(("claim", "bound", "found", ""), (_claim_row(*each) for each in verdicts(run)))


def scenario_table(run: Run) -> str:
    """A line for each scenario that was measured."""
    plain = _figures(run.scenarios.get("plain"))
    kept = [run.scenarios[scenario.name] for scenario in SCENARIOS if scenario.name in run.scenarios]
    return table(_COLUMNS, (_row(each, plain) for each in kept))


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
        for run in sorted(found["runs"], key=lambda run: int(run["in_flight"]))
    ]
    return table(head, rows)


def read(folder: Path) -> Found:
    """All that is kept there, by name."""
    first = folder / "first_token.json"
    return Found(
        [Run.load(path) for path in sorted(folder.glob("lanes*.json"))],
        [json.loads(path.read_text()) for path in sorted(folder.glob("backend*.json"))],
        json.loads(first.read_text()) if first.exists() else None,
    )


def _run(run: Run) -> str:
    about = run.about
    title = about["about"] or about["model"]
    engines = ", ".join(f"{name}: {owner}" for name, owner in about["engines"].items())
    machine = about["machine"]
    on = f"{about['gpu'] or 'no GPU'}; {machine['processor']}, {machine['cores']} cores; {engines}; {about['date']}"
    return f"## {title}\n\n{in_words(about['load'])}. {on}.\n\n{claim_table(run)}\n\n{scenario_table(run)}\n"


def _engines(found: Mapping[str, Any]) -> str:
    on = found["machine"]
    versions = f"torch {on['torch']}, transformers {on['transformers']}"
    told = [f"{on['model']}, {found['tokens']} tokens out, {on['device']}, {versions}."]
    if check := found.get("check"):
        told.append(
            f"`--check`: bits of a logit moved in {check['invariant']} of {check['rounds']} random compositions "
            f"batch-invariant, in {check['plain']} plain."
        )
    return "\n".join([engine_table(found), "", *told, ""])


def _first_token(found: Mapping[str, Any]) -> str:
    straight, one, three = (1e3 * found["seconds"][way] for way in ("straight", "k=1", "k=3"))
    return _FIRST_TOKEN.format(turns=found["turns"], straight=straight, one=one, three=three)


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
        return (title, *[""] * (len(_COLUMNS) - 1))
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
        "" if found.unanimous is None else f"{found.unanimous:.2f}",
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
