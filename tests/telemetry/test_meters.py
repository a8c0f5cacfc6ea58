"""Our meters against prometheus_client's own, which they stand in for."""

from collections.abc import Sequence

import prometheus_client as theirs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from gateway.telemetry.meters import Counter, Gauge, Histogram

BOUNDS = (0.0005, 0.1, 1, 2.5, 600)
LABELS = st.tuples(st.sampled_from(["a", "b", 'c"\\\n', ""]), st.sampled_from([200, "200", 404]))
AMOUNTS = st.sampled_from(BOUNDS) | st.floats(0, 1000)
Moves = Sequence[tuple[tuple[str, object], float]]


def written(registry: CollectorRegistry) -> list[str]:
    """What Prometheus reads, without the times of creation, which ours do not keep."""
    lines = generate_latest(registry).decode().splitlines()
    return [line for line in lines if "_created" not in line]


@given(st.lists(st.tuples(LABELS, AMOUNTS), max_size=20))
def test_all_kinds_say_what_theirs_say(moves: Moves) -> None:
    """After the same moves, whatever the labels: the same names, help, kinds, buckets, sums and values."""
    ours, other = CollectorRegistry(), CollectorRegistry()
    by = ("model", "status")
    count, level = Counter(ours, "x", "A count", by), Gauge(ours, "y", "A level", by)
    spread = Histogram(ours, "z_seconds", "A spread", by, BOUNDS)
    their_count = theirs.Counter("x", "A count", by, registry=other)
    their_level = theirs.Gauge("y", "A level", by, registry=other)
    their_spread = theirs.Histogram("z_seconds", "A spread", by, registry=other, buckets=BOUNDS)
    for labels, amount in moves:
        count.labels(*labels).inc(amount)
        their_count.labels(*labels).inc(amount)
        level.labels(*labels).set(amount)
        their_level.labels(*labels).set(amount)
        spread.labels(*labels).observe(amount)
        their_spread.labels(*labels).observe(amount)
    assert written(other) == written(ours)


def test_without_labels() -> None:
    """A level without labels goes up and down, or says what it is asked for."""
    ours, other = CollectorRegistry(), CollectorRegistry()
    level, their_level = (
        Gauge(ours, "y", "A level", ()).labels(),
        theirs.Gauge("y", "A level", registry=other),
    )
    for each in (level, their_level):
        each.set(2)
        each.inc()
        each.dec()
        each.dec()
    assert written(other) == written(ours)
    for each in (level, their_level):
        each.set_function(lambda: 7)
    assert written(other) == written(ours)


def test_a_name_is_taken_once() -> None:
    """Two metrics of one name on one registry are an error at the start, not a page that Prometheus refuses."""
    registry = CollectorRegistry()
    Counter(registry, "x", "A count", ())
    with pytest.raises(ValueError, match="x"):
        Gauge(registry, "x_total", "A level", ())
