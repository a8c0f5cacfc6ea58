"""The settings read anew while the gateway serves: what changes, what needs a restart, what is wrong."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import fields, replace

from gateway.settings.errors import ConfigError
from gateway.settings.model import CacheSettings, Settings

_LOG = logging.getLogger(__name__)

Load = Callable[[], Settings]

# What holds for the life of a process: where it listens, what it is made of, and where its pins are.
_FIXED = ("host", "port", "workers", "ledger", "log")
_FIXED_OF_CACHE = tuple(each.name for each in fields(CacheSettings) if each.name != "ttl")


def reread(load: Load, running: Settings) -> Settings | None:
    """The settings that are to take effect; None, and why in the log, if the present ones go on."""
    try:
        found = load()
    except ConfigError as error:
        for problem in error.problems:
            _LOG.error("the new configuration is refused, the old one goes on: %s", problem)
        return None
    for warning in found.warnings:
        _LOG.warning("%s", warning)
    if late := needs_restart(running, found):
        _LOG.warning("changed, and in force only after a restart: %s", ", ".join(late))
    return _with_fixed(running, found)


def needs_restart(running: Settings, found: Settings) -> list[str]:
    """The keys that have changed and cannot take effect now."""
    keys = [key for key in _FIXED if getattr(running, key) != getattr(found, key)]
    if found.port == 0 and "port" in keys:  # any port, and one was found
        keys.remove("port")
    return keys + [
        f"cache.{key}" for key in _FIXED_OF_CACHE if getattr(running.cache, key) != getattr(found.cache, key)
    ]


def changes(running: Settings, found: Settings) -> Sequence[str]:
    """The top-level keys in which two settings differ."""
    names = {"default_policy": "vote"}
    differing = [
        each.name for each in fields(Settings) if getattr(running, each.name) != getattr(found, each.name)
    ]
    return [names.get(name, name) for name in differing if name != "warnings"]


def _with_fixed(running: Settings, found: Settings) -> Settings:
    cache = replace(found.cache, **{key: getattr(running.cache, key) for key in _FIXED_OF_CACHE})
    return replace(found, cache=cache, **{key: getattr(running, key) for key in _FIXED})
