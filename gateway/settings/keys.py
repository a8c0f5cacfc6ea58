"""API keys, from the configuration and from a file of their own."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

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


def build_keys(given: Sequence[KeySection], file: str | None) -> tuple[KeySettings, ...]:
    """Those of the configuration, then those of the file; ConfigError if they cannot be read, or contradict."""
    sections = [*given, *(_from_file(Path(file)) if file is not None else ())]
    made = tuple(_key(section) for section in sections)
    if problems := list(_contradictions(made)):
        raise ConfigError(*problems)
    return made


def _from_file(file: Path) -> list[KeySection]:
    """A file without a key is refused: without keys everybody may ask, and nobody means that by naming one."""
    listed = _read(file)
    if not isinstance(listed, list) or not listed:
        raise ConfigError(
            Problem("keys_file", f"expected a list of keys in {file}, as `scg key new NAME` prints them")
        )
    try:
        return _KeysFile(keys=listed).keys
    except ValidationError as error:
        origins = Origins(file={"keys": listed}, file_name=file.name)
        raise ConfigError(*problems_of(error, origins)) from error


def _read(file: Path) -> Any:
    try:
        return parse_yaml(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(Problem("keys_file", f"cannot read {file}: {error.strerror}")) from error
    except ValueError as error:
        told = "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
        raise ConfigError(Problem("keys_file", f"cannot read {file}: {told}")) from error


def _key(section: KeySection) -> KeySettings:
    return KeySettings(**dict(section) | {"sha256": section.sha256.get_secret_value()})


def _contradictions(keys: Sequence[KeySettings]) -> Iterator[Problem]:
    first: dict[str, KeySettings] = {}
    seen: set[str] = set()
    for position, key in enumerate(keys):
        if key.sha256 in seen:
            yield Problem(f"keys.{position}.sha256", f"{key.name}'s is there twice")
        seen.add(key.sha256)
        other = first.setdefault(key.name, key)
        for limit in _LIMITS:
            if getattr(other, limit) != getattr(key, limit):
                told = f"{key.name} has another key with {getattr(other, limit)}; a limit is that of the name"
                yield Problem(f"keys.{position}.{limit}", told)
