"""docs/accuracy.md and its plot, from what was found."""

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.votes.findings import auroc_interval

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 640, 300, 56, 34, 44
_INK, _FAINT, _COLOURS = "#1f2328", "#d0d7de", {"maj@5": "#0969da", "maj@15": "#bc4c00"}

_HEAD = """\
# Is the majority right more often?

<!-- Made by `benchmarks/accuracy.py` from benchmarks/results/votes/accuracy.json: change that, not this. -->

A vote makes an answer more reproducible; whether it makes it more often right depends on the model having several
ways to the right answer, and none to the same wrong one. The demo model was left unfinished so that there is room.
Sums of 3 to 7 numbers that it has never seen, `answer: number`, through the gateway on the PyTorch backend. They were
chosen so that it is right about three times in four: on longer ones (6 to 9 numbers of two digits) a run on 250
problems gave .60 for one sample and .76 for maj@15.
"""

_REPEATED = """
The stop rules name what the full vote of *their* samples would. *as all samples say* compares with another run,
whose samples a batching backend in bfloat16 need not repeat to the last token, even with the same seeds."""

_ANOTHER_RUN = """
How far do such figures carry? Another run, with 250 sums of another draw and the model in float16 instead of bfloat16,
had one sample right .773 of the time, much as here, and maj@15 .944 (0.91 to 0.97), after 7.5 samples under
`beta:0.95`, with an AUROC of .911. Its interval and that of the table just overlap. Two hundred problems tell a share
to within five points, and whether the rest is due to the sums or to the number format was not measured apart: take
the rise from one sample to fifteen for what was shown, and its height for what it was on these sums."""


def page(found: Mapping[str, Any]) -> str:
    """The whole page."""
    return "\n".join([
        _HEAD,
        f"{found['problems']} problems, temperature {found['temperature']:g}, {found['date']}.\n",
        "| | right | 95 % | samples per answer | as all samples say |",
        "|---|--:|--:|--:|--:|",
        *(_row(line) for line in found["lines"]),
        _REPEATED,
        "\n![Accuracy by agreement](../benchmarks/results/votes/accuracy.svg)\n",
        "Agreement is worth as much as the vote: it tells which answers to trust.\n",
        "| agreement | " + " | ".join(f"right under {title} (answers)" for title in found["agreement"]) + " |",
        "|---|" + "--:|" * len(found["agreement"]),
        *_bucket_rows(found["agreement"]),
        "",
        *(
            f"A right answer has more agreement than a wrong one {_share(each['auroc'])} of the time under {title}"
            f" (AUROC{_auroc_interval(found, title)})."
            for title, each in found["agreement"].items()
        ),
        _ANOTHER_RUN,
        (f"\n`{found['command']}` on {found['machine']['processor']}, {found['machine']['cores']} cores, device "
        f"{found['device']}, {found['seconds']} s. *single* is the mean of five samples a problem."),
    ]) + "\n"  # fmt: skip


def _row(line: Mapping[str, Any]) -> str:
    low, high = line["interval"]
    same = "" if line["same_as_all"] is None else _share(line["same_as_all"])
    cells = (
        line["title"],
        _share(line["accuracy"]),
        f"{low:.2f} to {high:.2f}",
        f"{line['samples']:.1f}",
        same,
    )
    return f"| {' | '.join(cells)} |"


def _bucket_rows(agreement: Mapping[str, Any]) -> Iterator[str]:
    columns = [each["buckets"] for each in agreement.values()]
    for row in zip(*columns, strict=True):
        low, high = row[0]["low"], row[0]["high"]
        name = "1" if low == high else f"{low:g} to {high:g}"
        cells = (
            f"{_share(cell['accuracy'])} ({cell['answers']})" if cell["answers"] else "(0)" for cell in row
        )
        yield f"| {name} | " + " | ".join(cells) + " |"


def _auroc_interval(found: Mapping[str, Any], title: str) -> str:
    """In words, where there are right and wrong answers."""
    buckets, value = found["agreement"][title]["buckets"], found["agreement"][title]["auroc"]
    answers = sum(bucket["answers"] for bucket in buckets)
    right = round(sum(bucket["answers"] * (bucket["accuracy"] or 0) for bucket in buckets))
    if value is None or not 0 < right < answers:
        return ""
    low, high = auroc_interval(value, right, answers - right)
    return f", 95 %: {low:.2f} to {high:.2f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}".removeprefix("0")


def plot(found: Mapping[str, Any]) -> str:
    """Accuracy by agreement, a line for each k, as SVG."""
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
            f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="12" fill="{_INK}">'
        ),
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        '<text x="12" y="20" font-weight="bold">Share of right answers by agreement</text>',
        *_grid(),
    ]
    for at, (title, each) in enumerate(found["agreement"].items()):
        parts += _curve(title, each["buckets"], at)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _grid() -> Iterator[str]:
    for step in range(6):
        y, x, value = _y(step / 5), _x(step / 5), f"{step / 5:.1f}"
        yield f'<line x1="{_LEFT}" x2="{_WIDTH - 20}" y1="{y:.0f}" y2="{y:.0f}" stroke="{_FAINT}"/>'
        yield f'<text x="{_LEFT - 8}" y="{y + 4:.0f}" text-anchor="end">{value}</text>'
        yield f'<text x="{x:.0f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{value}</text>'
    yield f'<text x="{_WIDTH / 2:.0f}" y="{_HEIGHT - 8}" text-anchor="middle">agreement</text>'


def _curve(title: str, buckets: list[Mapping[str, Any]], at: int) -> Iterator[str]:
    colour = _COLOURS.get(title, _INK)
    points = [
        (_x((b["low"] + b["high"]) / 2), _y(b["accuracy"]), b["answers"]) for b in buckets if b["answers"]
    ]
    path = " ".join(f"{x:.0f},{y:.0f}" for x, y, _ in points)
    yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
    for x, y, answers in points:
        yield f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{2 + answers**0.5 / 3:.1f}" fill="{colour}"/>'
    yield f'<text x="{_WIDTH - 100}" y="{_HEIGHT - _BOTTOM - 30 + 16 * at}" fill="{colour}">{title}</text>'


def _x(share: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - 30) * share


def _y(share: float) -> float:
    return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - share)
