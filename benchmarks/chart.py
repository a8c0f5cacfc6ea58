"""Processor time per request as an SVG bar chart. The axis is logarithmic: subjects lie four decades apart."""

from collections.abc import Iterator, Sequence
from html import escape
from math import ceil, log10
from statistics import median

from benchmarks.results import Results
from benchmarks.subjects import MODES, SECTIONS

_AT = 32  # connections
_WIDTH, _LEFT, _RIGHT = 760, 230, 70
_ROW, _BAR = 22, 14
_INK, _FAINT, _OUR_COLOUR, _THEIR_COLOUR = "#1f2328", "#d0d7de", "#0969da", "#8c959f"

Bar = tuple[str, float, bool]  # title, microseconds, whether it is ours


def chart(results: Results) -> str:
    """The chart; empty if nothing of it was measured."""
    sections = [(title, _bars(results, names)) for title, names in SECTIONS.items()]
    return draw([(title, bars) for title, bars in sections if bars])


def _bars(results: Results, names: Sequence[str]) -> list[Bar]:
    """The measured ones, the cheapest first."""
    costs = {name: [run.cpu_us for run in results.load_runs(name, _AT)] for name in names}
    bars = [(results.titles[name], median(cost), name in MODES) for name, cost in costs.items() if cost]
    return sorted(bars, key=lambda bar: bar[1])


def draw(sections: Sequence[tuple[str, Sequence[Bar]]]) -> str:
    """Bars under the title of their section, over one axis."""
    costs = [cost for _, bars in sections for _, cost, _ in bars]
    if not costs:
        return ""
    decades = max(1, ceil(log10(max(costs))))
    height = _ROW * (len(costs) + 2 * len(sections) + 2)
    parts = [*_frame(height, decades), *_body(sections, decades)]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _frame(height: int, decades: int) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="12" fill="{_INK}">'
    )
    yield f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>'
    yield f'<text x="12" y="{_ROW}" font-weight="bold">CPU µs per request, {_AT} connections (logarithmic)</text>'
    for decade in range(decades + 1):
        x = _place(10**decade, decades)
        yield f'<line x1="{x:.0f}" x2="{x:.0f}" y1="{1.6 * _ROW:.0f}" y2="{height - _ROW}" stroke="{_FAINT}"/>'
        yield f'<text x="{x:.0f}" y="{height - 6}" text-anchor="middle">{10**decade:,}</text>'


def _body(sections: Sequence[tuple[str, Sequence[Bar]]], decades: int) -> Iterator[str]:
    y = 2 * _ROW
    for title, bars in sections:
        y += _ROW
        yield f'<text x="12" y="{y - 6}" font-style="italic">{escape(title)}</text>'
        for bar in bars:
            yield _bar(bar, y, _place(bar[1], decades))
            y += _ROW


def _bar(bar: Bar, y: int, end: float) -> str:
    title, cost, is_ours = bar
    colour = _OUR_COLOUR if is_ours else _THEIR_COLOUR
    return (
        f'<text x="{_LEFT - 8}" y="{y + 11}" text-anchor="end">{escape(title)}</text>'
        f'<rect x="{_LEFT}" y="{y}" width="{max(1.0, end - _LEFT):.1f}" height="{_BAR}" fill="{colour}"/>'
        f'<text x="{end + 6:.1f}" y="{y + 11}">{cost:,.0f}</text>'
    )


def _place(cost: float, decades: int) -> float:
    """Where on the axis, which begins at 1 µs."""
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * max(0.0, log10(max(cost, 1))) / decades
