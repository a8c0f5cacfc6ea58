"""What every request needs at hand."""

from dataclasses import dataclass, field

from gateway.extraction.pool import Extractors
from gateway.serving.accounts import Accounts
from gateway.serving.background import Background
from gateway.serving.keyring import Keyring
from gateway.serving.landing import Landing
from gateway.serving.reader import Reader
from gateway.serving.traffic import Traffic
from gateway.settings.model import Settings
from gateway.store.flights import Flights
from gateway.store.protocol import Store
from gateway.store.vote_ledger import VoteLedger
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.siblings import Siblings
from gateway.telemetry.spans import NoSpans, Spans
from gateway.upstream.pool import Pool
from gateway.upstream.retries import Retries
from gateway.upstream.slots import Slots


@dataclass(frozen=True, slots=True)
class Gateway:
    """The parts of a running gateway, wired in `app`. New settings make a new one; requests keep theirs."""

    settings: Settings
    pool: Pool
    store: Store
    metrics: Metrics
    slots: Slots
    reader: Reader
    retries: Retries
    accounts: Accounts
    keyring: Keyring | None = None  # no keys are configured, and nobody needs one
    flights: Flights[Landing] = field(default_factory=Flights)
    extractors: Extractors = field(default_factory=Extractors)
    background: Background = field(default_factory=Background)
    traffic: Traffic = field(default_factory=Traffic)
    siblings: Siblings | None = None  # the other workers, where there are any
    spans: Spans = field(default_factory=NoSpans)
    ledger: VoteLedger | None = None  # not wanted

    @property
    def in_flight(self) -> int:
        """Requests being answered."""
        return self.traffic.in_flight

    def label(self, model: str) -> str:
        """The model as a metric's label: its name if some upstream is known to serve it, else `other`."""
        for upstream in self.pool.upstreams:
            if upstream.knows(model):
                return model
        return "other"
