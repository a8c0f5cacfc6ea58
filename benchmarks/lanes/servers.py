"""The lanes that are asked, and a gateway in front of them."""

import json
import re
import shlex
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.lanes.scenarios import FAST, Scenario
from benchmarks.processes import BenchError, free_port, start

_START = 600.0  # seconds for an engine, which may compile first
_TRUST = 240.0  # seconds for a gateway, which probes its reference lane first
_GENERATED = re.compile(r"^vllm:generation_tokens_total(?:{.*})? (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Lane:
    """A running server, and the one model that it is asked for. `owner` is who signs that model."""

    url: str
    model: str
    owner: str

    @classmethod
    def at(cls, url: str) -> "Lane":
        """What listens there.

        Raises:
            BenchError: nobody does, or nobody who lists a model.
        """
        try:
            listed = get_json(f"{url}/v1/models")["data"][0]
        except (OSError, ValueError, LookupError) as error:
            raise BenchError(f"{url}: lists no model: {error}") from error
        return cls(url, listed["id"], listed.get("owned_by", ""))

    def generated(self) -> float | None:
        """Tokens that it has generated so far; None where it does not count as vLLM does."""
        try:
            with urllib.request.urlopen(f"{self.url}/metrics", timeout=30) as answer:
                found = _GENERATED.findall(answer.read().decode())
        except urllib.error.URLError:
            return None
        return sum(map(float, found)) if found else None


def get_json(url: str) -> Any:
    """The JSON that this URL answers with."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


@contextmanager
def lane(name: str, named: str, folder: Path) -> Iterator[Lane]:
    """A lane by its URL, or by the command that starts it, with `{port}` in it; stopped in the end if started here."""
    if named.startswith(("http://", "https://")):
        yield Lane.at(named.rstrip("/").removesuffix("/v1"))
        return
    if "{port}" not in named:
        raise BenchError(f"--{name} {named}: neither a URL nor a command with {{port}} in it")
    port = free_port()
    command = shlex.split(named.replace("{port}", str(port)))
    server = start(name, command, port, folder / f"{name}.log")
    try:
        server.wait_until_ready("/health", _START)
        yield Lane.at(server.url)
    finally:
        server.stop()


@contextmanager
def gateway(scenario: Scenario, lanes: Mapping[str, Lane], folder: Path) -> Iterator[str]:
    """A gateway with the scenario's vote; its URL.

    Raises:
        BenchError: it does not start, or does not trust a lane.
    """
    upstreams: list[dict[str, str]] = [{"name": FAST, "url": lanes[FAST].url}]
    if scenario.reference is not None:
        reference = {"name": scenario.reference, "url": lanes[scenario.reference].url}
        upstreams.append({**reference, "lane": "reference"})
    config = folder / f"{scenario.name}.yaml"  # JSON is YAML
    config.write_text(json.dumps({"upstreams": upstreams, "vote": dict(scenario.vote or {})}))
    port = free_port()
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(config), "--port", str(port)]
    server = start("gateway", command, port, folder / f"{scenario.name}.log")
    try:
        server.wait_until_ready("/readyz", _TRUST)
        reasons = get_json(f"{server.url}/readyz")["reasons"]
        if reasons:
            raise BenchError("; ".join(reasons))
        yield server.url
    finally:
        server.stop()
