"""Rates over prompts and their intervals."""

from itertools import product
from random import Random
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.calling.bootstrap import rate
from gateway.core.interval import wilson
from gateway.core.reproducibility import all_same


def test_no_prompt_no_rate() -> None:
    """Where nothing is known there is no figure."""
    assert rate([]) is None
    assert rate([None, None]) is None


def test_prompts_without_a_share_do_not_count() -> None:
    """The rate is of the prompts that have one."""
    found = rate([1.0, None, 0.0])
    assert found is not None
    assert (0.5, 2) == (found.value, found.prompts)


@pytest.mark.parametrize(("share", "prompts"), [(1.0, 12), (0.0, 3), (0.5, 30), (1.0, 1)])
def test_equal_shares_are_not_certain(share: float, prompts: int) -> None:
    """A bootstrap of equal values has no width; the interval is Wilson's, wide where prompts are few."""
    found = rate([share] * prompts)
    assert found is not None
    assert wilson(share, prompts) == (found.low, found.high)
    assert found.low < found.high


@pytest.mark.parametrize("odd", [1, 4])
def test_a_few_odd_prompts_are_not_drawn_from(odd: int) -> None:
    """With so few that differ a bootstrap would say that there are hardly any; Wilson's interval is for all cases."""
    found = rate([1.0] * 30 + [0.5] * odd)
    assert found is not None
    assert wilson(found.value, 30 + odd)[0] == found.low


@pytest.mark.parametrize("shares", [(0.0, 0.2, 0.4, 0.6, 0.8, 1.0), (0.9, 0.91, 0.95, 0.97, 0.99, 1.0)])
def test_the_interval_is_the_exact_bootstrap_s(shares: tuple[float, ...]) -> None:
    """Against all n^n draws: the drawn quantiles are within what 2000 draws can be off (five standard errors)."""
    means = sorted(fmean(draw) for draw in product(shares, repeat=len(shares)))
    found = rate(shares)
    assert found is not None
    off = 5 * (0.025 * 0.975 / 2000) ** 0.5
    for value, tail in ((found.low, 0.025), (found.high, 0.975)):
        below = sum(mean < value - 1e-9 for mean in means) / len(means)
        up_to = sum(mean <= value + 1e-9 for mean in means) / len(means)
        assert below - off <= tail <= up_to + off


@settings(max_examples=25)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_it_holds_the_value(shares: list[float]) -> None:
    """Within 0 to 1, around the value, and the same each time."""
    found = rate(shares)
    assert found is not None
    assert -1e-9 <= found.low <= found.value <= found.high <= 1 + 1e-9
    assert found == rate(shares)


def test_it_holds_the_truth() -> None:
    """Of 50 audits of 24 prompts, half of them divided, the interval holds the true rate in 44 at least."""

    def chance(dice: Random) -> float:
        return 1.0 if dice.random() < 0.5 else dice.betavariate(2, 1)

    truth = 0.5 + 0.5 * (1 - 2 * (2 / 3 - 1 / 2))  # E[p² + (1 - p)²] = 1 - 2 E[p] + 2 E[p²], of Beta(2, 1)
    held = 0
    for audit in range(50):
        dice = Random(audit)
        chances = [chance(dice) for _ in range(24)]
        found = rate(all_same(["a" if dice.random() < each else "b" for _ in range(10)]) for each in chances)
        assert found is not None
        held += found.low <= truth <= found.high
    assert held >= 44
