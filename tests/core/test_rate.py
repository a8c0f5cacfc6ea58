"""Buckets: a minute's worth at once, evenly filled, and never more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.rate import MINUTE, MOST, Draw, Level, charged, draw, spell_wait


def take(debt: float, amount: float, limit: int = 60, *, is_fact: bool = False) -> Level:
    return draw(debt, Draw("requests", limit, amount, is_fact))


def test_a_full_bucket_gives_a_minutes_worth_at_once() -> None:
    """Sixty a minute are sixty now; the next one comes a second later."""
    debt = 0.0
    for left in range(59, -1, -1):
        level = take(debt, 1)
        assert (False, left) == (level.is_refused, level.remaining)
        debt = level.debt
    refused = take(debt, 1)
    assert (True, 0, debt) == (refused.is_refused, refused.remaining, refused.debt)
    assert pytest.approx(1) == refused.wait
    assert not take(debt - 1, 1).is_refused


def test_what_was_spent_is_drawn_anyway() -> None:
    """A bucket may owe units: it gives none until that is made up."""
    level = take(MINUTE, 30, is_fact=True)
    assert (MINUTE + 30, 0, False) == (level.debt, 0, level.is_refused)
    assert pytest.approx(31) == take(level.debt, 1).wait


def test_what_is_given_back_fills_it_no_further_than_full() -> None:
    """Given back is what was reserved and not spent."""
    assert (30, 30) == (take(60, -30).debt, take(60, -30).remaining)
    assert (0, 60) == (take(10, -30).debt, take(10, -30).remaining)


def test_more_than_it_holds_waits_for_all_of_it() -> None:
    """A request that is larger than a minute's worth is let through when the bucket is full, and empties it."""
    assert pytest.approx(1) == take(1, 1000).wait
    level = take(0, 1000)
    assert (False, 0, 60) == (level.is_refused, level.remaining, charged(Draw("tokens", 60, 1000)))


def test_debts_end() -> None:
    """No mistake locks anybody out for more than ten minutes."""
    assert MOST == take(0, 1e9, is_fact=True).debt


amounts = st.floats(0.001, 1000)


@given(st.integers(1, 100_000), st.lists(st.tuples(st.floats(0, 30), st.floats(0.001, 100)), max_size=60))
def test_never_more_than_the_limit_in_a_minute(limit: int, schedule: list[tuple[float, float]]) -> None:
    """Whoever draws when: in any minute no more than two buckets, what was there and what came in, rounding aside."""
    now, full_at = 0.0, 0.0
    taken: list[tuple[float, float]] = []
    for pause, amount in schedule:
        now += pause
        wanted = Draw("tokens", limit, amount)
        level = draw(max(0.0, full_at - now), wanted)
        full_at = now + level.debt
        assert 0 <= level.remaining <= limit
        if not level.is_refused:
            taken.append((now, charged(wanted)))
    for end, _ in taken:
        within = sum(amount for when, amount in taken if end - MINUTE < when <= end)
        assert within <= 2 * limit * (1 + 1e-6)


@given(st.integers(1, 1000), st.floats(0, MINUTE), st.floats(0.001, 1000))
def test_waiting_is_long_enough(limit: int, debt: float, amount: float) -> None:
    """Whoever comes back after the wait that he was told is let in."""
    level = take(debt, amount, limit)
    if level.is_refused:
        assert 0 < level.wait <= MINUTE
        assert not take(max(0.0, debt - level.wait), amount, limit).is_refused


@pytest.mark.parametrize(
    ("seconds", "spelt"),
    [(0, "0ms"), (0.0121, "13ms"), (1, "1s"), (7.66, "7.66s"), (60, "1m0s"), (90, "1m30s")],
)
def test_spelling(seconds: float, spelt: str) -> None:
    """As OpenAI's headers have it."""
    assert spelt == spell_wait(seconds)
