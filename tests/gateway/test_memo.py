"""What is remembered of texts that clients choose: short ones, so that nobody fills a process with long ones."""

from collections.abc import Callable
from typing import Any
from weakref import ref

import pytest

from gateway.memo import LONGEST
from gateway.serving.policies import directives
from gateway.serving.wanted import tenant_of
from gateway.settings.model import Timeouts
from gateway.upstream.client import Call, read_all
from gateway.upstream.http_client import HttpClient
from tests.upstream.pools import at, pool_of, sees
from tests.upstream.raw_server import keeping, open_raw, response


class Text(str):
    """One of which it can be seen whether anybody keeps it."""

    __slots__ = ("__weakref__",)


@pytest.mark.parametrize("work", [tenant_of, directives])
@pytest.mark.parametrize(("length", "is_kept"), [(LONGEST, True), (LONGEST + 1, False), (60_000, False)])
def test_only_short_texts_are_kept(work: Callable[[str], Any], length: int, is_kept: bool) -> None:  # noqa: FBT001
    """Whoever asks under a long key, or with a long Cache-Control, leaves nothing behind."""
    text = Text("k" * length)
    seen = ref(text)
    assert work(text) == work("k" * length)
    del text
    assert is_kept is (seen() is not None)


async def test_long_targets_are_not_kept() -> None:
    """A client's long path and query go upstream and are forgotten."""
    client = HttpClient(Timeouts())
    async with open_raw(keeping(response())) as raw:
        url = Text(f"{raw.url}/v1/files?{'a' * LONGEST}")
        seen = ref(url)
        exchange = await client.send(Call("GET", url, ()))
        assert b"ok" == await read_all(exchange, 10)
        exchange.close()
        del url
        assert seen() is None
        await client.aclose()


async def test_long_names_of_models_are_not_kept() -> None:
    """Who may be asked for a model, and what the pool is for it, is kept by short names only."""
    async with pool_of(at(name="a"), at(name="b")) as pool:
        sees(pool, ["m"], ["m"])
        for length in (LONGEST, LONGEST + 1, 60_000):
            name = Text("m" * length)
            seen = ref(name)
            assert pool.turn(name).pick() is not None
            assert await pool.fingerprint(name)
            del name
            assert (length <= LONGEST) is (seen() is not None)
