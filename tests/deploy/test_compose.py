"""docker-compose.yml: that Compose takes it, and what it promises about the services."""

import re
import shutil
import subprocess
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from backend.lanes.command import LaneOptions, command_of
from tests.doubles.redis_server import free_port, has_redis_server

COMPOSE = Path("docker-compose.yml")
EXAMPLE = Path(".env.example")
STACK: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = STACK["services"]
LASTING = {name: service for name, service in SERVICES.items() if service["restart"] != "no"}
each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
PASSWORD = "of-a-test"


def installed_compose() -> list[str]:
    """The command that runs Compose, version 2 or 1."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if not shutil.which(command[0]):
            continue
        if subprocess.run([*command, "version"], check=False, capture_output=True).returncode == 0:
            return command
    pytest.skip("neither `docker compose` nor docker-compose is installed")


@pytest.mark.processes
@pytest.mark.parametrize("variables", ["", EXAMPLE.read_text(encoding="utf-8"), "COMPOSE_PROFILES=gpu"])
def test_compose_takes_the_file(variables: str, tmp_path: Path) -> None:
    """The stack is valid without any variable set, with the example as it is, and with the lanes."""
    env_file = tmp_path / "env"
    env_file.write_text(variables, encoding="utf-8")
    check = [*installed_compose(), "--env-file", str(env_file), "config", "--quiet"]
    done = subprocess.run(check, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_example_names_every_variable_with_its_default() -> None:
    """.env.example lists exactly the variables that the stack reads, with the values it has without them."""
    used = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", COMPOSE.read_text(encoding="utf-8")))
    example = EXAMPLE.read_text(encoding="utf-8")
    assert dict(re.findall(r"^(\w+)=(.*)$", example, re.MULTILINE)) == used


@each_service
def test_service_is_confined(service: dict[str, Any]) -> None:
    """Each service has a read-only root, no capabilities to gain, and bounded resources."""
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"mem_limit", "cpus", "pids_limit", "healthcheck", "tmpfs"} <= service.keys()


def test_what_serves_comes_back_and_has_no_privileges() -> None:
    """Services start again by themselves, and none runs as root or may do what others may not."""
    for service in LASTING.values():
        assert service["restart"] == "unless-stopped"
        assert service.get("user", "the image's") not in {"root", "0", "0:0"}
        assert "cap_add" not in service


def test_what_is_root_ends_at_once() -> None:
    """The one exception gives a new volume to its user: root, to chown, without a network."""
    assert {"models"} == SERVICES.keys() - LASTING.keys()
    once = SERVICES["models"]
    assert (["CHOWN"], "none", ["gpu"]) == (once["cap_add"], once["network_mode"], once["profiles"])


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
    for profile in ("cpu", "gpu"):
        for mount in service.get("volumes", []):
            filled = mount.replace("${COMPOSE_PROFILES:-cpu}", profile)
            source, _, mode = re.fullmatch(r"([^:]+):([^:]+):?(ro)?", filled).groups()  # type: ignore[union-attr]
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


@pytest.mark.parametrize(("name", "lane"), [("vllm-fast", "fast"), ("vllm-reference", "invariant")])
def test_lanes_are_those_of_the_documentation(name: str, lane: str) -> None:
    """What runs in the container is what `python -m backend vllm` runs, with a share of the GPU's memory."""
    service = SERVICES[name]
    model, share = "${VLLM_MODEL:-Qwen/Qwen3-0.6B}", "${VLLM_GPU_SHARE:-0.45}"
    extra = ("--gpu-memory-utilization", share)
    expected = command_of(LaneOptions("vllm", lane, model, "0.0.0.0", 8000, "python3", extra=extra))
    assert expected.arguments == (*service["entrypoint"], *service["command"])
    assert dict(expected.environment).items() <= service["environment"].items()
    assert ("VLLM_BATCH_INVARIANT" in service["environment"]) == (lane == "invariant")


def test_the_lanes_image_has_the_engine_that_is_tested() -> None:
    """vLLM's image is of the release that the extra `vllm` names."""
    extras = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    (pinned,) = extras["vllm"]
    assert pinned.replace("==", ":v") == SERVICES["vllm-fast"]["image"].replace("vllm/vllm-openai", "vllm")


@pytest.mark.processes
def test_redis_takes_its_password_from_standard_input(tmp_path: Path) -> None:
    """The command of the stack: Redis wants the password, keeps a log, and the list of processes shows no password."""
    if not has_redis_server():
        pytest.skip("no redis-server on this machine: `make test` installs one")
    settings = tmp_path / "redis.conf"
    port = free_port()
    given = Path("deploy/redis.conf").read_text(encoding="utf-8").replace("dir /data", f"dir {tmp_path}")
    settings.write_text(f"{given}\nport {port}\nbind 127.0.0.1\n", encoding="utf-8")
    *shell, script = SERVICES["redis"]["command"]
    script = script.replace("$$", "$").replace("/etc/redis/redis.conf", str(settings))
    environment = {"PATH": "/usr/bin:/bin", "REDISCLI_AUTH": PASSWORD}
    with subprocess.Popen([*shell, script], env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            asking = ["redis-cli", "-p", str(port), "config", "get", "appendonly"]
            deadline = time.monotonic() + 30
            while "yes" not in (told := run(asking, environment)) and time.monotonic() < deadline:
                time.sleep(0.05)
            assert told.split() == ["appendonly", "yes"]
            assert "NOAUTH" in run(asking, {"PATH": environment["PATH"]})
            assert PASSWORD not in Path(f"/proc/{process.pid}/cmdline").read_text(encoding="utf-8")
        finally:
            process.terminate()


def run(command: list[str], environment: dict[str, str]) -> str:
    """What a command prints."""
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment).stdout


def test_no_command_shows_a_secret() -> None:
    """What `docker ps` lists has no password and no token in it."""
    secrets = {"REDIS_PASSWORD", "GRAFANA_PASSWORD", "HF_TOKEN"}
    for service in SERVICES.values():
        shown = " ".join([*service.get("command", []), *service.get("entrypoint", [])])
        assert not secrets & set(re.findall(r"\$\{(\w+)", shown))
