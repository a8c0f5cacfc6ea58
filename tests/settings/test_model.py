"""The frozen settings by themselves."""

import subprocess
import sys
from dataclasses import FrozenInstanceError, fields, is_dataclass
from typing import Any

import pytest

from gateway.core.policy import PRESETS
from gateway.settings.model import CacheSettings, KeySettings, Settings, UpstreamSettings
from tests.settings.loading import URL, settings

DEFAULTS: dict[str, Any] = {
    "host": "127.0.0.1",
    "port": 8080,
    "cache.url": "memory://",
    "cache.ttl": 7 * 86400,
    "cache.memory": 64 * 1024 * 1024,
    "cache.timeout": 0.25,
    "cache.prefix": "scg",
    "policies": PRESETS,
    "default_policy": PRESETS["majority"],
    "routes": (),
    "timeouts.connect": 2,
    "timeouts.first_byte": 120,
    "timeouts.idle": 60,
    "timeouts.total": 600,
    "limits.max_k": 16,
    "limits.max_body": 64 * 1024 * 1024,
    "limits.max_in_flight": 512,
    "limits.max_samples_in_flight": 2048,
    "keys": (),
    "page": True,
    "workers": 1,
    "drain.delay": 0.5,
    "drain.timeout": 30,
    "ledger.stream": False,
    "ledger.length": 100_000,
    "log.format": "auto",
    "log.level": "info",
    "log.rounds": True,
    "log.prompts": False,
    "warnings": (),
}


@pytest.mark.parametrize("key", DEFAULTS)
def test_defaults_are_the_documented_ones(key: str) -> None:
    """An upstream is enough; everything else has the default that the documentation gives."""
    found: Any = Settings(upstreams=(UpstreamSettings(url="http://llm:8000"),))
    for part in key.split("."):
        found = getattr(found, part)
    assert DEFAULTS[key] == found


def test_loader_has_the_same_defaults() -> None:
    """What a test builds with one upstream is what a user has with SCG_UPSTREAM_URL alone."""
    assert Settings(upstreams=(UpstreamSettings(url="http://llm:8000"),)) == settings(environ=URL)


def test_everything_is_frozen() -> None:
    """No part of the program can change the settings of another."""
    made = Settings(upstreams=())
    for part in (made, made.cache, made.limits, made.timeouts, UpstreamSettings(url="http://llm")):
        assert is_dataclass(part)
        for field in fields(part):
            with pytest.raises(FrozenInstanceError):
                setattr(part, field.name, None)
        assert not hasattr(part, "__dict__")


@pytest.mark.parametrize(
    "holder",
    [
        UpstreamSettings(url="http://llm", api_key="hunter2", headers=(("authorization", "hunter2"),)),
        CacheSettings(url="redis://:hunter2@redis:6379/0"),
        KeySettings(name="team", sha256="hunter2"),
        Settings(
            upstreams=(UpstreamSettings(url="http://llm", api_key="hunter2"),),
            cache=CacheSettings(url="redis://:hunter2@redis"),
        ),
    ],
    ids=lambda holder: type(holder).__name__,
)
def test_repr_tells_no_secret(holder: object) -> None:
    """A secret cannot get into a log by way of repr."""
    assert "hunter2" not in repr(holder)


@pytest.mark.processes
def test_model_is_light() -> None:
    """Reading settings needs neither pydantic nor yaml; making them from a file does."""
    code = "import sys, gateway.settings.model; print({'pydantic', 'yaml'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"
