"""Look-ups share one connection: what each may cost the others."""

import asyncio

import pytest

from gateway.store.codec import encode_pin
from gateway.store.lookups import MOST
from tests.doubles.redis_server import RedisServer
from tests.store.pins import a_pin
from tests.store.relay import ANNOUNCEMENTS, REPLIES, Relay
from tests.store.stores import body, hurried, listening, open_store

pytestmark = pytest.mark.processes
ON_BOTH_LOOPS = True

HEAD = len(encode_pin(a_pin(b"")))  # what is stored beside the body


async def test_a_large_pin_holds_up_nobody(redis_server: RedisServer, relay: Relay) -> None:
    """Of a pin of megabytes only the beginning comes over the connection that others wait on."""
    large, small = a_pin(bytes(range(256)) * 40_000), a_pin(b"small")
    async with open_store(relay.url, memory=0) as store, open_store(redis_server.url) as other:
        await other.pin("large", large, 60)
        await other.pin("small", small, 60)
        asked = [body(store, key) for key in ("small", "large", "small")]
        assert [b"small", large.body, b"small"] == await asyncio.gather(*asked)
        (line,) = relay.lines_asked(b"GETRANGE")
        assert line.answered < MOST + 3000
        assert not store.is_degraded


@pytest.mark.parametrize("more", [-1, 0, 1])
async def test_every_size_comes_whole(redis_server: RedisServer, more: int) -> None:
    """Pins of just below, at and above what a look-up asks for are found byte for byte."""
    pin = a_pin(b"x" * (MOST - HEAD + more))
    async with open_store(redis_server.url, memory=0) as store:
        await store.pin("a", pin, 60)
        assert pin.body == await body(store, "a")


async def test_all_that_hang_give_up(relay: Relay) -> None:
    """Hundreds of look-ups on a line that has fallen silent all end, each with none, and Redis counts as away."""
    async with open_store(relay.url, memory=0) as store:
        assert await store.get("a") is None
        relay.hold(REPLIES, ANNOUNCEMENTS)
        with hurried(store):
            assert [None] * 300 == await asyncio.gather(*(store.get(f"{key}") for key in range(300)))
        assert store.is_degraded
        await relay.let_go()
        await listening(store)
