"""One server: what is known of it, how it fares, and whether it may be asked now."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from math import inf
from random import random
from time import monotonic
from typing import Protocol
from weakref import WeakSet

from gateway.core.breaker import Breaker
from gateway.core.usual import Usual
from gateway.settings.model import BreakerSettings, HealthSettings, UpstreamSettings
from gateway.telemetry.metrics import Metrics
from gateway.upstream.client import Client, Headers, UpstreamFailure
from gateway.upstream.engines import PLAIN
from gateway.upstream.looks import DOWN, Listing, Look, list_models, look
from gateway.upstream.slots import Slots
from gateway.upstream.trust import Trust

_LOG = logging.getLogger(__name__)

_FAILED = frozenset({"unreachable", "timeout", "broken", "garbage"})  # results that a breaker counts
_LONGEST_REST = 60.0  # seconds; who asks for more is asked again after these
_REST = 1.0  # for a 429 that says nothing of when


@dataclass(frozen=True, slots=True)
class Watch:
    """How an upstream is watched, and by what clock and dice."""

    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    health: HealthSettings = field(default_factory=HealthSettings)
    clock: Callable[[], float] = monotonic  # seconds, never going back
    random: Callable[[], float] = random  # from [0, 1)


_WATCH = Watch()


class Follower(Protocol):
    """Who wants to hear when somebody else may have to be asked than before."""

    def changed(self) -> None:
        """So it is."""


class Upstream:
    """One server and what is known of it. Pools follow it: two of them, while settings change.

    `slots` are those of the one that it replaces, if there is one.
    """

    def __init__(
        self,
        settings: UpstreamSettings,
        client: Client,
        metrics: Metrics,
        watch: Watch = _WATCH,
        slots: Slots | None = None,
    ) -> None:
        self.settings = settings
        self.client = client
        self.slots = Slots(settings.max_in_flight) if slots is None else slots
        self.seen: Look = DOWN
        self.is_seen_now = False  # whether the last look listed models
        self.is_up = True  # until a look or a call says otherwise
        self.trust = Trust(settings, watch.clock)
        self.usual = Usual()
        self.breaker = Breaker(watch.breaker.failures, watch.breaker.cooldown)
        self.followers: WeakSet[Follower] = WeakSet()
        self.watch = watch
        self._metrics = metrics
        self._in_flight = 0
        self._rests_until = 0.0  # it said when it wants to be asked again
        self._missed = 0  # looks in a row that it did not answer in time
        self.meter = metrics.upstreams.meter(
            settings.name, self.slots, lambda: self.breaker.state(self.watch.clock())
        )

    @property
    def name(self) -> str:
        """Its name in metrics and logs."""
        return self.settings.name

    @property
    def engine(self) -> str:
        """Which dialect it speaks: as configured, else as seen; plain OpenAI until it was seen."""
        configured = self.settings.engine
        return configured if configured != "auto" else self.seen.engine or PLAIN

    @property
    def load(self) -> float:
        """Calls under way and in line for it, by its weight."""
        return (self._in_flight + self.slots.waiting) / self.settings.weight

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
        self._metrics.upstreams.fingerprint_changed(model)

    async def list_models(self, headers: Headers) -> Listing | None:
        """What the server says to this client of its models; None if it does not answer in time."""
        try:
            async with asyncio.timeout(self.watch.health.timeout):
                return await list_models(self.client, self.settings.url, self.dress(headers))
        except (UpstreamFailure, TimeoutError):
            return None

    def returns(self, now: float) -> float:
        """When it may be asked: 0 for now, inf for when there is news of it."""
        if not self.is_up or (not self.breaker.is_closed and self.breaker.is_on_trial):
            return inf
        ends = self._rests_until if self.breaker.is_closed else max(self.breaker.ends, self._rests_until)
        return ends if ends > now else 0.0

    def began(self) -> int:
        """A call begins; the ticket that `ended` takes."""
        self._in_flight += 1
        self.meter.started()
        if self.breaker.is_closed:
            return self.breaker.epoch
        ticket = self.breaker.begin()
        self._changed()
        return ticket

    def ended(
        self, ticket: int, result: str, seconds: float, status: int = 0, retry_after: float | None = None
    ) -> None:
        """A call has ended, with a result by the words of the metrics, and what the server said if it did."""
        self._in_flight -= 1
        self.meter.ended(result, seconds)
        if result == "unreachable":
            self.mark(up=False)
        elif status:
            self.mark(up=True)
        if status == 429 or (status == 503 and retry_after is not None):
            self._rest(_REST if retry_after is None else retry_after)
            self.breaker.gave_up(ticket)
        elif status >= 500 or result in _FAILED:
            self._failed(ticket)
        elif not status:  # cut off by the client
            self.breaker.gave_up(ticket)
        elif self.breaker.succeeded(ticket):
            _LOG.warning("upstream %s answers again, its breaker is closed", self.name)
            self._changed()
            return
        if not self.breaker.is_closed:
            self._changed()

    def mark(self, *, up: bool) -> None:
        """Note whether it can be reached."""
        if up != self.is_up:
            self.is_up = up
            self.meter.up(up=up)
            if not up:
                self.trust.was_away()
            self._changed()
            _LOG.warning("upstream %s at %s is %s", self.name, self.settings.url, "back" if up else "down")

    async def look(self) -> None:
        """Look once. What was seen before stays known while the server is away, or lists nothing.

        One that is connected to and does not answer in time may only be busy: it is down after two such looks.
        """
        configured = self.settings.engine
        known = self.seen.engine if configured == "auto" else configured
        headers = self.dress([("accept", "application/json")])
        found = await look(self.client, self.settings.url, headers, known, self.watch.health.timeout)
        self._missed = self._missed + 1 if found.is_silent else 0
        if self._missed != 1 or not self.seen.models:
            self.mark(up=found.reachable)
        for model in found.models.keys() - self.seen.models.keys():
            self._metrics.expect(model)
        self.is_seen_now = bool(found.models)
        if found.models or not self.seen.models:
            self.see(found)

    def see(self, found: Look) -> None:
        """Take what was found for what is there."""
        if found != self.seen:
            self.seen = found
            self._changed()

    async def probe(self) -> None:
        """Probe it, if it is to be trusted as a reference lane and that has to be seen, and can be."""
        if not self.is_up:
            return
        headers, doubt = self.dress([("accept", "application/json")]), self.trust.doubt
        await self.trust.look(self.client, self.slots, self.seen, self.engine, headers)
        if doubt != self.trust.doubt:
            self._changed()

    def _failed(self, ticket: int) -> None:
        now = self.watch.clock()
        if self.breaker.failed(ticket, now, self.watch.random()):
            self.meter.ejected()
            seconds = self.breaker.ends - now
            _LOG.warning("upstream %s keeps failing: its breaker is open for %.1f s", self.name, seconds)

    def _rest(self, seconds: float) -> None:
        self._rests_until = self.watch.clock() + min(seconds, _LONGEST_REST)
        self._changed()

    def _changed(self) -> None:
        for follower in self.followers:
            follower.changed()
