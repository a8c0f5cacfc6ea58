"""Members of a request, with the type that they must have. BadRequest names the one that has not."""

from collections.abc import Mapping
from typing import Any

from gateway.errors import BadRequest

Members = Mapping[str, Any]

_LOWEST, _HIGHEST = -(1 << 63), (1 << 63) - 1


def text(members: Members, name: str) -> str:
    """A string; "" for none."""
    return _typed(members, name, str, "a string") or ""


def flag(members: Members, name: str) -> bool:
    """True or false; False for none."""
    return bool(_typed(members, name, bool, "true or false"))


def table(members: Members, name: str) -> dict[str, Any]:
    """An object; empty for none."""
    return _typed(members, name, dict, "an object") or {}


def items(members: Members, name: str) -> list[Any]:
    """A list; empty for none."""
    return _typed(members, name, list, "a list") or []


def number(members: Members, name: str) -> float | int | None:
    """A number, None for none."""
    value = members.get(name)
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise BadRequest(f"{name} must be a number", param=name)


def integer(members: Members, name: str) -> int | None:
    """A whole number, None for none. 3.0 is 3."""
    value = number(members, name)
    if isinstance(value, float):
        if not value.is_integer():
            raise BadRequest(f"{name} must be a whole number", param=name)
        return int(value)
    return value


def seed(members: Members) -> int | None:
    """The seed, None for none: within int64, as engines take it and as those of the other samples are."""
    value = integer(members, "seed")
    if value is not None and not _LOWEST <= value <= _HIGHEST:
        raise BadRequest("seed must be a whole number from -2^63 to 2^63 - 1", param="seed")
    return value


def asks_json(constraints: object) -> bool:
    """Whether vLLM's `structured_outputs` constrain the answer to JSON."""
    return isinstance(constraints, dict) and bool(constraints.get("json") or constraints.get("json_object"))


def is_json_format(wanted: object) -> bool:
    """Whether an object of OpenAI's response formats wants JSON."""
    return isinstance(wanted, dict) and wanted.get("type") in {"json_schema", "json_object"}


def _typed(members: Members, name: str, kind: type, wanted: str) -> Any:
    value = members.get(name)
    if value is not None and not isinstance(value, kind):
        raise BadRequest(f"{name} must be {wanted}", param=name)
    return value
