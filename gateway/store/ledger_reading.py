"""The vote ledger from its other end: entries, the oldest first."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from typing import Any, NamedTuple

import msgspec

from gateway.core.ledger import Entry
from gateway.settings.model import CacheSettings
from gateway.store.away import mapped
from gateway.store.ways import open_servers

_AT_ONCE = 500
_PATIENCE = 10.0  # seconds for one page: nobody's request waits for it


class Written(NamedTuple):
    """What is at a place of the stream; no entry where it cannot be read as one."""

    place: str
    entry: Entry | None


async def read_ledger(
    settings: CacheSettings, since: str = "-", last: int | None = None
) -> AsyncGenerator[Written]:
    """All from `since` on, or the `last` ones of these; Away if Redis does not answer.

    `since` is an id of Redis's or milliseconds since 1970; `-` is the beginning. `last` is read at once.
    """
    servers, name = open_servers(settings), f"{settings.prefix}:ledger"
    try:
        if last is not None:
            for place, fields in reversed(await _in_time(servers.client.xrevrange(name, "+", since, last))):
                yield _written(place, fields)
            return
        while found := await _in_time(servers.client.xrange(name, since, "+", _AT_ONCE)):
            for place, fields in found:
                yield _written(place, fields)
            since = f"({found[-1][0].decode()}"
    finally:
        await servers.aclose()


async def _in_time(page: Awaitable[Any]) -> Any:
    with mapped():
        try:
            async with asyncio.timeout(_PATIENCE):
                return await page
        except TimeoutError as error:
            raise TimeoutError(f"no answer within {_PATIENCE:g}s") from error


def _written(place: bytes, fields: dict[bytes, bytes]) -> Written:
    try:
        return Written(place.decode(), msgspec.json.decode(fields[b"round"], type=Entry))
    except (KeyError, msgspec.DecodeError):
        return Written(place.decode(), None)
