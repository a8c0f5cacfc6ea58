"""Who is let in to Redis, and what each may touch: TLS, a user of its own, prefixes."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from gateway.core.rate import Draw
from gateway.store.redis import RedisStore
from tests.doubles.redis_server import RedisServer, skip_without_redis
from tests.doubles.redis_servers import Cluster, Watched, open_cluster, open_watched
from tests.store.pins import a_pin
from tests.store.stores import alone, bodies, body, heard, open_store

pytestmark = pytest.mark.processes
ON_BOTH_LOOPS = True

ONE, OTHER = a_pin(b"one"), a_pin(b"other")

# As docs/redis.md has them.
ACL = (
    "ON", ">p@ss", "RESETKEYS", "~scg:*", "RESETCHANNELS", "&scg:changed", "-@all",
    "+ping", "+select", "+role", "+eval", "+evalsha", "+publish", "+subscribe", "+unsubscribe",
    "+get", "+set", "+del", "+getrange", "+strlen", "+type", "+pttl", "+exists",
    "+zadd", "+zrem", "+zcount", "+zremrangebyscore", "+pexpire", "+time", "+hget", "+hset", "+xadd",
)  # fmt: skip
ACL_OF_A_CLUSTER = ("+command", "+cluster|slots", "+cluster|info", "+asking")


async def use(store: RedisStore, other: RedisStore) -> None:
    """Everything that Redis is asked for."""
    large = a_pin(bytes(1 << 20))
    await heard(other, store.pin("a", ONE, 60))
    assert [b"one", b"one"] == await bodies((store, other))
    await heard(other, store.replace("a", large, 60))
    assert large.body == await body(other, "a")
    assert [True, False] == [await store.claim("b", "me"), await other.claim("b", "you")]
    await heard(other, store.release("b", "me"))
    assert await store.follow("b", "you") is None
    await store.remember("text", "told")
    assert "told" == await other.recall("text")
    drawn = [await each.draw("tenant", [Draw("requests", 1, 1)]) for each in (store, other)]
    assert [False, True] == [level.is_refused for (level,) in drawn]
    assert await store.delete("a")
    assert [False, False] == [each.is_degraded for each in (store, other)]


async def test_tls_with_a_private_authority(encrypted: RedisServer, tmp_path: Path) -> None:
    """Over TLS all works as without, look-ups on their own connection included."""
    url = encrypted.url.replace("redis://", "rediss://")
    ca_file = str(tmp_path / "ca.pem")
    async with (
        open_store(url, ca_file=ca_file) as store,
        open_store(f"{url}?ssl_ca_certs={ca_file}") as other,
    ):
        await use(store, other)
        assert other._link.is_open("a")


async def test_tls_by_somebody_unknown(encrypted: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """A server whose certificate nobody known has signed is away, and the log says why."""
    async with open_store(encrypted.url.replace("redis://", "rediss://"), is_up=False) as store:
        await alone(store)
        assert ONE is await store.pin("a", ONE, 60)
    assert "CERTIFICATE_VERIFY_FAILED" in caplog.text


async def test_tls_unverified(encrypted: RedisServer) -> None:
    """`ssl_cert_reqs=none` takes any certificate, as with redis-py."""
    url = encrypted.url.replace("redis://", "rediss://") + "?ssl_cert_reqs=none"
    async with open_store(url) as store, open_store(url) as other:
        await use(store, other)


@pytest.mark.parametrize("opened", [open_cluster, open_watched], ids=["cluster", "sentinels"])
async def test_tls_with_many_servers(
    opened: Callable[..., AbstractContextManager[Cluster | Watched]], tmp_path: Path
) -> None:
    """Over TLS to every node of a cluster, or to the sentinels and the master that they name, all works likewise."""
    skip_without_redis()
    with opened(tmp_path, encrypted=True) as servers:
        assert servers.url.startswith("rediss+")
        ca_file = str(tmp_path / "ca.pem")
        async with (
            open_store(servers.url, ca_file=ca_file) as store,
            open_store(servers.url, ca_file=ca_file) as other,
        ):
            await use(store, other)
            assert other._link.is_open("a")


async def test_a_user_of_its_own(redis_server: RedisServer) -> None:
    """A user that may do what the documentation lists, under the prefix only, is enough for everything."""
    redis_server.ask("ACL", "SETUSER", "scg", *ACL)
    url = redis_server.url.replace("redis://", "redis://scg:p%40ss@")
    async with open_store(url) as store, open_store(url) as other:
        await use(store, other)
    assert [] == redis_server.ask("ACL", "LOG")


async def test_a_user_of_its_own_on_a_cluster(cluster: Cluster) -> None:
    """The same on a cluster, with what its map takes besides."""
    for node in range(3):
        cluster.ask(node, "ACL", "SETUSER", "scg", *ACL, *ACL_OF_A_CLUSTER)
    url = cluster.url.replace("redis+cluster://", "redis+cluster://scg:p%40ss@")
    async with open_store(url) as store, open_store(url) as other:
        await use(store, other)


async def test_a_user_of_another_prefix_is_kept_out(redis_server: RedisServer) -> None:
    """With a prefix that the user may not touch, Redis is away, and requests are served."""
    redis_server.ask("ACL", "SETUSER", "scg", *ACL)
    url = redis_server.url.replace("redis://", "redis://scg:p%40ss@")
    async with open_store(url, prefix="else", is_up=False) as store:
        await alone(store)
        assert ONE is await store.pin("a", ONE, 60)
    assert [] == redis_server.ask("KEYS", "*")


async def test_prefixes_do_not_see_each_other(redis_server: RedisServer) -> None:
    """Two gateways with different prefixes on one Redis share no pin, no lease, no text and no announcement."""
    url = redis_server.url
    async with open_store(url, prefix="one") as one, open_store(url, prefix="two") as two:
        assert [ONE, OTHER] == [await one.pin("a", ONE, 60), await two.pin("a", OTHER, 60)]
        assert [b"one", b"other"] == await bodies((one, two))
        assert [True, True] == [await one.claim("b", "me"), await two.claim("b", "you")]
        await one.remember("text", "told")
        assert await two.recall("text") is None
        await one.delete("a")
        assert [None, b"other"] == await bodies((one, two))
        assert two.memory.look_up("a") is not None
