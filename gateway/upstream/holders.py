"""Which upstream holds what was stored under an id: a response, a conversation.

Only that one can go on from it. What one process is told all processes know, by the store:

    holder:DIGEST OF ID   a digest of the upstream's URL and, for people, its name
"""

from collections.abc import Sequence
from hashlib import sha256

from gateway.errors import UpstreamGone
from gateway.store.protocol import Store
from gateway.upstream.upstream import Upstream

KEPT = 7 * 86_400.0  # seconds; servers that store answers in memory hold them for less, OpenAI for a month


class Holders:
    """The upstreams of a pool by the ids that they gave out. By their URLs: names may be given anew."""

    def __init__(self, store: Store, upstreams: Sequence[Upstream]) -> None:
        self._store = store
        self._by_url = {_digest(each.settings.url): each for each in reversed(upstreams)}

    async def note(self, stored: str, upstream: Upstream) -> None:
        """This upstream holds what is stored under this id."""
        value = f"{_digest(upstream.settings.url)} {upstream.name}"
        await self._store.remember(_name(stored), value, KEPT)

    async def find(self, stored: str, param: str | None = None) -> Upstream | None:
        """Who holds it, None if nobody knows; UpstreamGone, naming `param`, if it is in no configuration any more."""
        value = await self._store.recall(_name(stored))
        if not value:
            return None
        url, _, name = value.partition(" ")
        holder = self._by_url.get(url)
        if holder is None:
            raise UpstreamGone(
                f"{stored} is kept by upstream {name}, which is no longer configured here: no other one knows of it",
                param=param,
            )
        return holder


def _name(stored: str) -> str:
    return f"holder:{_digest(stored)}"


def _digest(text: str) -> str:
    return sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]
