"""API keys, from the configuration and from a file of their own."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from gateway.settings.complaints import problems_of
from gateway.settings.errors import ConfigError, Problem
from gateway.settings.model import KeySettings
from gateway.settings.schema import KeySection
from gateway.settings.section import Section
from gateway.settings.sources import Origins
from gateway.settings.yaml_file import parse_yaml

_LIMITS = ("rpm", "tpm")


class _KeysFile(Section):
    keys: list[KeySection]


class _Placed(NamedTuple):
    """A key, and where it stands."""

    key: KeySettings
    path: str  # keys.0
    origin: str  # `in keys.yaml`, `from SCG_KEYS__0__NAME`


def build_keys(given: Sequence[KeySection], file: str | None, origins: Origins) -> tuple[KeySettings, ...]:
    """Those of the configuration, then those of the file; ConfigError if they cannot be read, or contradict.

    `origins` are those of the configuration.
    """
    placed = [
        _Placed(_key(section), f"keys.{position}", origins.of(("keys", position)))
        for position, section in enumerate(given)
    ]
    if file is not None:
        listed = _from_file(Path(file), origins.of(("keys_file",)))
        origin = f"in {Path(file).name}"
        placed += (
            _Placed(_key(section), f"keys.{position}", origin) for position, section in enumerate(listed)
        )
    if problems := list(_contradictions(placed)):
        raise ConfigError(*problems)
    return tuple(each.key for each in placed)


def _from_file(file: Path, named_by: str) -> list[KeySection]:
    """A file without a key is refused: without keys everybody may ask, and nobody means that by naming one."""
    listed = _read(file, named_by)
    if not isinstance(listed, list) or not listed:
        told = f"expected a list of keys in {file}, as `scg key new NAME` prints them"
        raise ConfigError(Problem("keys_file", told, named_by))
    try:
        return _KeysFile(keys=listed).keys
    except ValidationError as error:
        origins = Origins(file={"keys": listed}, file_name=file.name)
        raise ConfigError(*problems_of(error, origins)) from error


def _read(file: Path, named_by: str) -> Any:
    try:
        return parse_yaml(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(Problem("keys_file", f"cannot read {file}: {error.strerror}", named_by)) from error
    except ValueError as error:
        told = "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
        raise ConfigError(Problem("keys_file", f"cannot read {file}: {told}", named_by)) from error


def _key(section: KeySection) -> KeySettings:
    return KeySettings(**dict(section) | {"sha256": section.sha256.get_secret_value()})


def _contradictions(keys: Sequence[_Placed]) -> Iterator[Problem]:
    first: dict[str, KeySettings] = {}
    seen: set[str] = set()
    for key, path, origin in keys:
        if key.sha256 in seen:
            yield Problem(f"{path}.sha256", f"{key.name}'s is there twice", origin)
        seen.add(key.sha256)
        other = first.setdefault(key.name, key)
        for limit in _LIMITS:
            if getattr(other, limit) != getattr(key, limit):
                told = f"{key.name} has another key with {getattr(other, limit)}; a limit is that of the name"
                yield Problem(f"{path}.{limit}", told, origin)
