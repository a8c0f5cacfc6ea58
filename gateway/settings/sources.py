"""Flags over environment over file over defaults, put together by pydantic-settings; and who gave which key."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from gateway.settings.paths import Path, has_key
from gateway.settings.schema import ConfigFile


class TreeSource(PydanticBaseSettingsSource):
    """Settings that have been read already: the environment's, the file's."""

    def __init__(self, settings_cls: type[BaseSettings], tree: Mapping[str, Any]) -> None:
        super().__init__(settings_cls)
        self._tree = dict(tree)

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002  the base class's signature
        """One top-level key, as it is."""
        return self._tree.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """The tree."""
        return self._tree


def merge(flags: Mapping[str, Any], environment: Mapping[str, Any], file: Mapping[str, Any]) -> ConfigFile:
    """One checked configuration; pydantic's ValidationError has everything that is wrong with it."""

    class Merged(ConfigFile):
        @classmethod
        def settings_customise_sources(  # its signature is pydantic-settings'
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, TreeSource(settings_cls, environment), TreeSource(settings_cls, file)

    return Merged(**flags)


@dataclass(frozen=True, slots=True)
class Origins:
    """Who gave a key: a flag, a variable, the file, or nobody."""

    flags: Mapping[Path, str] = field(default_factory=dict)
    environment: Mapping[Path, str] = field(default_factory=dict)
    file: Mapping[str, Any] = field(default_factory=dict)
    file_name: str = ""

    def of(self, path: Path) -> str:
        """`from --port`, `from SCG_PORT`, `in scg.yaml`; empty for a default."""
        for given in (self.flags, self.environment):
            for length in range(len(path), 0, -1):
                if origin := given.get(path[:length]):
                    return origin
        if has_key(self.file, path):
            return f"in {self.file_name}"
        within = (origin for given, origin in self.environment.items() if given[: len(path)] == path)
        return next(within, "")

    def below(self, key: str) -> list[str]:
        """Everybody who gave something of a top-level key; `default` if nobody did."""
        named = [origin for path, origin in self.flags.items() if path[0] == key]
        if not named:
            named = [origin for path, origin in self.environment.items() if path[0] == key]
            # A section is merged key by key; anything else that a variable gives as a whole hides the file's.
            is_hidden = (key,) in self.environment and not isinstance(self.file.get(key), dict)
            named += [f"in {self.file_name}"] if key in self.file and not is_hidden else []
        return list(dict.fromkeys(named)) or ["default"]
