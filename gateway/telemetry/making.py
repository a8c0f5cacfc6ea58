"""Metrics are made: on one registry, and with how those of several workers become one."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry

from gateway.telemetry.meters import Counter, Gauge, Histogram
from gateway.telemetry.totals import SUM


class Making:
    """Makes metrics on a registry. `across` says of each gauge how it adds up."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.across: dict[str, str] = {}

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """One that only grows."""
        return Counter(self.registry, name, text, labels)

    def gauge(self, name: str, text: str, *labels: str, across: str = SUM) -> Gauge:
        """`across`: how the values of several workers become one."""
        self.across[name] = across
        return Gauge(self.registry, name, text, labels)

    def histogram(self, name: str, text: str, bounds: Sequence[float], *labels: str) -> Histogram:
        """One with buckets up to these `bounds`."""
        return Histogram(self.registry, name, text, labels, bounds)
