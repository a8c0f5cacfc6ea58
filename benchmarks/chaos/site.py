"""Everything that can break: a Redis that keeps what it is told, three replicas, a gateway of several workers."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import aiohttp
from redis.asyncio import Redis
from redis.exceptions import RedisError

from benchmarks.processes import Server, free_port, start

REPLICAS = 3
_SETTINGS = {
    "SCG_CACHE__MEMORY": "16MiB",
    "SCG_CACHE__TIMEOUT": "2s",  # on a crowded machine a quarter of a second is soon gone
    "SCG_TIMEOUTS__CONNECT": "2s",
    "SCG_TIMEOUTS__FIRST_BYTE": "5s",
    "SCG_TIMEOUTS__IDLE": "2s",
    "SCG_TIMEOUTS__TOTAL": "30s",
    "SCG_LOG__ROUNDS": "off",
}


@dataclass(slots=True)
class Site:
    """What runs, and the means to break it."""

    folder: Path
    redis_port: int = field(default_factory=free_port)
    replica_ports: list[int] = field(default_factory=lambda: [free_port() for _ in range(REPLICAS)])
    gateway_port: int = field(default_factory=free_port)
    redis: Server | None = None
    replicas: dict[int, Server] = field(default_factory=dict)
    gateway: Server | None = None

    @property
    def url(self) -> str:
        """Of the gateway."""
        return f"http://127.0.0.1:{self.gateway_port}"

    def start_redis(self) -> None:
        """Every write is on disk before it is answered, so that SIGKILL forgets nothing that anybody was told."""
        command = ["redis-server", "--port", str(self.redis_port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--appendonly", "yes", "--appendfsync", "always", "--dir", str(self.folder)]
        self.redis = start("redis", command, self.redis_port, self.folder / "redis.log")

    def start_replica(self, number: int) -> None:
        """Replica `number`, sound."""
        port = self.replica_ports[number]
        command = [sys.executable, "-m", "benchmarks.chaos.replica", str(port)]
        self.replicas[number] = start(
            f"replica {number}", command, port, self.folder / f"replica{number}.log"
        )

    def start_gateway(self, workers: int) -> None:
        """With the settings of this site."""
        environment = dict(_SETTINGS) | {
            "SCG_PORT": str(self.gateway_port),
            "SCG_WORKERS": str(workers),
            "SCG_CACHE__URL": f"redis://127.0.0.1:{self.redis_port}/0",
        }
        for number, port in enumerate(self.replica_ports):
            environment[f"SCG_UPSTREAMS__{number}__URL"] = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "gateway", "serve"]
        self.gateway = start("gateway", command, self.gateway_port, self.folder / "gateway.log", environment)

    async def redis_answers(self) -> None:
        """Wait until Redis serves."""
        async with Redis(port=self.redis_port) as redis:
            while True:
                with suppress(RedisError):
                    if await redis.ping():
                        return
                await asyncio.sleep(0.05)

    async def fault(self, number: int, kind: str) -> None:
        """Let a replica do that from now on."""
        url = f"http://127.0.0.1:{self.replica_ports[number]}/fault"
        async with aiohttp.ClientSession() as session, session.post(url, data=kind) as response:
            response.raise_for_status()

    def kill(self, server: Server | None) -> None:
        """SIGKILL."""
        assert server is not None
        server.process.kill()
        server.process.wait()

    def signal_redis(self, number: signal.Signals) -> None:
        """SIGSTOP: connections stand, and nothing answers; SIGCONT."""
        assert self.redis is not None
        self.redis.process.send_signal(number)

    def kill_a_worker(self) -> None:
        """SIGKILL to one of the processes that the gateway's first one has started."""
        assert self.gateway is not None
        workers = [pid for pid in self.gateway.group.members() if pid != self.gateway.process.pid]
        assert workers, "the gateway has no workers"
        os.kill(workers[0], signal.SIGKILL)

    def memory(self) -> float:
        """Resident memory of all the gateway's processes, in millions of bytes."""
        assert self.gateway is not None
        return self.gateway.group.rss_mb()

    def close(self) -> None:
        """End everything."""
        for server in (self.gateway, *self.replicas.values(), self.redis):
            if server is not None:
                with suppress(ProcessLookupError):
                    os.killpg(server.process.pid, signal.SIGCONT)
                server.stop()


@asynccontextmanager
async def open_site(folder: Path, workers: int) -> AsyncIterator[Site]:
    """All of it, ready."""
    site = Site(folder)
    try:
        site.start_redis()
        await site.redis_answers()
        for number in range(REPLICAS):
            site.start_replica(number)
        for replica in site.replicas.values():
            await asyncio.to_thread(replica.wait_until_ready, "/version")
        site.start_gateway(workers)
        assert site.gateway is not None
        await asyncio.to_thread(site.gateway.wait_until_ready, "/readyz")
        yield site
    finally:
        await asyncio.to_thread(site.close)


@dataclass(slots=True)
class MemoryCurve:
    """Resident memory of the gateway over time: seconds since the start, millions of bytes."""

    began: float = field(default_factory=monotonic)
    points: list[tuple[float, float]] = field(default_factory=list)

    @property
    def most(self) -> float:
        """The highest point, in millions of bytes."""
        return max(megabytes for _, megabytes in self.points)

    async def keep(self, site: Site, every: float = 1.0) -> None:
        """Look for ever."""
        while True:
            self.points.append((monotonic() - self.began, site.memory()))
            await asyncio.sleep(every)
