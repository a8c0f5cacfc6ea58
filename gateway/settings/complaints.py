"""What pydantic found wrong, as lines for people. Values are shown, secrets are not."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from gateway.core.policy_fields import PolicyError
from gateway.settings.errors import Problem
from gateway.settings.paths import Path, UnknownKey, locate
from gateway.settings.sources import Origins
from gateway.settings.spelling import MASK, guess, mask_url, spell_key

_SECRET = frozenset({"api_key", "sha256", "headers", "keys"})
_WANTED: Mapping[str, str] = {"list_type": "a list", "dict_type": "a mapping", "model_type": "a mapping"}


def problems_of(error: ValidationError, origins: Origins) -> list[Problem]:
    """One line for each thing that is wrong."""
    return [_problem(dict(found), origins) for found in error.errors(include_url=False)]


def _problem(found: Mapping[str, Any], origins: Origins) -> Problem:
    # pydantic marks a key of a mapping that is wrong itself, not its value.
    path: Path = tuple(part for part in found["loc"] if part != "[key]")
    return Problem(spell_key(path), _message(found, path), origins.of(path) or origins.of(path[:-1]))


def _message(found: Mapping[str, Any], path: Path) -> str:
    kind = found["type"]
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return f"no such key; {guess(str(path[-1]), {name: name for name in _siblings(path)})}"
    cause = found.get("ctx", {}).get("error")
    if isinstance(cause, PolicyError):
        return str(cause)
    wanted = str(cause) if cause else f"expected {_WANTED.get(kind, kind)}"
    if not wanted.startswith("expected"):
        return wanted  # it is taken elsewhere, not here: nothing to learn from the value
    return f"{wanted}, got {_shown(path, found['input'])}"


def _siblings(path: Path) -> tuple[str, ...]:
    """The keys that could stand where this one does."""
    try:
        locate(map(str, path), {})
    except UnknownKey as error:
        return error.known
    return ()


def _shown(path: Path, value: object) -> str:
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if not _SECRET.isdisjoint(path):
        return MASK
    if isinstance(value, str) and (path[-1] == "url" or "://" in value):
        return repr(mask_url(value))
    return repr(value)
