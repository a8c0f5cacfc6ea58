"""The kinds of values that settings have: what is taken, what the message says otherwise, the JSON schema.

A parser raises ValueError with what was expected; whoever reports it adds the value, or hides it.
"""

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, SecretStr, WithJsonSchema

from gateway.core.units import format_duration, parse_duration, parse_size
from gateway.settings.spelling import LATER, format_size
from gateway.settings.urls import parse_cache_url, parse_upstream_url

DURATION = {"type": ["string", "number"], "pattern": r"^\d+(\.\d+)?\s*(ms|s|m|h|d)?$", "examples": ["30s"]}
SIZE = {
    "type": ["string", "integer"],
    "pattern": r"^\d+(\.\d+)?\s*(B|[KMG]iB|[kMG]B)?$",
    "examples": ["64MiB"],
}
SWITCH = {"enum": [True, False, "on", "off"]}
OFF = {"enum": [False, "off"]}
COUNT = {"type": "integer", "minimum": 1}

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
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PREFIX = re.compile(r"[A-Za-z0-9._:-]{1,64}")
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


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        quote = " in quotes" if isinstance(value, int | float) else ""
        raise ValueError(f"expected text{quote}")
    return value.strip()


def _name(value: object) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError("expected a name of up to 64 letters, digits, dots, dashes and underscores")
    return value


def _prefix(value: object) -> str:
    if not isinstance(value, str) or not _PREFIX.fullmatch(value):
        raise ValueError("expected up to 64 letters, digits, dots, colons, dashes and underscores")
    return value


def _header(value: object) -> str:
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        raise ValueError("expected one line of printable ASCII")
    return value.strip()


def _duration(value: object) -> float:
    seconds = parse_duration(value)
    if seconds <= 0:
        raise ValueError("expected a duration above 0")
    return seconds


def _weight(value: object) -> float:
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else 0.0
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise ValueError("expected a number above 0")
    return number


def _sha256(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-fA-F]{64}", value):
        raise ValueError("expected a SHA-256 as 64 hex digits")
    return value.lower()


def _body_size(value: object) -> int:
    size = parse_size(value)
    if size < 1:
        raise ValueError("expected a size above 0")
    return size


def _header_name(value: object) -> str:
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise ValueError("expected a header's name")
    return value


def _lane(value: object) -> str:
    if value == "reference":
        raise ValueError(f"a reference lane {LATER}; use fast")
    return one_of("fast", "reference")(value)


def _workers(value: object) -> int:
    if whole_number(1)(value) > 1:
        raise ValueError(f"more than one worker {LATER}; use 1")
    return 1


def _words(value: object) -> object:
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


Port = Annotated[
    int, BeforeValidator(whole_number(0, 65535)), WithJsonSchema({"type": "integer", "maximum": 65535})
]
Count = Annotated[int, BeforeValidator(whole_number(1)), WithJsonSchema(COUNT)]
Weight = Annotated[float, BeforeValidator(_weight), WithJsonSchema({"type": "number", "exclusiveMinimum": 0})]
Workers = Annotated[int, BeforeValidator(_workers), WithJsonSchema({"const": 1})]
Switch = Annotated[bool, BeforeValidator(switch), WithJsonSchema(SWITCH)]
Text = Annotated[str, BeforeValidator(_text), WithJsonSchema({"type": "string", "minLength": 1})]
Name = Annotated[
    str, BeforeValidator(_name), WithJsonSchema({"type": "string", "pattern": f"^{_NAME.pattern}$"})
]
Prefix = Annotated[
    str, BeforeValidator(_prefix), WithJsonSchema({"type": "string", "pattern": f"^{_PREFIX.pattern}$"})
]
HeaderName = Annotated[str, BeforeValidator(_header_name)]
Header = Annotated[SecretStr, BeforeValidator(_header), WithJsonSchema({"type": "string"})]
Secret = Annotated[SecretStr, BeforeValidator(_header), WithJsonSchema({"type": "string", "minLength": 1})]
Digest = Annotated[
    SecretStr, BeforeValidator(_sha256), WithJsonSchema({"type": "string", "pattern": "^[0-9a-fA-F]{64}$"})
]
UpstreamUrl = Annotated[
    str, BeforeValidator(parse_upstream_url), WithJsonSchema({"type": "string", "pattern": "^https?://"})
]
CacheUrl = Annotated[
    SecretStr,
    BeforeValidator(parse_cache_url),
    WithJsonSchema({"type": "string", "pattern": "^(memory|rediss?)://", "default": "memory://"}),
]
Lane = Annotated[str, BeforeValidator(_lane), WithJsonSchema({"enum": ["fast"]})]
Words = Annotated[list[Text], BeforeValidator(_words)]
Duration = Annotated[
    float,
    BeforeValidator(_duration),
    WithJsonSchema(DURATION),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema(SIZE),
]
BodySize = Annotated[
    int,
    BeforeValidator(_body_size),
    WithJsonSchema(SIZE),
]


def choice(*choices: str) -> Any:
    """The metadata of a field with a few words to choose from."""
    return BeforeValidator(one_of(*choices)), WithJsonSchema({"enum": list(choices)})


def duration(default: float) -> float:
    """A duration whose default the schema spells as people do."""
    return Field(default, json_schema_extra={"default": format_duration(default)})


def size(default: int, description: str | None = None) -> int:
    """A size whose default the schema spells as people do."""
    return Field(default, description=description, json_schema_extra={"default": format_size(default)})
