import pytest

from benchmarks.figures import Figure
from benchmarks.goals import GOALS, Goal, added_first, chunk_cpu, cpu, held_back, spoilt_chunks, tail
from benchmarks.results import Endurance, Memory
from tests.benchmarks.runs import made, streamed


def test_every_goal_says_not_measured_of_an_empty_run() -> None:
    assert [None] * len(GOALS) == [goal.reading(made({})) for goal in GOALS]


@pytest.mark.parametrize(
    ("middle", "is_floor", "expected"),
    [(1.4, False, True), (1.5, False, True), (1.6, False, False), (1.4, True, False), (1.5, True, True)],
)
def test_a_goal_is_met_on_the_right_side_of_its_bound(middle: float, is_floor: bool, expected: bool) -> None:  # noqa: FBT001
    goal = Goal("", 1.5, lambda _: None, is_floor=is_floor)
    assert expected is goal.is_met(Figure(middle, middle, middle))


def test_processor_time_is_compared_turn_by_turn() -> None:
    results = made({"hit": [40, 90, 44], "floor-cache": [100, 200, 100]})
    assert Figure(0.44, 0.40, 0.45) == cpu("hit", "floor-cache")(results)
    assert cpu("hit", "rolter-cache")(results) is None


def test_a_turn_that_only_one_side_has_is_not_compared() -> None:
    results = made({"hit": [40, 50], "floor-cache": [100, 100]})
    results.loads = [run for run in results.loads if (run.subject, run.turn) != ("floor-cache", 0)]
    assert Figure(0.5, 0.5, 0.5) == cpu("hit", "floor-cache")(results)


def test_the_tail_is_p99_over_p50() -> None:
    assert Figure(2.5, 2.5, 2.5) == tail("hit")(made({"hit": [40]}))


def test_streams_are_compared_with_streams_read_directly() -> None:
    results = made({})
    results.streams = [
        streamed("direct", merged=3),
        streamed("gateway", cpu_us=20.0, merged=5, lost=1, delay_p99_ms=20.5),
        streamed("vllm-router", cpu_us=40.0),
        streamed("direct", streams=1, first_ms=0.5),
        streamed("gateway", streams=1, first_ms=0.75),
    ]
    assert Figure(0.5, 0.5, 0.5) == chunk_cpu("gateway", "vllm-router", 50)(results)
    assert Figure(3, 3, 3) == spoilt_chunks("gateway", 50)(results)
    assert Figure(20, 20, 20) == held_back("gateway", 50)(results)
    assert Figure(0.25, 0.25, 0.25) == added_first("gateway")(results)


def test_growth_is_counted_from_the_first_tenth_on() -> None:
    results = made({})
    results.memory = Memory(50, 60, 55)
    looks = ((1, 50.0), (2, 60.0), *((n, 60.5) for n in range(3, 21)))
    results.endurance = [Endurance(at * 50_000, mb) for at, mb in looks]
    found = {goal.title: goal.reading(results) for goal in GOALS}
    assert Figure(60, 60, 60) == found["resident memory under load and after"]
    assert Figure(0, 0, 0) == found["its growth over 1,000,000 hits"]


def test_a_short_run_says_nothing_of_growth() -> None:
    results = made({})
    results.endurance = [Endurance(999_999, 50.0)]
    (goal,) = (goal for goal in GOALS if goal.title == "its growth over 1,000,000 hits")
    assert goal.reading(results) is None
