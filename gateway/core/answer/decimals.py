"""Decimal numbers by value, exact at any length."""

import re

# An exponent of more digits than this is nobody's answer.
_LITERAL = re.compile(r"([-+]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([-+]?[0-9]{1,18}))?")
WRITTEN_OUT = 21  # digits; beyond, an exponent is shorter and no bomb can unfold


def canonical_decimal(literal: str, shift: int = 0) -> str | None:
    """One spelling for each value of `literal` times 10 to the power of `shift`; None if it is no decimal.

    1, 1.0 and 10e-1 are `1`; -0 is `0`. Nothing is rounded.
    """
    match = _LITERAL.fullmatch(literal)
    if match is None:
        return None
    sign, whole, fraction, exponent = match.group(1), match[2], match[3] or "", int(match[4] or 0)
    if not whole + fraction:
        return None
    digits = (whole + fraction).lstrip("0")
    significant = digits.rstrip("0")
    if not significant:
        return "0"
    power = exponent + shift - len(fraction) + len(digits) - len(significant)
    return ("-" if sign == "-" else "") + _spell(significant, power)


def _spell(digits: str, power: int) -> str:
    if power >= 0 and len(digits) + power <= WRITTEN_OUT:
        return digits + "0" * power
    if -WRITTEN_OUT <= power < 0:
        padded = digits.rjust(1 - power, "0")
        return f"{padded[:power]}.{padded[power:]}"
    return f"{digits}e{power}"
