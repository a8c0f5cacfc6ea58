import pytest

from benchmarks.figures import Figure, figure, ratio


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], None),
        ([3.0], Figure(3, 3, 3)),
        ([5.0, 1.0, 3.0], Figure(3, 1, 5)),
        ([4.0, 2.0], Figure(3, 2, 4)),
    ],
)
def test_a_figure_is_the_middle_turn_and_both_ends(values: list[float], expected: Figure | None) -> None:
    assert expected == figure(values)


@pytest.mark.parametrize(
    ("found", "expected"), [(Figure(10, 9, 12), 0.3), (Figure(5, 5, 5), 0), (Figure(0, 0, 3), 0)]
)
def test_the_spread_is_a_share_of_the_middle(found: Figure, expected: float) -> None:
    assert pytest.approx(expected) == found.spread


def test_a_ratio_is_made_within_a_turn() -> None:
    """A machine half as fast in the second turn changes nothing."""
    assert Figure(2, 2, 2) == ratio([100, 200, 100], [50, 100, 50])


def test_a_turn_without_a_counterpart_is_left_out() -> None:
    assert Figure(2, 2, 2) == ratio([100, 300], [50])
    assert Figure(2, 2, 2) == ratio([100, 300], [50, 0])
    assert ratio([], []) is None
