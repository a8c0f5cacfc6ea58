"""Redis as it is deployed: a master with a replica and sentinels, a cluster, TLS. All real processes."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.doubles.certificates import make_certificates
from tests.doubles.redis_server import RedisServer, free_port

Server = TypeVar("Server", bound=RedisServer)

_PATIENCE = 60.0
_SLOTS = 16_384
_DOWN_AFTER = 5000  # milliseconds of silence after which a server counts as down


class RedisSentinel(RedisServer):
    """A sentinel that watches a master."""

    def __init__(self, folder: Path, master: RedisServer, quorum: int) -> None:
        super().__init__(folder)
        self.master = master
        self.quorum = quorum

    def start(self) -> None:
        """Start it; it writes what it learns into its file."""
        file = self.folder / f"sentinel-{self.port}.conf"
        encryption = [f"{name.replace('_', '-')} {value}" for name, value in self.options.items()]
        lines = [
            *(encryption or [f"port {self.port}"]),
            "bind 127.0.0.1",
            f"dir {self.folder}",
            f"sentinel monitor mymaster 127.0.0.1 {self.master.port} {self.quorum}",
            f"sentinel down-after-milliseconds mymaster {_DOWN_AFTER}",
            "sentinel failover-timeout mymaster 5000",
        ]
        file.write_text("\n".join(lines) + "\n")
        self.launch(["redis-server", str(file), "--sentinel"])


class Watched:
    """A master, its replica, and three sentinels."""

    def __init__(self, master: RedisServer, replica: RedisServer, sentinels: Sequence[RedisSentinel]) -> None:
        self.master = master
        self.replica = replica
        self.sentinels = sentinels

    @property
    def url(self) -> str:
        places = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"{_scheme(self.master)}+sentinel://{places}/mymaster/0"


class Cluster:
    """Three masters that share the slots."""

    def __init__(self, nodes: Sequence[RedisServer]) -> None:
        self.nodes = nodes

    @property
    def url(self) -> str:
        return f"{_scheme(self.nodes[0])}+cluster://" + ",".join(
            f"127.0.0.1:{node.port}" for node in self.nodes
        )

    def ask(self, at: int, *command: object) -> Any:
        """What one node itself says, as to an operator."""
        return self.nodes[at].ask(*command)

    def holder(self, name: str) -> int:
        """Which node has what is under this name."""
        return int(self.ask(0, "CLUSTER KEYSLOT", name)) * 3 // _SLOTS

    def move(self, name: str, target: int) -> None:
        """Hand the slot of a name over to another node, with all that is in it."""
        slot, source = self.ask(0, "CLUSTER KEYSLOT", name), self.holder(name)
        to, its = self.ask(target, "CLUSTER MYID").decode(), self.ask(source, "CLUSTER MYID").decode()
        self.ask(target, "CLUSTER SETSLOT", slot, "IMPORTING", its)
        self.ask(source, "CLUSTER SETSLOT", slot, "MIGRATING", to)
        keys = self.ask(source, "CLUSTER GETKEYSINSLOT", slot, 100)
        if keys:
            port = self.nodes[target].port
            self.ask(source, "MIGRATE", "127.0.0.1", port, "", 0, 5000, "KEYS", *keys)
        for at in (target, source):
            self.ask(at, "CLUSTER SETSLOT", slot, "NODE", to)


def _scheme(server: RedisServer) -> str:
    return "rediss" if server.is_encrypted else "redis"


@contextmanager
def open_watched(folder: Path, *, encrypted: bool = False) -> Iterator[Watched]:
    """All five, once the sentinels know of each other and the replica is in step."""
    if encrypted:
        make_certificates(folder)
    with ExitStack() as stack:

        def run(server: Server) -> Server:
            if encrypted:
                server.encrypt()
            return stack.enter_context(_running(server))

        master = run(RedisServer(folder))
        replica = run(RedisServer(folder, replicaof=f"127.0.0.1 {master.port}", repl_diskless_sync_delay=0))
        sentinels = [run(RedisSentinel(folder, master, 2)) for _ in range(3)]
        _until(lambda: all(_knows_all(sentinel) for sentinel in sentinels))
        yield Watched(master, replica, sentinels)


def _knows_all(asked: RedisSentinel) -> bool:
    with asked.client(decode_responses=True) as sentinel:
        masters: Any = sentinel.sentinel_masters()
        replicas: Any = sentinel.sentinel_slaves("mymaster")
    (state,) = masters.values()
    in_step = all(replica["master-link-status"] == "ok" for replica in replicas)
    return (2, 1, True) == (state["num-other-sentinels"], len(replicas), in_step)


@contextmanager
def open_cluster(folder: Path, *, encrypted: bool = False, **options: object) -> Iterator[Cluster]:
    """Three nodes, once each says that all slots are served."""
    if encrypted:
        make_certificates(folder)
    with ExitStack() as stack:
        nodes = []
        for number in range(3):
            node = RedisServer(
                folder,
                cluster_enabled="yes",
                cluster_config_file=f"nodes-{number}.conf",
                cluster_node_timeout=15_000,
                cluster_port=free_port(),
                **options,
            )
            if encrypted:
                node.encrypt()
                node.options["tls_cluster"] = "yes"
            nodes.append(stack.enter_context(_running(node)))
        cluster = Cluster(nodes)
        for at in range(3):
            first, last = -(-at * _SLOTS // 3), -(-(at + 1) * _SLOTS // 3) - 1
            cluster.ask(at, "CLUSTER ADDSLOTSRANGE", first, last)
            for other in nodes:
                cluster.ask(0, "CLUSTER MEET", "127.0.0.1", other.port, other.options["cluster_port"])
        _until(lambda: all(_is_whole(cluster, at) for at in range(3)))
        yield cluster


def _is_whole(cluster: Cluster, at: int) -> bool:
    state = cluster.ask(at, "CLUSTER INFO")
    return state["cluster_state"] == "ok" and len(cluster.ask(at, "CLUSTER SLOTS")) == 3


@contextmanager
def _running(server: Server) -> Iterator[Server]:
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail("Redis is not ready")
        time.sleep(0.05)


@contextmanager
def open_encrypted(folder: Path) -> Iterator[RedisServer]:
    """A server that talks TLS only."""
    make_certificates(folder)
    server = RedisServer(folder)
    server.encrypt()
    with _running(server):
        yield server
