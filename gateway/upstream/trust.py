"""Whether a reference lane is what its configuration says: probed before it is trusted, and after each change."""

import logging
from collections.abc import Callable
from math import inf
from time import monotonic

from gateway.core.probe import DETERMINISTIC, INCONCLUSIVE
from gateway.settings.model import UpstreamSettings
from gateway.upstream.client import Client, Headers
from gateway.upstream.looks import Look
from gateway.upstream.probe import Target, probe
from gateway.upstream.slots import Slots

_LOG = logging.getLogger(__name__)
_AGAIN = 60.0  # seconds between two probes of what looks the same


class Trust:
    """What is known of one upstream as a reference lane. Fast ones are never asked about."""

    def __init__(self, settings: UpstreamSettings, clock: Callable[[], float] = monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._needs_probe = settings.lane == "reference" and not settings.trust
        self._probed: Look | None = None  # what was probed; a changed one is probed anew
        self._began = self._next = -inf  # the last probe and the next one, of what looks the same
        self._was_away = False  # since the last one began
        self.doubt = "it has not been probed yet" if self._needs_probe else ""

    @property
    def is_given(self) -> bool:
        """Whether it serves as a reference lane."""
        return not self.doubt

    def was_away(self) -> None:
        """It could not be reached: what is there now may have been started with other flags, under the same name."""
        self._was_away = True

    async def look(self, client: Client, slots: Slots, seen: Look, engine: str, headers: Headers) -> None:
        """Probe it if it is there and has changed or was away, or if the last probe told nothing."""
        if not (self._needs_probe and seen.models and seen.reachable):
            return
        now = self._clock()
        due = self._began + _AGAIN if self._was_away else self._next
        if seen == self._probed and now < due:
            return
        self._began, self._was_away = now, False
        model = next(iter(seen.models))
        found = await probe(Target(client, self._settings.url, model, engine, slots, headers))
        self._probed = seen
        self._next = self._clock() + _AGAIN if found.verdict == INCONCLUSIVE else inf
        self.doubt = "" if found.verdict == DETERMINISTIC else found.reason
        name = self._settings.name
        if self.doubt:
            _LOG.error(
                "upstream %s is no reference lane: %s. It is not used as one; `trust: on` would use it unprobed",
                name, self.doubt,
            )  # fmt: skip
        else:
            _LOG.info("upstream %s is trusted as a reference lane: %s", name, found.reason)
