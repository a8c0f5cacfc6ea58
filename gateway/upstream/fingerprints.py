"""What a pool is for a model, and how processes that share it come to the same.

A fingerprint is made of what each candidate says of the model. A process that cannot reach one of them would make
another fingerprint than those that can, and pin the same question under another key. So what one process sees of an
upstream is written to the store under the upstream's URL, and whoever cannot look himself takes that for what is
there:

    seen:DIGEST OF URL            the models of an upstream, each with what tells it from another, and its engine
    fingerprint:DIGEST OF MODEL   the fingerprint made last of a model that is listed, for those who know nothing of
                                  any candidate
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import sha256

from gateway.memo import LONGEST
from gateway.store.protocol import Store
from gateway.upstream.looks import Look, fingerprint, read_look, write_look
from gateway.upstream.upstream import Upstream

_MODELS = 1000  # names whose fingerprint is kept: models are few, made-up names are not


class Fingerprints:
    """The fingerprints by model, until what is seen of an upstream changes."""

    def __init__(
        self,
        store: Store,
        upstreams: Sequence[Upstream],
        candidates: Callable[[str], Sequence[Upstream]],
    ) -> None:
        self._store = store
        self._upstreams = upstreams
        self._candidates = candidates
        self._made: OrderedDict[str, str] = OrderedDict()
        self._served: dict[str, str] = {}  # by the models ever seen
        self._is_told = True  # of all changes

    def __len__(self) -> int:
        return len(self._made)

    def known(self, model: str) -> str | None:
        """The fingerprint if it was made since anything changed."""
        return self._made.get(model)

    async def make(self, model: str) -> str | None:
        """The fingerprint; None while no candidate was ever seen, by any process."""
        described = self._described(model)
        name = f"fingerprint:{_digest(model)}"
        if not described:
            return await self._store.recall(name)
        made = fingerprint(described)
        if len(model) <= LONGEST:
            self._made[model] = made
        if len(self._made) > _MODELS:
            self._made.popitem(last=False)
        if any(upstream.knows(model) for upstream in self._upstreams):  # names that are made up have no end
            await self._store.remember(name, made)
        return made

    async def share(self, upstream: Upstream, before: Look) -> None:
        """After a look: tell the others what is new of an upstream, or take their word if it did not answer."""
        if not upstream.is_seen_now:
            await self.recall(upstream)
        elif before != upstream.seen:
            self._forget()
            await self._store.remember(_name(upstream), write_look(upstream.seen))

    async def recall(self, upstream: Upstream) -> None:
        """Take for what is there what another process, or an earlier one, saw last."""
        text = await self._store.recall(_name(upstream))
        found = read_look(text) if text else None
        if found is not None and found.models != upstream.seen.models:
            upstream.see(found)
            self._forget()

    def tell_changes(self) -> None:
        """Tell of the models whose name now stands for something else: what was pinned for them is left behind."""
        if self._is_told:
            return
        self._is_told = True
        for upstream in self._upstreams:
            for model in upstream.seen.models:
                now = fingerprint(self._described(model))
                before = self._served.setdefault(model, now)
                if before != now:
                    self._served[model] = now
                    upstream.tell_changed(model)

    def _described(self, model: str) -> list[str]:
        return [text for upstream in self._candidates(model) for text in upstream.describes(model)]

    def _forget(self) -> None:
        self._made.clear()
        self._is_told = False


def _name(upstream: Upstream) -> str:
    return f"seen:{_digest(upstream.settings.url)}"


def _digest(text: str) -> str:
    return sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]
