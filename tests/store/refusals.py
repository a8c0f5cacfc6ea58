"""A Redis that answers and takes no writes, for every reason that it has, and one that lets them wait."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

from gateway.store.redis import RedisStore
from tests.doubles.redis_server import RedisServer
from tests.doubles.waiting import until
from tests.store.stores import hurried

REFUSALS = ("no replicas", "a replica itself", "no memory", "no disk")
STALL = "a pause"

_SWITCHES: dict[str, tuple[tuple[object, ...], tuple[object, ...]]] = {
    "no replicas": (("CONFIG", "SET", "min-replicas-to-write", 1), ("CONFIG", "SET", "min-replicas-to-write", 0)),
    "a replica itself": (("REPLICAOF", "127.0.0.1", 1), ("REPLICAOF", "NO", "ONE")),
    "no memory": (("CONFIG", "SET", "maxmemory", 1), ("CONFIG", "SET", "maxmemory", 0)),
    "no disk": (("CONFIG", "SET", "save", "3600 1"), ("CONFIG", "SET", "save", "")),
    STALL: (("CLIENT", "PAUSE", 600_000, "WRITE"), ("CLIENT", "UNPAUSE")),
}  # fmt: skip


@asynccontextmanager
async def no_writes(server: RedisServer, why: str, *stores: RedisStore) -> AsyncIterator[None]:
    """Meanwhile it takes none, and is read from as before; a pause is one that these stores do not wait for long."""
    server.ask(*_SWITCHES[why][0])
    if why == "no disk":
        (server.folder / "dump.rdb").mkdir()  # where the file should be
        server.ask("BGSAVE")
        await until(lambda: server.ask("INFO", "persistence")["rdb_last_bgsave_status"] == "err")
    with hurried(*stores) if why == STALL else nullcontext():
        yield
        server.ask(*_SWITCHES[why][1])
