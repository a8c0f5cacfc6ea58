"""Three tenants, their keys, and a gateway that knows them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gateway.serving.keyring import digest_of
from gateway.settings.model import KeySettings
from tests.doubles.gateway import Client, open_gateway
from tests.doubles.upstream import Upstream, open_upstream

A, B, ADMIN = "scg-key-of-team-a", "scg-key-of-team-b", "scg-key-of-the-operators"


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def key(name: str, secret: str, **given: Any) -> KeySettings:
    return KeySettings(name=name, sha256=digest_of(secret), **given)


KEYS = (key("a", A), key("b", B), key("ops", ADMIN, admin=True, replace=True))


@asynccontextmanager
async def keyed(*answers: str, **settings: Any) -> AsyncIterator[tuple[Upstream, Client]]:
    async with (
        open_upstream(*answers) as upstream,
        open_gateway(upstream, **({"keys": KEYS} | settings)) as client,
    ):
        yield upstream, client
