"""One contract for all stores: memory, Redis or a cluster with memory in front, and the latter without its Redis."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from math import inf

import pytest

from gateway.settings.model import CacheSettings
from gateway.store.lease import lead
from gateway.store.memory import MemoryStore
from gateway.store.open import open_store as open_by_settings
from gateway.store.protocol import Found, Store
from gateway.store.redis import RedisStore
from tests.doubles.redis_server import free_port
from tests.doubles.waiting import until_async
from tests.store.pins import a_pin
from tests.store.stores import KINDS, PATIENT, body, heard, open_kind, open_store

LIMIT = 1 << 24
LARGE = 5 << 20

BODIES = {
    "empty": b"",
    "json": b'{"id":"cmpl-0","x":"\xc3\xa9"}',
    "lines": b"\n\n\r\n",
    "binary": bytes(range(256)) * 4,
    "not utf-8": b"\xc3\x28\xff",
    "like ours": b"scg1 00000000 {}\n",
    "5 MB": bytes(range(256)) * (LARGE // 256),
}


@pytest.fixture(params=KINDS)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    async with open_kind(request, LIMIT) as opened:
        yield opened


async def test_nothing_is_pinned_at_first(store: Store) -> None:
    """A key that was never pinned has no pin."""
    assert await store.get("a") is None


@pytest.mark.parametrize("kept", BODIES.values(), ids=BODIES)
async def test_a_pin_is_found_byte_for_byte(store: Store, kept: bytes) -> None:
    """What was pinned is found as it was, whatever its body is made of."""
    pin = a_pin(kept)
    assert pin == await store.pin("a", pin, 60)
    found = await store.get("a")
    assert found is not None
    assert (pin, kept) == (found.pin, found.pin.body)


async def test_the_winner_is_told_by_identity(store: Store) -> None:
    """Whoever pins first gets his own pin back, and so knows that he was first."""
    pin = a_pin()
    assert pin is await store.pin("a", pin, 60)
    late = a_pin(b"late")
    assert late is not await store.pin("a", late, 60)


async def test_one_answer_whoever_is_first(store: Store) -> None:
    """A hundred concurrent pins of different answers under one key all get the same one back."""
    pins = [a_pin(b"answer %d" % number) for number in range(100)]
    held = await asyncio.gather(*(store.pin("a", pin, 60) for pin in pins))
    assert {held[0].body} == {pin.body for pin in held}
    assert held[0] in pins
    assert held[0].body == await body(store, "a")


async def test_keys_are_apart(store: Store) -> None:
    """A pin is found under its own key only, also where keys look alike."""
    keys = ["a", "A", "a ", "a:b", "pin:a", " ", "0" * 64, "\u00e9", "a\nb", "*"]
    for key in keys:
        await store.pin(key, a_pin(key.encode()), 60)
    assert [key.encode() for key in keys] == [await body(store, key) for key in keys]


async def test_the_ttl_counts_down(store: Store) -> None:
    """A pin's time left starts at its ttl and shrinks."""
    await store.pin("a", a_pin(), 60)
    found = await store.get("a")
    assert found is not None
    assert 0 < found.ttl <= 60

    async def has_shrunk() -> bool:
        later = await store.get("a")
        return later is not None and later.ttl < found.ttl

    await until_async(has_shrunk)


async def test_a_pin_ends(store: Store) -> None:
    """After its ttl a pin is gone, and the key is free for another."""
    await store.pin("a", a_pin(b"first"), 0.05)
    await until_async(is_gone(store, "a"))
    second = a_pin(b"second")
    assert second is await store.pin("a", second, 60)


async def test_a_replaced_pin_is_gone(store: Store) -> None:
    """Replacing wins over what was pinned, with a time of its own."""
    await store.pin("a", a_pin(b"first"), 0.5)
    await store.replace("a", a_pin(b"second"), 60)
    found = await store.get("a")
    assert found is not None
    assert (b"second", True) == (found.pin.body, found.ttl > 0.5)


async def test_replacing_needs_nothing_to_replace(store: Store) -> None:
    """Replacing pins where nothing was, and holds against later pins."""
    await store.replace("a", a_pin(b"first"), 60)
    assert b"first" == (await store.pin("a", a_pin(b"second"), 60)).body


async def test_a_replacement_ends(store: Store) -> None:
    """A replacement's ttl counts, not that of the pin before it."""
    await store.pin("a", a_pin(b"first"), 60)
    await store.replace("a", a_pin(b"second"), 0.05)
    await until_async(is_gone(store, "a"))


