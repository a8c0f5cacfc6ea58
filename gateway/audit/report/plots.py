"""Charts as SVG for a page: colours come from its style sheet, so that they follow light and dark.

Small enough to be read on a phone. A series is told by its marker as well as by its colour.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import cos, pi, sin

from gateway.calling.bootstrap import Rate

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 420, 270, 40, 14, 14, 46
_ROW = 46  # the height of one, where each item has a row
_KEY = 18  # and of a line of the key
_STEPS = tuple(at / 5 for at in range(6))


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one kind: places on the x axis, from 0 to 1, and shares with their intervals."""

    label: str
    points: tuple[tuple[float, float, float, float], ...]  # x, share, low, high
    joined: bool = True
    markers: bool = True


def rates(label: str, found: Sequence[tuple[float, Rate | None]], *, joined: bool = True) -> Series:
    """A series of rates; those that are not known are left out."""
    points = tuple((x, rate.value, rate.low, rate.high) for x, rate in found if rate is not None)
    return Series(label, points, joined)


def chart(
    name: str, title: str, series: Sequence[Series], ticks: Sequence[tuple[float, str]], x_label: str
) -> str:
    """Shares from 0 to 1 over an x axis with these ticks. `name` is unique on the page."""
    shown = [each for each in series if each.points]
    parts: list[str] = []
    for step in _STEPS:
        parts.append(_line("grid", _LEFT, _up(step), _WIDTH - _RIGHT, _up(step)))
        parts.append(_text("axis end", _LEFT - 6, _up(step) + 4, f"{step:.1f}"))
    parts += [_text("axis middle", _across(x), _HEIGHT - _BOTTOM + 18, text) for x, text in ticks]
    parts.append(_text("axis middle", _across(0.5), _HEIGHT - 8, x_label))
    for at, each in enumerate(shown):
        parts += [*_drawn(each, at), *_key(at, each.label, _HEIGHT + 10 + _KEY * at)]
    return _svg(name, title, shown, _HEIGHT + _KEY * len(shown), parts)


def rows(name: str, title: str, labels: Sequence[str], series: Sequence[Series]) -> str:
    """A row for each label, shares across. Each series has a point in each row, whose x is the row's number."""
    bottom = _TOP + _ROW * len(labels)
    parts: list[str] = []
    for step in _STEPS:
        parts.append(_line("grid", _across(step), _TOP, _across(step), bottom))
        parts.append(_text("axis middle", _across(step), bottom + 16, f"{step:.1f}"))
    parts += [_text("label", _LEFT, _TOP + _ROW * at + 15, label) for at, label in enumerate(labels)]
    for number, each in enumerate(series):
        for row, share, low, high in each.points:
            y = _TOP + _ROW * row + 25 + 11 * number
            parts.append(_line(f"s{number} whisker", _across(low), y, _across(high), y))
            parts.append(_marker(number, _across(share), y))
        parts += _key(number, each.label, bottom + 38 + _KEY * number)
    return _svg(name, title, series, bottom + 32 + _KEY * len(series), parts)


def _svg(name: str, title: str, series: Sequence[Series], height: int, parts: Sequence[str]) -> str:
    """The whole, with the same in words for whoever does not see it."""
    described = "; ".join(
        f"{each.label}: {', '.join(f'{share:.2f}' for _, share, _, _ in each.points)}" for each in series
    )
    return "\n".join([
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-labelledby="{name}-t {name}-d">',
        f'<title id="{name}-t">{escape(title)}</title><desc id="{name}-d">{escape(described)}</desc>',
        *parts,
        "</svg>",
    ])  # fmt: skip


def _drawn(series: Series, at: int) -> Iterator[str]:
    places = [(_across(x), _up(share), _up(low), _up(high)) for x, share, low, high in series.points]
    if series.joined and len(places) > 1:
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in places)
        yield f'<polyline class="s{at} line" points="{points}"/>'
    for x, y, low, high in places if series.markers else ():
        yield _line(f"s{at} whisker", x, low, x, high)
        yield _marker(at, x, y)


def _key(at: int, label: str, y: float) -> Iterator[str]:
    yield _marker(at, _LEFT + 6, y - 4)
    yield _text("label", _LEFT + 18, y, label)


def _marker(at: int, x: float, y: float) -> str:
    """A disc, a square, a triangle, a diamond."""
    if at % 4 == 0:
        return f'<circle class="s{at} mark" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'
    corners = (4, 3, 4)[at % 4 - 1]
    turn = pi / 4 if at % 4 == 1 else 0.0
    points = " ".join(
        f"{x + 5.7 * sin(turn + angle):.1f},{y - 5.7 * cos(turn + angle):.1f}"
        for angle in (2 * pi * corner / corners for corner in range(corners))
    )
    return f'<polygon class="s{at} mark" points="{points}"/>'


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(kind: str, x: float, y: float, text: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _across(share: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * share


def _up(share: float) -> float:
    return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - share)
