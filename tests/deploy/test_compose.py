"""docker-compose.yml: that Compose takes it, and what it promises about the services."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

COMPOSE = Path("docker-compose.yml")
STACK: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = STACK["services"]
each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


def installed_compose() -> list[str]:
    """The command that runs Compose, version 2 or 1."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if not shutil.which(command[0]):
            continue
        if subprocess.run([*command, "version"], check=False, capture_output=True).returncode == 0:
            return command
    pytest.skip("neither `docker compose` nor docker-compose is installed")


@pytest.mark.processes
@pytest.mark.parametrize(
    "variables", ["", Path(".env.example").read_text(encoding="utf-8")], ids=["none", "example"]
)
def test_compose_takes_the_file(variables: str, tmp_path: Path) -> None:
    """The stack is valid without any variable set, and with the example as it is."""
    env_file = tmp_path / "env"
    env_file.write_text(variables, encoding="utf-8")
    check = [*installed_compose(), "--env-file", str(env_file), "config", "--quiet"]
    done = subprocess.run(check, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_example_names_every_variable_with_its_default() -> None:
    """.env.example lists exactly the variables that the stack reads, with the values it has without them."""
    used = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", COMPOSE.read_text(encoding="utf-8")))
    example = Path(".env.example").read_text(encoding="utf-8")
    assert dict(re.findall(r"^(\w+)=(.*)$", example, re.MULTILINE)) == used


@each_service
def test_service_is_confined(service: dict[str, Any]) -> None:
    """Each service has a read-only root, no capabilities, bounded resources, and comes back by itself."""
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    assert {"mem_limit", "cpus", "pids_limit", "healthcheck"} <= service.keys()


@each_service
def test_image_is_ours_or_pinned(service: dict[str, Any]) -> None:
    """An image is built here or pinned to a release."""
    assert "build" in service or re.search(r":v?\d+\.\d+\.\d+", service["image"])


@each_service
def test_ports_are_published_on_loopback_only(service: dict[str, Any]) -> None:
    """Nothing of the stack can be reached from another host."""
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


@each_service
def test_mounts_exist_and_are_read_only(service: dict[str, Any]) -> None:
    """Every file mounted from the repository is there and cannot be written; volumes are declared."""
    for mount in service.get("volumes", []):
        source, _, mode = re.fullmatch(r"([^:]+):([^:]+):?(ro)?", mount).groups()  # type: ignore[union-attr]
        if source.startswith("."):
            assert Path(source).exists()
            assert mode == "ro"
        else:
            assert source in STACK["volumes"]


def test_redis_and_backend_are_private() -> None:
    """Redis and the backend are on a network without a way out, and publish nothing."""
    assert STACK["networks"]["private"] == {"internal": True}
    for name in ("redis", "backend"):
        assert SERVICES[name]["networks"] == ["private"]
        assert "ports" not in SERVICES[name]
