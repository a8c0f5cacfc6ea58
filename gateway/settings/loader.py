"""Settings from flags, environment, file and defaults: the short way where it will do, else the whole one.

pydantic takes as long to import as the rest of the gateway together. A start that names an upstream and where
to listen has nothing in it that two keys could contradict each other about, so it does without; see
docs/decisions/0009-two-ways-to-settings.md. Both ways take values by the same parsers.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gateway.settings import values as take
from gateway.settings.model import Settings, UpstreamSettings
from gateway.settings.urls import parse_upstream_url

_PARSERS: Mapping[str, Callable[[object], Any]] = {
    "host": take.text,
    "port": take.PORT,
    "upstream_url": parse_upstream_url,
    "upstream_api_key": take.header,
}
_VARIABLES: Mapping[str, str] = {f"SCG_{name.upper()}": name for name in _PARSERS}


def load(argv_overrides: Mapping[str, Any], environ: Mapping[str, str], config_file: Path | None) -> Settings:
    """The settings of this process; ConfigError has one line for everything that is wrong.

    `argv_overrides` holds top-level keys, None where a flag was not given, and `upstream_url`, which stands
    for a list of one upstream. Without `config_file`, SCG_CONFIG names the file; without both there is none.
    """
    short = None if config_file else _load_short(argv_overrides, environ)
    if short is not None:
        return short
    from gateway.settings.checked import load_with_origins

    return load_with_origins(argv_overrides, environ, config_file).settings


def _load_short(flags: Mapping[str, Any], environ: Mapping[str, str]) -> Settings | None:
    """Settings of a few keys that are right; None if there are others, or one is wrong."""
    variables = {name: value for name, value in environ.items() if name.startswith("SCG_") and value.strip()}
    given: dict[str, object] = {_VARIABLES.get(name, name): value for name, value in variables.items()}
    given |= {name: value for name, value in flags.items() if value is not None}
    if not given.keys() <= _PARSERS.keys():
        return None
    try:
        taken = {name: _PARSERS[name](value) for name, value in given.items()}
    except ValueError:
        return None  # for those who find everything that is wrong, and say where it stands
    url, api_key = taken.pop("upstream_url", None), taken.pop("upstream_api_key", None)
    return Settings(upstreams=(UpstreamSettings(url=url, api_key=api_key),), **taken) if url else None
