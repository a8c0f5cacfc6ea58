"""How a request is voted on: one frozen Policy, made from presets, configuration and the request itself.

The table of fields is the contract with users. A field whose behaviour is not there yet accepts only the
values that its presets name, so that a configuration never promises what nobody does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from math import inf, nan
from types import MappingProxyType
from typing import Any

from gateway.core.units import parse_duration

ANSWERS = ("auto", "text", "normalized")
LATER_ANSWERS = ("json", "tool_calls", "number", "boxed", "choice", "math", "regex:")
STOPS = ("all", "unbeatable")
ON_DISAGREEMENT = ("return", "reject")


class PolicyError(ValueError):
    """A policy field that cannot be taken: `field` names it, the message says what would do."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Policy:
    """Every field of a policy. Durations in seconds; None where the default depends on other settings."""

    name: str = "majority"
    k: int = 3
    lane: str = "fast"
    answer: str = "auto"
    stop: str = "unbeatable"
    min_ballots: int | None = None
    min_agreement: float = 0.0
    on_disagreement: str = "return"
    reference_fallback: str = "error"
    spread: str = "together"
    salt: bool = False
    when: str = "always"
    measure: float = 0.0
    measure_k: int = 3
    recheck: float = 0.0
    wave: int = 1
    stream_launch: str = "lazy"
    accept_margin: float | None = None
    pin_truncated: str = "auto"
    shed: bool = False
    sample_timeout: float | None = None
    deadline: float | None = None
    ttl: float | None = None
    cache: bool = True

    @property
    def quorum(self) -> int:
        """The ballots without which there is no verdict: `min_ballots`, else more than half of k."""
        return self.k // 2 + 1 if self.min_ballots is None else min(self.min_ballots, self.k)

    @property
    def voting_fields(self) -> tuple[object, ...]:
        """What can change the answer, for the key. The name, timeouts and measuring cannot."""
        return (
            self.k, self.lane, self.answer, self.stop, self.quorum, self.min_agreement, self.on_disagreement,
            self.reference_fallback, self.spread, self.salt, self.wave, self.accept_margin,
        )  # fmt: skip

    def override(self, changes: Mapping[str, object], name: str | None = None) -> "Policy":
        """This policy with `changes`, as users write them; PolicyError names the first bad field."""
        taken = {field: parse_field(field, value) for field, value in changes.items()}
        made = replace(self, name=name or self.name, **taken)
        refuse_unbuilt(made)
        return made


PRESETS: Mapping[str, Policy] = MappingProxyType({
    "single": Policy("single", k=1, measure=0.05),
    "majority": Policy("majority", k=3, recheck=0.01),
    "strict": Policy("strict", k=3, min_agreement=1.0, on_disagreement="reference", recheck=0.01),
    "reference": Policy("reference", k=1, lane="reference"),
    "serial": Policy("serial", k=1, lane="reference"),
    "reason": Policy("reason", k=15, stop="beta:0.95", wave=4),
})  # fmt: skip


def named_policies(definitions: Mapping[str, Mapping[str, object]]) -> dict[str, Policy]:
    """The presets and the configured policies by name; `extends` names a preset or another definition.

    Errors:
        PolicyError: its `field` is `NAME.FIELD`; on a circle or an unknown base as well.
    """
    made: dict[str, Policy] = dict(PRESETS)

    def make(name: str, path: tuple[str, ...]) -> Policy:
        if name not in definitions:
            return made[name]
        if name in path:
            raise PolicyError(f"{name}.extends", f"goes in a circle: {' -> '.join((*path, name))}")
        changes = dict(definitions[name])
        base = str(changes.pop("extends", name if name in PRESETS else "majority"))
        if base not in definitions and base not in PRESETS:
            raise PolicyError(f"{name}.extends", f"no policy {base!r}; known: {known(definitions)}")
        own_preset = base == name and name in PRESETS
        parent = PRESETS[name] if own_preset else make(base, (*path, name))
        try:
            return parent.override(changes, name)
        except PolicyError as error:
            raise PolicyError(f"{name}.{error.field}", str(error)) from error

    return made | {name: make(name, ()) for name in definitions}


def known(names: Mapping[str, object]) -> str:
    """The presets and these names, as a list for a message."""
    return ", ".join(sorted({*PRESETS, *names}))


def refuse_unbuilt(policy: Policy) -> None:
    """Raise PolicyError for the first field whose behaviour is not there yet."""
    presets = PRESETS.values()
    for field, built in _BUILT.items():
        value = getattr(policy, field)
        if value in built or (field in _INERT and value in {getattr(preset, field) for preset in presets}):
            continue
        offered = ", ".join(_spell(choice) for choice in built)
        raise PolicyError(field, f"{_spell(value)} is not available in this version; use {offered}")


def parse_field(field: str, value: object) -> Any:
    """One policy field from YAML, JSON or a header's text; PolicyError says what was expected."""
    parser = _PARSERS.get(field)
    if parser is None:
        raise PolicyError(field, f"no such policy field; known: {', '.join(_PARSERS)}")
    try:
        return parser(value)
    except (ValueError, TypeError) as error:
        raise PolicyError(field, f"{error}, got {value!r}") from error


def _spell(value: object) -> str:
    if value is None or isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


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
    return number


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


def _answer(value: object) -> str:
    if value not in (*ANSWERS, *LATER_ANSWERS) and not str(value).startswith("regex:"):
        raise ValueError(f"expected {', '.join(ANSWERS)}")
    return str(value)


def _stop(value: object) -> str:
    if isinstance(value, str) and value.startswith("beta:"):
        confidence = _number(value.removeprefix("beta:"))
        if not 0.5 < confidence < 1:  # below a half every first vote would do
            raise ValueError("expected beta:C with C between 0.5 and 1")
        return f"beta:{confidence:g}"
    return _one_of(*STOPS, "beta:C")(value)


def _on_disagreement(value: object) -> str:
    if isinstance(value, str) and value.startswith("escalate:"):
        return f"escalate:{_integer(1)(value.removeprefix('escalate:'))}"
    return _one_of(*ON_DISAGREEMENT, "reference", "escalate:N")(value)


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
    "lane": _one_of("fast", "reference"),
    "answer": _answer,
    "stop": _stop,
    "min_ballots": _integer(1),
    "min_agreement": _share,
    "on_disagreement": _on_disagreement,
    "reference_fallback": _one_of("error", "return"),
    "spread": _spread,
    "salt": _switch,
    "when": _one_of("always", "deterministic"),
    "measure": _share,
    "measure_k": _integer(2),
    "recheck": _share,
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

_BUILT: Mapping[str, tuple[object, ...]] = MappingProxyType({
    "lane": ("fast",),
    "answer": ANSWERS,
    "stop": STOPS,
    "on_disagreement": ON_DISAGREEMENT,
    "reference_fallback": ("error",),
    "spread": ("together",),
    "salt": (False,),
    "measure": (0.0,),
    "measure_k": (3,),
    "recheck": (0.0,),
    "stream_launch": ("lazy",),
    "accept_margin": (None,),
    "shed": (False,),
})  # fmt: skip

# Measuring changes no answer: its presets' shares are taken, and have no effect until it is built.
_INERT = frozenset({"measure", "recheck"})

FIELDS = tuple(field.name for field in fields(Policy) if field.name != "name")
