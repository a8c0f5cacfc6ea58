"""The configuration files of the stack: the gateway's by its own loader, Prometheus' by promtool."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from gateway.settings.loader import load


def compose_environment(service: str) -> dict[str, str]:
    """What docker compose sets for a service where no variable has a value of its own."""
    compose = Path("docker-compose.yml").read_text(encoding="utf-8")
    stack = yaml.safe_load(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", compose))
    environment: dict[str, str] = stack["services"][service]["environment"]
    return environment


def test_gateway_takes_its_configuration() -> None:
    """The gateway accepts deploy/gateway.yaml and its environment; the password goes to Redis' URL."""
    settings = load({}, compose_environment("gateway"), Path("deploy/gateway.yaml"))
    assert settings.host == "0.0.0.0"
    assert settings.cache.url == "redis://:local@redis:6379/0"
    assert [upstream.url for upstream in settings.upstreams] == ["http://backend:8000"]
    assert settings.warnings == ()


@pytest.mark.processes
@pytest.mark.parametrize(
    "check",
    [
        ["check", "config", "deploy/prometheus/prometheus.yml"],
        ["test", "rules", "tests/deploy/consistency_rate.test.yml"],
    ],
    ids=" ".join,
)
def test_promtool_is_content(check: list[str]) -> None:
    """Prometheus takes its configuration, and the recording rules give the right rates."""
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    done = subprocess.run(["promtool", *check], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