async def test_a_deleted_pin_is_gone(store: Store) -> None:
    """Deleting says whether there was a pin, removes it, and leaves the key free."""
    await store.pin("a", a_pin(b"first"), 60)
    assert [True, False] == [await store.delete("a"), await store.delete("a")]
    assert await store.get("a") is None
    second = a_pin(b"second")
    assert second is await store.pin("a", second, 60)


async def test_other_pins_stay(store: Store) -> None:
    """Deleting and replacing touch their own key only."""
    for key in ("a", "b", "c"):
        await store.pin(key, a_pin(key.encode()), 60)
    await store.delete("a")
    await store.replace("b", a_pin(b"new"), 60)
    assert [None, b"new", b"c"] == [await body(store, key) for key in ("a", "b", "c")]


async def test_texts_are_remembered(store: Store) -> None:
    """A text is recalled as it was last told, and pins know nothing of it."""
    assert await store.recall("fingerprint") is None
    for text in ("v1", "", "caf\u00e9 \u2713\n"):
        await store.remember("fingerprint", text)
        assert text == await store.recall("fingerprint")
    for text, ttl in (("a", 60.0), ("b", inf), ("c", 60.0), ("d", 30.0)):
        await store.remember("holder", text, ttl)
        assert text == await store.recall("holder")
    assert await store.get("fingerprint") is None


async def test_sizes_tell_what_is_held(store: Store) -> None:
    """Entries and bytes grow with pins, bodies included, and never beyond the bound."""
    assert {"entries": 0, "bytes": 0, "limit": LIMIT} == store.sizes()
    for number in range(4):
        await store.pin(f"{number}", a_pin(bytes(LARGE)), 60)
    sizes = store.sizes()
    assert (3, True) == (sizes["entries"], 3 * LARGE < sizes["bytes"] <= LIMIT)


async def test_closing_twice_is_closing_once(store: Store) -> None:
    """A closed store still answers from what it holds, and may be closed again."""
    await store.pin("a", a_pin(), 60)
    await store.aclose()
    await store.aclose()
    assert a_pin().body == await body(store, "a")


def is_gone(store: Store, key: str) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        return await store.get(key) is None

    return ask


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("memory://", MemoryStore),
        ("memory:", MemoryStore),
        ("redis://127.0.0.1:{port}/0", RedisStore),
        ("rediss://127.0.0.1:{port}/0", RedisStore),
        ("redis+sentinel://127.0.0.1:{port}/mymaster", RedisStore),
        ("redis+cluster://127.0.0.1:{port}", RedisStore),
    ],
)
async def test_the_url_names_the_store(url: str, kind: type) -> None:
    """Settings open the store that their URL names, with the bound that they give."""
    from prometheus_client import CollectorRegistry

    from gateway.telemetry.metrics import Metrics

    settings = CacheSettings(url=url.format(port=free_port()), memory=4096, timeout=PATIENT)
    opened = open_by_settings(settings, Metrics(CollectorRegistry()))
    assert (kind, 4096) == (type(opened), opened.sizes()["limit"])
    await opened.aclose()


@pytest.mark.processes
async def test_a_pin_is_found_where_it_is(request: pytest.FixtureRequest) -> None:
    """A pin of another process is found in Redis first and in memory from then on."""
    url = request.getfixturevalue("redis_server").url
    async with open_store(url) as one, open_store(url) as other:
        await heard(other, one.pin("a", a_pin(), 60))
        found = [await other.get("a"), await other.get("a"), await one.get("a")]
        assert ["redis", "memory", "memory"] == [each and each.where for each in found]


async def test_a_lone_process_leads(store: Store) -> None:
    """A lease that nobody else holds is given, renewed and given back; with nobody to follow, no one waits."""
    assert [True, True] == [await store.claim("a", "me"), await store.claim("a", "me")]
    await store.release("a", "me")
    assert await store.follow("a", "you") is None
    await store.pin("a", a_pin(), 60)
    found = await store.follow("a", "you")
    assert isinstance(found, Found)
    assert a_pin() == found.pin


async def test_a_lone_process_votes_once(store: Store) -> None:
    """Leading is granted at once, held until the end, and not asked for again where there is a verdict."""
    async with lead(store, "a") as led:
        assert (None, True) == (led.found, led.is_held)
        await store.pin("a", a_pin(), 60)
    assert not led.is_held
    async with lead(store, "a") as again:
        assert again.found is not None
