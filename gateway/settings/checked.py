"""Settings checked as a whole by pydantic, with who gave which key."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gateway.settings.build import build
from gateway.settings.complaints import problems_of
from gateway.settings.environment import API_KEY, CONFIG, read_environment
from gateway.settings.errors import ConfigError
from gateway.settings.model import Settings
from gateway.settings.sources import Origins, merge
from gateway.settings.yaml_file import read_yaml

_URL_FLAG = "upstream_url"


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and who gave which key of them."""

    settings: Settings
    origins: Origins


def load_with_origins(
    argv_overrides: Mapping[str, Any], environ: Mapping[str, str], config_file: Path | None
) -> Loaded:
    """As `load` of the loader, with where every key came from."""
    path = config_file or (Path(environ[CONFIG]) if environ.get(CONFIG) else None)
    file = read_yaml(path) if path else {}
    flags = {name: value for name, value in argv_overrides.items() if value is not None}
    environment = read_environment(environ, file, url_by_flag=_URL_FLAG in flags)
    origins = Origins(
        flags={(_key_of(name),): f"from --{name.replace('_', '-')}" for name in flags},
        environment=environment.origins,
        file=file,
        file_name=path.name if path else "",
    )
    try:
        given = merge(_top_level(flags, environ), environment.tree, file)
    except ValidationError as error:
        raise ConfigError(*environment.problems, *problems_of(error, origins)) from error
    if environment.problems:
        raise ConfigError(*environment.problems)
    return Loaded(build(given, origins, tuple(environment.warnings)), origins)


def _key_of(flag: str) -> str:
    return "upstreams" if flag == _URL_FLAG else flag


def _top_level(flags: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """`--upstream-url` is the only upstream; its key can come from the environment alone."""
    keys = {name: value for name, value in flags.items() if name != _URL_FLAG}
    if _URL_FLAG in flags:
        api_key = environ.get(API_KEY)
        keys["upstreams"] = [{"url": flags[_URL_FLAG]} | ({"api_key": api_key} if api_key else {})]
    return keys
