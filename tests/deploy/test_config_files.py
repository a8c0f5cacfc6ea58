"""The configuration files of the stack: the gateway's by its documented keys, Prometheus' by promtool."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

KEYS = {
    "upstreams", "cache", "vote", "policies", "routes", "timeouts", "limits", "keys", "page", "workers",
}  # fmt: skip
UPSTREAM_KEYS = {
    "name", "url", "engine", "lane", "models", "weight", "max_in_flight", "api_key", "api_key_file",
    "headers", "ca_file", "revision",
}  # fmt: skip
CACHE_KEYS = {"url", "ttl", "memory", "timeout", "prefix"}


def test_gateway_config_uses_documented_keys() -> None:
    """deploy/gateway.yaml has no key that the documentation does not list."""
    config: dict[str, Any] = yaml.safe_load(Path("deploy/gateway.yaml").read_text(encoding="utf-8"))
    assert config.keys() <= KEYS
    assert config["cache"].keys() <= CACHE_KEYS
    for upstream in config["upstreams"]:
        assert upstream.keys() <= UPSTREAM_KEYS


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
