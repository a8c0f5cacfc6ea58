"""Streams through each subject against the same streams without it, in turns."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.machine import Quiet
from benchmarks.processes import BenchError, Group
from benchmarks.results import Results, StreamRun
from benchmarks.servers import Servers
from benchmarks.subjects import MODES

_CLIENT = Path(__file__).resolve().parent / "programs/stream_client.py"


@dataclass(frozen=True, slots=True)
class Streamer:
    """A running server that streams pass through; without a group, the upstream itself."""

    name: str
    title: str
    url: str
    group: Group | None
    model: str = "m"


@dataclass(frozen=True, slots=True)
class Shape:
    """So many streams at once. All but the lone one make the same 2,500 chunks a second."""

    streams: int
    rounds: int
    chunks: int
    interval_ms: int


FULL_SHAPES = (Shape(1, 150, 3, 5), Shape(50, 1, 64, 20), Shape(500, 1, 16, 200))
QUICK_SHAPES = (Shape(1, 50, 3, 5), Shape(50, 1, 32, 20))


def own_streamers(servers: Servers) -> list[Streamer]:
    """The upstream itself, the floor, and the gateway with a request that it passes through."""
    upstream = servers.sse_upstream()
    floor = servers.floor("floor-proxy", upstream)
    gateway = servers.gateway(upstream, MODES["pass-through"].settings)
    return [
        Streamer("direct", "no proxy", upstream.url, None),
        Streamer("floor-proxy", "shortest aiohttp proxy", floor.url, floor.group),
        Streamer("gateway", "pass-through", gateway.url, gateway.group),
    ]


def measure_streams(
    streamers: Sequence[Streamer], shapes: Sequence[Shape], turns: int, quiet: Quiet, results: Results
) -> None:
    """Every streamer in every shape, once a turn."""
    results.titles |= {streamer.name: streamer.title for streamer in streamers}
    for turn in range(turns):
        for shape in shapes:
            print(f"turn {turn + 1} of {turns}, {shape.streams} streams", file=sys.stderr)
            for streamer in streamers:
                quiet.wait()
                results.streams.append(_measure(streamer, shape, turn))


def _measure(streamer: Streamer, shape: Shape, turn: int) -> StreamRun:
    before = _cpu_seconds(streamer)
    said = _ask(streamer, shape)
    cpu_us = 1e6 * (_cpu_seconds(streamer) - before) / max(1, said["chunks"])
    measured = {"turn": turn, "subject": streamer.name, "streams": shape.streams, "cpu_us": cpu_us}
    return msgspec.convert(said | measured, StreamRun)


def _cpu_seconds(streamer: Streamer) -> float:
    return streamer.group.cpu_seconds() if streamer.group else 0.0


def _ask(streamer: Streamer, shape: Shape) -> dict[str, Any]:
    """What the client says."""
    numbers = (shape.streams, shape.rounds, shape.chunks, shape.interval_ms)
    command = [
        sys.executable,
        str(_CLIENT),
        streamer.url,
        streamer.model,
        *map(str, numbers),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"streams through {streamer.name}: {done.stderr.strip()[-300:]}")
    said: dict[str, Any] = msgspec.json.decode(done.stdout)
    return said
