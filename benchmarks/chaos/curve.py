"""Resident memory over time as an SVG, with the faults under it."""

from collections.abc import Iterator
from html import escape
from math import ceil

from benchmarks.chaos.run import Outcome

_WIDTH, _HEIGHT = 760, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 20, 40, 74
_INK, _FAINT, _LINE, _FAULT = "#1f2328", "#d0d7de", "#0969da", "#ffdfd6"
_STEPS = 5


def draw(outcome: Outcome) -> str:
    """The picture."""
    return "\n".join([*_parts(outcome), "</svg>"]) + "\n"


def _parts(outcome: Outcome) -> Iterator[str]:
    memory = outcome.memory
    longest = max((at for at, _ in memory.points), default=1.0) or 1.0
    top = ceil(memory.most / 50) * 50
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="12" fill="{_INK}">'
    )
    yield f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>'
    yield '<text x="12" y="22" font-weight="bold">Resident memory of the gateway, MB</text>'
    for number, window in enumerate(outcome.windows):
        left, right = (_x(at - memory.began, longest) for at in (window.began, window.ended))
        yield (
            f'<rect x="{left:.1f}" y="{_TOP}" width="{max(right - left, 1):.1f}" '
            f'height="{_HEIGHT - _TOP - _BOTTOM}" fill="{_FAULT}"/>'
        )
        low = _HEIGHT - _BOTTOM + 16 + 14 * (number % 3)
        yield f'<text x="{left:.1f}" y="{low}" font-size="9">{escape(window.fault.name)}</text>'
    for step in range(_STEPS + 1):
        megabytes = top * step / _STEPS
        y = _y(megabytes, top)
        yield f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{_FAINT}"/>'
        yield f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{megabytes:.0f}</text>'
    points = " ".join(f"{_x(at, longest):.1f},{_y(megabytes, top):.1f}" for at, megabytes in memory.points)
    yield f'<polyline points="{points}" fill="none" stroke="{_LINE}" stroke-width="1.5"/>'
    yield f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 8}" text-anchor="end">{longest:.0f} seconds</text>'


def _x(at: float, longest: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * at / longest


def _y(megabytes: float, top: float) -> float:
    return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - megabytes / top)
