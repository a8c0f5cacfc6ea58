"""The upstreams: which are there, which serve a model, whose turn it is."""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Any

from gateway.settings.model import UpstreamSettings
from gateway.store.protocol import Store
from gateway.telemetry.metrics import Metrics
from gateway.upstream.client import Client, Headers, UpstreamFailure
from gateway.upstream.engines import PLAIN
from gateway.upstream.looks import DOWN, PATIENCE, Look, fingerprint, list_models, look
from gateway.upstream.slots import Slots
from gateway.upstream.trust import Trust

_LOG = logging.getLogger(__name__)
_LOOK_EVERY = 5.0
_MODELS = 1000  # names whose fingerprint is kept: models are few, made-up names are not


class Upstream:
    """One server and what is known of it."""

    def __init__(self, settings: UpstreamSettings, client: Client, metrics: Metrics) -> None:
        self.settings = settings
        self.client = client
        self.slots = Slots(settings.max_in_flight)
        self._metrics = metrics
        self.meter = metrics.upstream(settings.name, self.slots)
        self.seen: Look = DOWN
        self.is_up = True  # until a look or a call says otherwise
        self.trust = Trust(settings)

    @property
    def name(self) -> str:
        """Its name in metrics and logs."""
        return self.settings.name

    @property
    def engine(self) -> str:
        """Which dialect it speaks: as configured, else as seen; plain OpenAI until it was seen."""
        configured = self.settings.engine
        return configured if configured != "auto" else self.seen.engine or PLAIN

    def serves(self, model: str) -> bool:
        """Whether it was configured or seen to serve this model."""
        if self.settings.models:
            return any(fnmatchcase(model, pattern) for pattern in self.settings.models)
        return model in self.seen.models

    def knows(self, model: str) -> bool:
        """Whether this very name was configured or seen; a pattern that it matches is not enough."""
        return model in self.seen.models or model in self.settings.models

    def describes(self, model: str) -> list[str]:
        """What tells this model here from another one under its name; empty while nothing is known."""
        if self.settings.revision:
            return [f"revision {self.settings.revision}"]
        if model in self.seen.models:
            return [self.seen.models[model]]
        return list(self.seen.models.values())  # an alias: whatever is served may answer

    def dress(self, headers: Headers) -> Headers:
        """A request's header with this server's own key and fields, which replace the client's."""
        settings = self.settings
        if settings.api_key is None and not settings.headers:
            return headers
        own = list(settings.headers)
        if settings.api_key:
            own.append(("authorization", f"Bearer {settings.api_key}"))
            if any(name.lower() == "x-api-key" for name, _ in headers):  # Anthropic's clients send theirs so
                own.append(("x-api-key", settings.api_key))
        replaced = {name.lower() for name, _ in own}
        return [*(pair for pair in headers if pair[0].lower() not in replaced), *own]

    def tell_changed(self, model: str) -> None:
        """Note that this model is not what it was."""
        _LOG.warning("model %s is served as something else than before: it is voted on anew", model)
        self._metrics.fingerprint_changed(model)

    async def list_models(self, headers: Headers) -> list[dict[str, Any]] | None:
        """The models as the server lists them for this client; None if it does not answer in time."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await list_models(self.client, self.settings.url, self.dress(headers))
        except (UpstreamFailure, TimeoutError):
            return None

    def mark(self, *, up: bool) -> None:
        """Note whether it can be reached."""
        if up != self.is_up:
            self.is_up = up
            self.meter.up(up=up)
            _LOG.warning("upstream %s at %s is %s", self.name, self.settings.url, "back" if up else "down")

    async def look(self) -> None:
        """Look once. What was seen before stays known while the server is away, or lists nothing."""
        configured = self.settings.engine
        known = self.seen.engine if configured == "auto" else configured
        found = await look(
            self.client, self.settings.url, self.dress([("accept", "application/json")]), known
        )
        self.mark(up=found.reachable)
        for model in found.models.keys() - self.seen.models.keys():
            self._metrics.expect(model)
        if found.models or not self.seen.models:
            self.seen = found

    async def probe(self) -> None:
        """Probe it, if it is to be trusted as a reference lane and that has to be seen."""
        headers = self.dress([("accept", "application/json")])
        await self.trust.look(self.client, self.slots, self.seen, self.engine, headers)


class Pool:
    """All upstreams of a process."""

    def __init__(self, upstreams: Sequence[Upstream], store: Store) -> None:
        self.upstreams = tuple(upstreams)
        self.first_look = asyncio.Event()  # set once it and its probes have ended for all, well or badly
        self._store = store
        self._turns: Counter[tuple[str, ...]] = Counter()  # rounds so far by who could answer
        self._fingerprints: dict[str, str] = {}
        self._served: dict[str, str] = {}  # fingerprints by the models ever seen

    @property
    def down(self) -> list[str]:
        """Names of the upstreams that cannot be reached."""
        return [upstream.name for upstream in self.upstreams if not upstream.is_up]

    @property
    def doubted(self) -> dict[str, str]:
        """Reference lanes that are not used as such: name and reason."""
        return {each.name: each.trust.doubt for each in self.upstreams if each.trust.doubt}

    @property
    def unknown(self) -> list[str]:
        """Names of the upstreams that are there and of which nobody can say what they serve."""
        return [
            each.name
            for each in self.upstreams
            if each.is_up and not each.seen.models and not each.settings.revision
        ]

    def candidates(self, model: str) -> Sequence[Upstream]:
        """Who may answer for a model: those that serve it, else all (one of them will say that it is unknown)."""
        if len(self.upstreams) == 1:
            return self.upstreams
        return [upstream for upstream in self.upstreams if upstream.serves(model)] or self.upstreams

    def turn(self, model: str, lane: str = "fast") -> Sequence[Upstream]:
        """The candidates of a lane in the order for one round: sample i asks number i, round the circle.

        Those that are down are left out unless all are: a pool's last upstream is never taken away. Without a
        fast upstream the reference lane serves all; a reference lane that is not trusted serves nobody as such.
        """
        candidates = _in_lane(self.candidates(model), lane)
        if len(candidates) <= 1:
            return candidates
        reachable = [upstream for upstream in candidates if upstream.is_up] or candidates
        names = tuple(upstream.name for upstream in reachable)
        first = self._turns[names] % len(reachable)
        self._turns[names] += 1
        return [*reachable[first:], *reachable[:first]]

    def known_fingerprint(self, model: str) -> str | None:
        """`fingerprint` without waiting: None unless it was asked for since the pool last changed."""
        return self._fingerprints.get(model)

    async def fingerprint(self, model: str) -> str | None:
        """What the pool is for this model; None while no candidate was ever seen, by any process.

        It is remembered in the store, so that what is pinned is served while every upstream is down.
        """
        known = self._fingerprints.get(model)
        if known is None:
            described = self._described(model)
            name = f"fingerprint:{sha256(model.encode(errors='surrogatepass')).hexdigest()[:32]}"
            if not described:
                return await self._store.recall(name)
            known = fingerprint(described)
            if len(self._fingerprints) < _MODELS:
                self._fingerprints[model] = known
                await self._store.remember(name, known)
        return known

    def _described(self, model: str) -> list[str]:
        return [text for upstream in self.candidates(model) for text in upstream.describes(model)]

    async def look(self) -> None:
        """Look at every upstream at once."""
        before = [upstream.seen for upstream in self.upstreams]
        await asyncio.gather(*(upstream.look() for upstream in self.upstreams))
        if before != [upstream.seen for upstream in self.upstreams]:
            self._fingerprints.clear()
            self._note_changes()

    def _note_changes(self) -> None:
        """Tell of the models whose name now stands for something else: what was pinned for them is left behind."""
        for upstream in self.upstreams:
            for model in upstream.seen.models:
                now = fingerprint(self._described(model))
                before = self._served.setdefault(model, now)
                if before != now:
                    self._served[model] = now
                    upstream.tell_changed(model)

    async def keep_looking(self) -> None:
        """Look for ever, every few seconds."""
        while True:
            await self.look()
            await asyncio.gather(*(upstream.probe() for upstream in self.upstreams))
            self.first_look.set()
            await asyncio.sleep(_LOOK_EVERY)


def _in_lane(candidates: Sequence[Upstream], lane: str) -> Sequence[Upstream]:
    if lane == "reference":
        return [each for each in candidates if each.settings.lane == "reference" and each.trust.is_given]
    if len(candidates) == 1:
        return candidates
    return [each for each in candidates if each.settings.lane == "fast"] or candidates
