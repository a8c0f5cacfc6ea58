r"""The last number of a text, by value.

English notation: `1,234.5` is one thousand and something. Currencies and units are no part of a number, but
a percentage is a hundredth: 50% is 0.5, and not 50. Fractions of two numerals are one number, 1/2 or
\frac{1}{2}. What digits joined by other signs mean is not guessed: where the last of them is a date, a
version, a range, a time, a sum or a mixed number, there is no answer rather than a piece of one.
"""

import re
from fractions import Fraction

from gateway.core.answer.decimals import canonical_decimal

_MINUS = "\\-\u2212\u2013"  # hyphen, minus, en dash: the inside of a class
_THOUSANDS = r"(?:,|\{,\}|\\,|\u2009|\u202f)"

# Digits and all that is joined to them, so that 2024-12-25 is one thing and never 25.
_RUN = re.compile(
    rf"""
    (?P<sign>(?<![A-Za-z0-9_)\]}}])[{_MINUS}])?
    (?:\\?[$€£¥₹]\s?)?
    (?<![A-Za-z0-9_.])(?<![A-Za-z_][{_MINUS}])          # no H2O, no COVID-19
    (?<![\^_])(?<![\^_]\{{)(?<![\^_][{_MINUS}])(?<![\^_]\{{[{_MINUS}])  # no cm^2, no x_{{1}}
    (?P<body>
        \\[dtc]?frac\s*(?:\{{\s*[0-9]+\s*\}}\s*\{{\s*[0-9]+\s*\}}|[0-9][0-9])
        | \.?[0-9]+ (?:(?:{_THOUSANDS}|\^\{{?[+{_MINUS}]?|[eE][+{_MINUS}]?|\*\*?|[.:/'_{_MINUS}])[0-9]+)*
    )
    (?P<scale>\s*(?:\u00d7|\\times|\\cdot|·|\*|x)\s*10\s*\^\s*\{{?[+{_MINUS}]?[0-9]{{1,18}}(?![0-9]))?
    \}}?(?P<percent>\s?(?:\\?%|percent\b|per\ cent\b))?
    """,
    re.VERBOSE,
)
_PLAIN = rf"(?:(?:[1-9][0-9]{{0,2}}(?:{_THOUSANDS}[0-9]{{3}})+|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+)"
_NUMERAL = re.compile(rf"({_PLAIN})(?:[eE]([+{_MINUS}]?[0-9]{{1,18}}))?")
_FRACTION = re.compile(rf"({_PLAIN})/({_PLAIN})")
_LATEX_FRACTION = re.compile(r"\\[dtc]?frac\s*\{?\s*([0-9]+?)\s*\}?\s*\{?\s*([0-9]+)\s*\}?")
_POWER_OF_TEN = re.compile(rf"10\^\{{?([+{_MINUS}]?[0-9]{{1,18}})")
_EXPONENT = re.compile(rf"[+{_MINUS}]?[0-9]{{1,18}}\Z")
_SEPARATOR = re.compile(_THOUSANDS)

# After it: a factor, 2π or 3√2; an exponent, 5^x. Of digits, like 5² and 3½, str.isnumeric knows.
_MORE_FOLLOWS = re.compile(r"\s?(?:\u03c0|\u221a|\^|\\(?:pi(?![a-z])|sqrt|[dtc]?frac))")

# Before it: a root, a half of a LaTeX fraction, a division by it. Before a fraction: the whole of a mixed number.
_PART_OF_MORE = re.compile(r"(?:√|\\sqrt(?:\[[^\[\]]*\])?\s*\{?|frac\s*\{?|\}\s*\{|/)\s*\Z")
_WHOLE_OF_MIXED = re.compile(r"[0-9]\s?\Z")
_LONGEST_PART = 50  # digits of a fraction's halves


def last_number(text: str) -> str | None:
    """One spelling of the last number's value; None if there is none, or it is part of something more."""
    last = None
    for last in _RUN.finditer(text):  # noqa: B007  only the last one matters
        pass
    if last is None or _MORE_FOLLOWS.match(text, last.end()) or text[last.end() : last.end() + 1].isnumeric():
        return None
    before = text[max(0, last.start() - 24) : last.start()]
    return None if _PART_OF_MORE.search(before) else _signed(last, before)


def sole_number(text: str) -> str | None:
    """The value of a text that is one number and nothing else."""
    alone = _RUN.fullmatch(text.strip())
    return _signed(alone, "") if alone else None


def _signed(run: re.Match[str], before: str) -> str | None:
    value = _value(run["body"], run["scale"], -2 if run["percent"] else 0, before)
    return f"-{value}" if value and value != "0" and run["sign"] else value


def _value(body: str, scale: str | None, shift: int, before: str) -> str | None:
    """The canonical value of a run without its sign."""
    scaled = _EXPONENT.search(scale) if scale else None
    if numeral := _NUMERAL.fullmatch(body):
        shift += sum(_integer(power) for power in (scaled and scaled[0], numeral[2]) if power)
        return canonical_decimal(_SEPARATOR.sub("", numeral[1]), shift)
    if power := _POWER_OF_TEN.fullmatch(body):
        return canonical_decimal("1", shift + _integer(power[1]))
    fraction = _FRACTION.fullmatch(body) or _LATEX_FRACTION.fullmatch(body)
    if fraction is None or scale or _WHOLE_OF_MIXED.search(before):
        return None
    over, under = (_SEPARATOR.sub("", part) for part in fraction.groups())
    if max(len(over), len(under)) > _LONGEST_PART or not Fraction(under):
        return None
    return canonical_fraction(Fraction(over) / Fraction(under) * Fraction(10) ** shift)


def canonical_fraction(value: Fraction) -> str | None:
    """A decimal where it ends, else the reduced fraction."""
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return str(value)
    places = max(twos, fives)
    return canonical_decimal(str(value.numerator * 10**places // value.denominator), -places)


def _integer(text: str) -> int:
    return int(re.sub(f"[{_MINUS}]", "-", text))
