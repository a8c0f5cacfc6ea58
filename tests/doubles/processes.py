"""The product's own programs and Prometheus, as processes on free ports."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.doubles.redis_server import free_port

_PATIENCE = 100.0


@dataclass
class Running:
    """A process that serves HTTP."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples with at least these labels."""
        with urllib.request.urlopen(f"{self.url}/metrics") as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait()


@contextmanager
def serving(
    command: Sequence[str],
    port: int,
    ready: str,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    patience: float = _PATIENCE,
) -> Iterator[Running]:
    """A command that listens on this port, once `ready` answers 200; killed in the end if it still runs."""
    log = folder / f"{port}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, **(environment or {})})
    running = Running(f"http://127.0.0.1:{port}", process, log)
    try:
        _wait(running, ready, patience)
        yield running
    finally:
        process.kill()
        process.wait()


@contextmanager
def backend(folder: Path, *options: str) -> Iterator[Running]:
    """`python -m backend torch`."""
    port = free_port()
    command = [sys.executable, "-m", "backend", "torch", "--port", str(port), *options]
    with serving(command, port, "/health", folder) as running:
        yield running


@contextmanager
def gateway(folder: Path, upstream: str, **variables: str) -> Iterator[Running]:
    """`scg serve` in front of an upstream, with these SCG_ variables."""
    port = free_port()
    variables = {"CACHE__TIMEOUT": "30s"} | variables  # a Redis that is slow is still there
    environment = {f"SCG_{name}": value for name, value in variables.items()}
    environment |= {"SCG_UPSTREAM_URL": upstream, "SCG_PORT": str(port)}
    with serving([sys.executable, "-m", "gateway", "serve"], port, "/readyz", folder, environment) as running:
        yield running


@contextmanager
def prometheus(folder: Path, target: str, rules: Sequence[Path] = ()) -> Iterator[Running]:
    """A real Prometheus that scrapes the target every second, and evaluates rules every 200 ms."""
    port = free_port()
    config = folder / "prometheus.yml"
    host = target.removeprefix("http://")
    files = ", ".join(str(each.resolve()) for each in rules)
    config.write_text(
        f"global: {{evaluation_interval: 200ms}}\nrule_files: [{files}]\n"
        "scrape_configs: [{job_name: gateway, scrape_interval: 1s, scrape_timeout: 1s, "
        f"static_configs: [{{targets: ['{host}']}}]}}]\n"
    )
    command = [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with serving(command, port, "/-/ready", folder) as running:
        yield running


def _wait(running: Running, ready: str, patience: float) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if running.process.poll() is not None:
            pytest.fail(f"{running.process.args!r} ended: {running.log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(running.url + ready, timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.05)
    pytest.fail(f"{running.process.args!r} is not ready: {running.log.read_text()[-2000:]}")
