"""Counters, gauges and histograms for paths on which prometheus_client's own would be a fifth of the work.

Its children take a lock for every number and walk their buckets in Python; here one thread counts. They are
collected by its registry and written by its exposition like any other.
"""

from abc import abstractmethod
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

Child = TypeVar("Child")


class Count:
    """A number that grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1) -> None:
        """So much more."""
        self.value += amount


class Level:
    """A number that goes up and down, or that is asked for when it is read."""

    __slots__ = ("_ask", "_value")

    def __init__(self) -> None:
        self._value = 0.0
        self._ask: Callable[[], float] | None = None

    @property
    def value(self) -> float:
        """The number now."""
        return self._value if self._ask is None else float(self._ask())

    def inc(self) -> None:
        """One more."""
        self._value += 1

    def dec(self) -> None:
        """One less."""
        self._value -= 1

    def set(self, value: float) -> None:
        """This from now on."""
        self._value = float(value)

    def set_function(self, ask: Callable[[], float]) -> None:
        """Whatever this says when it is asked."""
        self._ask = ask


class Spread:
    """How many numbers lie at or below each of some bounds, and their sum."""

    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, amount: float) -> None:
        """One more number."""
        self.counts[bisect_left(self._bounds, amount)] += 1
        self.sum += amount


class Family(Collector, Generic[Child]):
    """One metric: its children by the values of its labels. It registers itself."""

    def __init__(self, registry: CollectorRegistry, name: str, text: str, labels: Sequence[str]) -> None:
        self.name, self.text, self.label_names = name, text, tuple(labels)
        self._children: dict[tuple[object, ...], Child] = {}
        self._by_text: dict[tuple[str, ...], Child] = {}
        registry.register(self)

    def labels(self, *values: object) -> Child:
        """The child with these values, made if it is not there yet."""
        child = self._children.get(values)
        if child is None:
            text = tuple(map(str, values))
            if text not in self._by_text:
                self._by_text[text] = self._make()
            child = self._children[values] = self._by_text[text]
        return child

    def forget(self, *values: object) -> None:
        """Leave the child with these values out from now on."""
        self._children.pop(values, None)
        self._by_text.pop(tuple(map(str, values)), None)

    def values(self) -> Iterator[tuple[tuple[str, ...], Child]]:
        """All children with the values of their labels."""
        return iter(self._by_text.items())

    @abstractmethod
    def _make(self) -> Child:
        """A new child."""

    @abstractmethod
    def collect(self) -> Iterator[Metric]:
        """What prometheus_client writes."""

    def describe(self) -> Iterator[Metric]:
        """The names that this takes, for the registry."""
        return self.collect()


class Counter(Family[Count]):
    """Counts."""

    def _make(self) -> Count:
        return Count()

    def collect(self) -> Iterator[Metric]:
        """What prometheus_client writes."""
        metric = CounterMetricFamily(self.name, self.text, labels=self.label_names)
        for labels, child in self.values():
            metric.add_metric(labels, child.value)
        yield metric


class Gauge(Family[Level]):
    """Levels."""

    def _make(self) -> Level:
        return Level()

    def collect(self) -> Iterator[Metric]:
        """What prometheus_client writes."""
        metric = GaugeMetricFamily(self.name, self.text, labels=self.label_names)
        for labels, child in self.values():
            metric.add_metric(labels, child.value)
        yield metric


class Histogram(Family[Spread]):
    """Spreads over the same bounds."""

    def __init__(
        self,
        registry: CollectorRegistry,
        name: str,
        text: str,
        labels: Sequence[str],
        bounds: Sequence[float],
    ) -> None:
        self._bounds = tuple(float(bound) for bound in bounds)
        self._spelled = [floatToGoString(bound) for bound in (*self._bounds, float("inf"))]  # type: ignore[no-untyped-call]
        super().__init__(registry, name, text, labels)

    def _make(self) -> Spread:
        return Spread(self._bounds)

    def collect(self) -> Iterator[Metric]:
        """What prometheus_client writes."""
        metric = HistogramMetricFamily(self.name, self.text, labels=self.label_names)
        for labels, child in self.values():
            below = zip(self._spelled, accumulate(child.counts), strict=True)
            metric.add_metric(labels, list(below), child.sum)
        yield metric
