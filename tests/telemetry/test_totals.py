"""Metrics of several processes, added up."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from gateway.telemetry import siblings
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.siblings import Siblings, bury, name_of
from gateway.telemetry.totals import Exposed, add_up, counted, decode_totals, encode_totals
from gateway.upstream.slots import Slots

# What a process counts: requests by source and seconds (of powers of two, which add up exactly), and look-ups.
Moves = Sequence[tuple[str, float]]
MOVES = st.lists(
    st.tuples(st.sampled_from(["vote", "cache", "joined"]), st.sampled_from([0.125, 0.5, 2.0, 64.0]))
)


def metrics_of(moves: Moves) -> Metrics:
    made = Metrics(CollectorRegistry(), ["majority"])
    for source, seconds in moves:
        made.answered(("chat", "m", "majority", source, 200), seconds, seconds / 2)
        made.cache("miss")
    return made


def lines(text: bytes) -> set[str]:
    return {*text.decode().splitlines()}


@given(st.lists(MOVES, min_size=1, max_size=4))
def test_the_sum_is_what_one_process_would_have_counted(parts: list[Moves]) -> None:
    """Counters and histograms of several processes add up to those of one that did all of it."""
    told = [encode_totals(metrics_of(each).totals) for each in parts]
    whole = metrics_of([move for each in parts for move in each])
    assert lines(generate_latest(whole.registry)) == lines(
        generate_latest(Exposed(add_up(map(decode_totals, told))))
    )


def test_one_process_is_written_as_it_is() -> None:
    """Totals of one process are exposed byte for byte like its registry."""
    made = metrics_of([("vote", 0.5), ("cache", 2.0)])
    assert generate_latest(made.registry) == generate_latest(Exposed(made.totals))


def test_of_states_the_worst_is_told() -> None:
    """Amounts are added up; an upstream that one process cannot reach is down, and the store away."""
    well, ill = (Metrics(CollectorRegistry()) for _ in range(2))
    for made, up in ((well, True), (ill, False)):
        meter = made.upstreams.meter("a", Slots(None), lambda: 0.0)
        meter.up(up=up)
        meter.started()
        made.cache_up.set(up)
    told = lines(generate_latest(Exposed(add_up([well.totals, ill.totals]))))
    assert {
        'scg_upstream_up{upstream="a"} 0.0', 'scg_upstream_in_flight{upstream="a"} 2.0', "scg_cache_up 0.0",
    } <= told  # fmt: skip
    assert [line for line in told if line.startswith("scg_build_info{") and line.endswith(" 1.0")]


def test_an_ended_process_has_no_state() -> None:
    """What it counted stays, its gauges go."""
    kinds = {family.kind for family in counted(metrics_of([("vote", 0.5)]).totals)}
    assert {"counter", "histogram"} == kinds


async def test_whoever_ends_while_it_is_asked_counts_once(tmp_path: Path) -> None:
    """A worker that has told what it counted and is buried before that is added up is in the sum once."""
    made = metrics_of([("vote", 0.5)])
    asker, other = Siblings(tmp_path, 0), Siblings(tmp_path, 1)
    other._name = name_of(1, 4711)
    await asker.open({"metrics": lambda: encode_totals(metrics_of([]).totals)})
    await other.open({"metrics": lambda: encode_totals(made.totals)})
    told = await asker.ask("metrics")
    assert {asker._name, "1-4711"} == {*told}
    await other.aclose()
    await asyncio.to_thread(bury, tmp_path, "1-4711")
    left, gone = await asyncio.to_thread(siblings._left_behind, tmp_path, frozenset(told))
    assert (frozenset({"1-4711"}), counted(made.totals)) == (gone, add_up(left))
    assert counted(made.totals) == counted(await asker.totals())
    await asker.aclose()


@pytest.mark.parametrize("content", [b"", b"\xff", b"\x92\xa1a"])
async def test_a_broken_file_is_passed_over(tmp_path: Path, content: bytes) -> None:
    """Half a file, as a full disk leaves it, costs what it would have said and nothing else."""
    (tmp_path / "1-4711.counts").write_bytes(content)
    asker = Siblings(tmp_path, 0)
    made = metrics_of([("vote", 0.5)])
    await asker.open({"metrics": lambda: encode_totals(made.totals)})
    assert made.totals == await asker.totals()
    await asyncio.to_thread(bury, tmp_path, "1-4711")
    await asker.aclose()
