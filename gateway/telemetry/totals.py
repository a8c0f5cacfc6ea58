"""Metrics of several processes as those of one: taken as plain data, added up, and written for Prometheus."""

from collections.abc import Iterable, Iterator, Mapping

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

SUM, LEAST, MOST = "sum", "least", "most"  # how a gauge's values in several processes become one

_Sample = tuple[str, tuple[tuple[str, str], ...]]  # its name, and its labels in order


class Family(msgspec.Struct, array_like=True):
    """One metric of one process, or of several that were added up. Its samples are in the order of exposition."""

    name: str
    text: str
    kind: str  # counter | histogram | gauge
    across: str  # SUM, LEAST or MOST
    samples: dict[_Sample, float]


Totals = list[Family]

_DECODER = msgspec.msgpack.Decoder(list[Family])


def totals_of(registry: CollectorRegistry, across: Mapping[str, str]) -> Totals:
    """What a process has counted. `across` says of each gauge how it adds up; a sum where it says nothing."""
    return [
        Family(
            metric.name,
            metric.documentation,
            metric.type,
            across.get(metric.name, SUM),
            {(each.name, tuple(each.labels.items())): each.value for each in metric.samples},
        )
        for metric in registry.collect()
    ]


def encode_totals(totals: Totals) -> bytes:
    """As bytes, for another process."""
    return msgspec.msgpack.encode(totals)


def decode_totals(stored: bytes) -> Totals:
    """From those; msgspec.MsgspecError if they are none."""
    return _DECODER.decode(stored)


def add_up(many: Iterable[Totals]) -> Totals:
    """The totals of several processes as one process would have them."""
    families: dict[str, Family] = {}
    for family in (each for totals in many for each in totals):
        known = families.get(family.name)
        if known is None:
            known = families[family.name] = Family(family.name, family.text, family.kind, family.across, {})
        _add(known, family.samples)
    return [*families.values()]


def counted(totals: Totals) -> Totals:
    """What stays of a process that has ended: what it counted, not the state that it was in."""
    return [family for family in totals if family.kind != "gauge"]


class Exposed(Collector):
    """Totals as prometheus_client's exposition takes them."""

    def __init__(self, totals: Totals) -> None:
        self._totals = totals

    def collect(self) -> Iterator[Metric]:
        """What prometheus_client writes."""
        for family in self._totals:
            metric = Metric(family.name, family.text, family.kind)
            for (name, labels), value in family.samples.items():
                metric.add_sample(name, dict(labels), value)
            yield metric


def _add(known: Family, samples: Mapping[_Sample, float]) -> None:
    for sample, value in samples.items():
        before = known.samples.get(sample)
        if before is None:
            known.samples[sample] = value
        elif known.across == SUM:
            known.samples[sample] = before + value
        else:
            known.samples[sample] = min(before, value) if known.across == LEAST else max(before, value)
