"""What requests turned out to cost, drawn from their tenants' buckets afterwards."""

import asyncio

from gateway.core.rate import Draw
from gateway.settings.model import KeySettings
from gateway.store.protocol import Store


class Accounts:
    """Corrections of what was reserved. They are gathered while one is under way, so that nobody waits for them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._owed: dict[tuple[str, int], float] = {}  # tokens, by tenant and limit
        self._settling: asyncio.Task[None] | None = None

    def charge(self, key: KeySettings, tokens: float) -> None:
        """Draw so many tokens from a tenant's bucket, or give them back if they are fewer than none."""
        if key.tpm is None or not tokens:
            return
        bucket = key.name, key.tpm
        self._owed[bucket] = self._owed.get(bucket, 0) + tokens
        if self._settling is None or self._settling.done():
            self._settling = asyncio.create_task(self._settle())

    async def aclose(self) -> None:
        """Wait until all is told."""
        if self._settling is not None:
            await self._settling

    async def _settle(self) -> None:
        while self._owed:
            (tenant, limit), tokens = self._owed.popitem()
            await self._store.draw(tenant, [Draw("tokens", limit, tokens, is_fact=True)])
