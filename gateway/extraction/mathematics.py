r"""Mathematical answers: LaTeX in, one spelling for each value out. Runs in the worker only.

math-verify's own `verify` compares two answers, and is neither symmetric (`1<x<2` equals `(1,2)`, but not
the other way round) nor transitive (it rounds to six digits), so votes counted by it would depend on their
order. Here math-verify only finds and parses; what decides is the canonical form of the parsed value.
Floats are the decimals that were written, nothing is rounded, and `x = 5` is 5.
"""

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import sympy
from math_verify import LatexExtractionConfig, parse
from sympy.core.relational import Relational
from sympy.logic.boolalg import BooleanAtom

from gateway.core.answer.boxed import last_boxed
from gateway.core.answer.number import canonical_fraction, last_number, sole_number

_LONGEST = 4096  # characters at the end of a text without a box; math-verify's patterns are not linear
_COMMAND = re.compile(r"\\[A-Za-z]+")
_BASE = re.compile(r"[0-9]\s*_")  # 12_3, which the parser reads as 12
_UNORDERED = (sympy.FiniteSet, sympy.Union, sympy.Intersection, sympy.And, sympy.Or)
_WORD = re.compile(r"[A-Za-z]{2}")


def canonical_math(text: str) -> str | None:
    r"""The value of the last `\boxed{…}`, else of a bare formula, the last formula, or the last number."""
    boxed = last_boxed(text)
    formula = boxed if boxed is not None else _bare(text)
    if formula is not None:
        return sole_number(formula) or _canonical(_parsed(rf"\boxed{{{formula}}}"))
    tail = text[-_LONGEST:]
    return _canonical(_parsed(tail)) or last_number(tail)


def _bare(text: str) -> str | None:
    """A text that is nothing but one formula, without dollars or words."""
    text = text.strip()
    if not text or "$" in text or "\n" in text or _WORD.search(_COMMAND.sub(" ", text)):
        return None
    return text.removesuffix(".")


def _parsed(text: str) -> Any:
    """What math-verify makes of the last formula, or None. Its timer is off: the gateway has a sharper one."""
    if _BASE.search(text):
        return None
    found = parse(text, [LatexExtractionConfig()], fallback_mode="no_fallback", parsing_timeout=0)
    return _right_sides(found[0]) if found else None


def _canonical(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, sympy.MatrixBase):
        rows = [_compound("", [_canonical(cell) for cell in row]) for row in value.tolist()]
        return _compound("Matrix", rows)
    value = _exact(value)
    return _expression(value) if isinstance(value, sympy.Expr) else _structure(value)


def _structure(value: Any) -> str | None:
    """A set, a relation, several answers: its kind and the canonical forms of its parts."""
    if isinstance(value, BooleanAtom):  # "1 < 2" is true, as is much else
        return None
    if isinstance(value, sympy.Interval):
        brackets = f"Interval{'(' if value.left_open else '['}{')' if value.right_open else ']'}"
        return _compound(brackets, [_canonical(value.start), _canonical(value.end)])
    if isinstance(value, Relational):
        value = value.canonical
        return _compound(type(value).__name__, [_expression(side) for side in value.args])
    parts = [_canonical(part) for part in value.args]
    if isinstance(value, _UNORDERED) and None not in parts:
        parts.sort(key=str)
    return _compound(type(value).__name__, parts)


def _right_sides(value: Any) -> Any:
    """`x = 5` is 5, and `x = 3 or x = 4` is {3, 4}; but x = 3, y = 4 is not x = 4, y = 3."""
    equations = value.args if isinstance(value, sympy.FiniteSet) else (value,)
    if not all(isinstance(each, sympy.Eq) and each.lhs.is_Symbol for each in equations):
        return value
    if len({each.lhs for each in equations}) != 1:
        return value
    return type(value)(*(each.rhs for each in equations)) if value is not equations[0] else value.rhs


def _compound(name: str, parts: Sequence[str | None]) -> str | None:
    return None if None in parts else f"{name}({','.join(map(str, parts))})"


def _exact(value: Any) -> Any:
    """Evaluated, with every float the decimal that was written."""
    floats = {each: sympy.Rational(str(each)) for each in value.atoms(sympy.Float)}
    return value.xreplace(floats).doit()


def _expression(value: sympy.Expr) -> str | None:
    """Numbers as everywhere, rational functions as one reduced fraction, the rest as SymPy orders it."""
    value = sympy.cancel(sympy.radsimp(sympy.trigsimp(value)))
    if isinstance(value, sympy.Rational):
        return canonical_fraction(Fraction(int(value.p), int(value.q))) or str(value)
    return None if value.has(sympy.nan, sympy.zoo) else str(sympy.srepr(value))
