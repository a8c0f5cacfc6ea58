"""Two of many, each as likely as its weight says."""

from collections import Counter
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.choice import draw_two

draws = st.floats(0, 1, exclude_max=True)
weights = st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=20)


@given(weights, draws, draws)
def test_two_different_ones(weights: list[float], one: float, other: float) -> None:
    """Whatever is drawn, two different positions that exist come of it."""
    pair = draw_two([*accumulate(weights)], one, other)
    assert 2 == len(set(pair))
    assert set(pair) <= set(range(len(weights)))


@pytest.mark.parametrize("weights", [(1, 1), (3, 1), (1, 1, 1, 1), (4, 2, 1), (1, 8, 1)])
def test_as_likely_as_the_weights_say(weights: tuple[int, ...]) -> None:
    """Over a grid of draws the first has its weight's share, and the second its share of what the first leaves."""
    total, steps = sum(weights), 420
    grid = [(step + 0.5) / steps for step in range(steps)]
    pairs = Counter(draw_two([*accumulate(weights)], one, other) for one in grid for other in grid)
    for first, second in pairs:
        expected = weights[first] / total * weights[second] / (total - weights[first])
        assert pytest.approx(expected, abs=0.01) == pairs[first, second] / steps**2
    assert len(weights) * (len(weights) - 1) == len(pairs)
