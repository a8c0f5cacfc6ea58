"""What each kind of setting takes, and what the message says otherwise.

A parser raises ValueError with what was expected; whoever reports it adds the value, or hides it.
"""

import re
from collections.abc import Callable

from gateway.core.units import parse_duration, parse_size

_SWITCHES = {
    "on": True,
    "true": True,
    "yes": True,
    "1": True,
    "off": False,
    "false": False,
    "no": False,
    "0": False,
}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
PREFIX = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def whole_number(low: int, high: int | None = None) -> Callable[[object], int]:
    """A parser of whole numbers, from YAML or from text."""
    wanted = f"expected a whole number {f'of at least {low}' if high is None else f'from {low} to {high}'}"

    def parse(value: object) -> int:
        if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or value < low:
            raise ValueError(wanted)
        if high is not None and value > high:
            raise ValueError(wanted)
        return value

    return parse


def switch(value: object) -> bool:
    """YAML 1.1 makes booleans of on, off, yes and no; the environment gives them as words."""
    found = _SWITCHES.get(str(value).strip().lower())
    if found is None:
        raise ValueError("expected on or off")
    return found


def one_of(*choices: str) -> Callable[[object], str]:
    """A parser of words out of a few."""

    def parse(value: object) -> str:
        if value not in choices:
            raise ValueError(f"expected {', '.join(choices[:-1])} or {choices[-1]}")
        return str(value)

    return parse


def text(value: object) -> str:
    """A text that is not blank, trimmed."""
    if not isinstance(value, str) or not value.strip():
        quote = " in quotes" if isinstance(value, int | float) else ""
        raise ValueError(f"expected text{quote}")
    return value.strip()


def name(value: object) -> str:
    """A name that users make up."""
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise ValueError("expected a name of up to 64 letters, digits, dots, dashes and underscores")
    return value


def prefix(value: object) -> str:
    """What every key in Redis begins with."""
    if not isinstance(value, str) or not PREFIX.fullmatch(value):
        raise ValueError("expected up to 64 letters, digits, dots, colons, dashes and underscores")
    return value


def header(value: object) -> str:
    """A header's value, or a secret that becomes one."""
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        raise ValueError("expected one line of printable ASCII")
    return value.strip()


def duration(value: object) -> float:
    """Seconds, from text with a unit."""
    seconds = parse_duration(value)
    if seconds <= 0:
        raise ValueError("expected a duration above 0")
    return seconds


def weight(value: object) -> float:
    """A number above 0."""
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else 0.0
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise ValueError("expected a number above 0")
    return number


def share(value: object) -> float:
    """A number from 0 to 1."""
    try:
        number = (
            float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else -1.0
        )
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise ValueError("expected a number from 0 to 1")
    return number


def optional_duration(value: object) -> float | None:
    """Seconds, or None for `off`."""
    if value is None or value is False or (isinstance(value, str) and value.strip().lower() == "off"):
        return None
    return duration(value)


def digest(value: object) -> str:
    """A SHA-256 in hex, in lower case."""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-fA-F]{64}", value):
        raise ValueError("expected a SHA-256 as 64 hex digits")
    return value.lower()


def body_size(value: object) -> int:
    """Bytes, at least one."""
    size = parse_size(value)
    if size < 1:
        raise ValueError("expected a size above 0")
    return size


def header_name(value: object) -> str:
    """A token of RFC 9110."""
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise ValueError("expected a header's name")
    return value


def words(value: object) -> object:
    """A list, or its words between commas."""
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


PORT = whole_number(0, 65535)
