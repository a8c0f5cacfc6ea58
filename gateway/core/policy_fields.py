"""Policy fields as users write them, in YAML, JSON or a header's text."""

from collections.abc import Callable, Mapping
from math import inf, nan
from types import MappingProxyType
from typing import Any

from gateway.core.answer.rules import parse_answer
from gateway.core.units import parse_duration

LANES = ("fast", "reference")
STOPS = ("all", "unbeatable")
ON_DISAGREEMENT = ("return", "reject", "reference")
FALLBACKS = ("error", "return")

# What a request may choose: a policy by name, and these fields of it. Everything else is the operator's.
CHOICES = ("policy", "k", "answer", "stop", "min_ballots", "min_agreement", "on_disagreement", "spread")


class PolicyError(ValueError):
    """A policy field that cannot be taken: `field` names it, the message says what would do."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def parse_field(field: str, value: object) -> Any:
    """One policy field from YAML, JSON or a header's text; PolicyError says what was expected."""
    parser = _PARSERS.get(field)
    if parser is None:
        raise PolicyError(field, f"no such policy field; known: {', '.join(_PARSERS)}")
    try:
        return parser(value)
    except (ValueError, TypeError) as error:
        raise PolicyError(field, f"{error}, got {value!r}") from error


def _integer(low: int) -> Callable[[object], int]:
    def parse(value: object) -> int:
        if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or value < low:
            raise ValueError(f"expected a whole number of at least {low}")
        return value

    return parse


def _number(value: object) -> float:
    """A number or its text as a float; anything else is NaN, which lies in no range."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return nan


def _share(value: object) -> float:
    number = _number(value)
    if not 0 <= number <= 1:
        raise ValueError("expected a number from 0 to 1")
    return abs(number)  # -0 is 0


def _rate(value: object) -> float:
    return 0.0 if value is False or value == "off" else _share(value)


def _one_of(*choices: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if value not in choices:
            raise ValueError(f"expected {' or '.join(choices)}")
        return str(value)

    return parse


def _switch(value: object) -> bool:
    found = {"on": True, "true": True, "off": False, "false": False}.get(str(value).lower())
    if found is None:
        raise ValueError("expected on or off")
    return found


def _stop(value: object) -> str:
    if isinstance(value, str) and value.startswith("beta:"):
        confidence = _number(value.removeprefix("beta:"))
        if not 0.5 < confidence < 1:  # below a half every first vote would do
            raise ValueError("expected beta:C with C between 0.5 and 1")
        return f"beta:{confidence}"
    return _one_of(*STOPS, "beta:C")(value)


def _on_disagreement(value: object) -> str:
    if isinstance(value, str) and value.startswith("escalate:"):
        return f"escalate:{_integer(1)(value.removeprefix('escalate:'))}"
    return _one_of(*ON_DISAGREEMENT, "escalate:N")(value)


def _spread(value: object) -> str:
    if isinstance(value, str) and value.startswith("staggered:"):
        parse_duration(value.removeprefix("staggered:"))
        return value
    return _one_of("together", "staggered:50ms")(value)


def _margin(value: object) -> float | None:
    if value is None or value is False or value == "off":
        return None
    number = _number(value)
    if not 0 <= number < inf:
        raise ValueError("expected off or a logprob gap of at least 0")
    return number


_PARSERS: Mapping[str, Callable[[object], Any]] = MappingProxyType({
    "k": _integer(1),
    "lane": _one_of(*LANES),
    "answer": parse_answer,
    "stop": _stop,
    "min_ballots": _integer(1),
    "min_agreement": _share,
    "on_disagreement": _on_disagreement,
    "reference_fallback": _one_of(*FALLBACKS),
    "spread": _spread,
    "salt": _switch,
    "when": _one_of("always", "deterministic"),
    "measure": _rate,
    "measure_k": _integer(2),
    "recheck": _rate,
    "wave": _integer(1),
    "stream_launch": _one_of("lazy", "all"),
    "accept_margin": _margin,
    "pin_truncated": _one_of("auto", "always", "never"),
    "shed": _switch,
    "sample_timeout": parse_duration,
    "deadline": parse_duration,
    "ttl": parse_duration,
    "cache": _switch,
})  # fmt: skip
