"""The configuration files of the stack: the gateway's by its own loader, Prometheus' by promtool."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.settings.loader import load

RULES = ["deploy/prometheus/recording.yml", "deploy/prometheus/alerts.yml"]
ALERTS = [
    rule
    for group in yaml.safe_load(Path(RULES[1]).read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
CASES = [
    case
    for file in Path("tests/deploy").glob("*alerts.test.yml")
    for test in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]
    for case in test["alert_rule_test"]
]


def compose_environment(service: str) -> dict[str, str]:
    """What docker compose sets for a service where no variable has a value of its own."""
    compose = Path("docker-compose.yml").read_text(encoding="utf-8")
    stack = yaml.safe_load(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", compose))
    return {name: str(value) for name, value in stack["services"][service]["environment"].items()}


@pytest.mark.parametrize(
    ("profile", "upstreams"), [("cpu", ["backend"]), ("gpu", ["vllm-fast", "vllm-reference"])]
)
def test_gateway_takes_its_configuration(profile: str, upstreams: list[str]) -> None:
    """The gateway accepts each file with the stack's environment; the password goes to Redis' URL."""
    settings = load({}, compose_environment("gateway"), Path(f"deploy/gateway.{profile}.yaml"))
    assert settings.host == "0.0.0.0"
    assert settings.cache.url == "redis://:local@redis:6379/0"
    assert [upstream.url for upstream in settings.upstreams] == [f"http://{name}:8000" for name in upstreams]
    assert settings.warnings == ()
    assert settings.default_policy.recheck > 0  # or the dashboard's headline would rest on nothing


@pytest.mark.processes
@pytest.mark.parametrize(
    "check",
    [
        ["check", "config", "deploy/prometheus/prometheus.yml"],
        ["check", "rules", *RULES],
        *(["test", "rules", str(file)] for file in sorted(Path("tests/deploy").glob("*.test.yml"))),
    ],
    ids=" ".join,
)
def test_promtool_is_content(check: list[str]) -> None:
    """Prometheus takes its configuration, rules give the right rates, and alerts fire when they should and not else."""
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    done = subprocess.run(["promtool", *check], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_is_explained_and_tested(alert: dict[str, Any]) -> None:
    """Its runbook is a heading of the documentation that says what it means and what to do; it is tested
    both where it fires and where it does not.
    """
    name = alert["alert"]
    page, _, anchor = alert["annotations"]["runbook"].partition("#")
    chapters = dict(
        re.findall(
            r"^## (\w+)\n(.*?)(?=^## |\Z)", Path(page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        )
    )
    assert anchor == name.lower()
    assert all(f"**{word}" in chapters[name] for word in ("Means", "Look at", "Do"))
    assert alert["labels"]["severity"] in {"page", "ticket", "info"}
    assert {True, False} == {bool(case.get("exp_alerts")) for case in CASES if case["alertname"] == name}
