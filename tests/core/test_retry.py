"""When a failed call is made once more, and that retries cannot storm."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.retry import REFUSED, UNHEARD, UNSENT, Backoff, RetryBudget

BACKOFF = Backoff(first=0.1, max_wait=2.0)


@pytest.mark.parametrize(
    ("why", "is_elsewhere", "retry_after", "attempt", "jitter", "pause"),
    [
        (UNSENT, True, 0.0, 0, 0.5, 0.0),
        (UNSENT, False, 0.0, 0, 0.5, None),
        (UNHEARD, True, 0.0, 0, 0.0, 0.05),
        (UNHEARD, False, 0.0, 0, 0.0, 0.05),
        (UNHEARD, False, 0.0, 1, 0.0, 0.1),
        (UNHEARD, False, 0.0, 2, 0.5, 0.3),
        (REFUSED, True, 7.0, 0, 0.0, 0.05),
        (REFUSED, False, 0.0, 0, 0.0, 0.05),
        (REFUSED, False, 1.0, 0, 0.0, 1.05),
        (REFUSED, False, 2.0, 1, 0.0, 2.1),
        (REFUSED, False, 2.1, 0, 0.0, None),
    ],
)
def test_pauses(
    why: str,
    is_elsewhere: bool,  # noqa: FBT001
    retry_after: float,
    attempt: int,
    jitter: float,
    pause: float | None,
) -> None:
    """Another server is asked soon; the same one when it wants to be, if that is soon enough."""
    found = BACKOFF.pause(
        why, attempt=attempt, jitter=jitter, is_elsewhere=is_elsewhere, retry_after=retry_after
    )
    assert pytest.approx(pause) == found


def test_a_share_of_the_calls() -> None:
    """After its reserve a tenth of the calls may be repeated, no more."""
    budget, retries = RetryBudget(0.1), 0
    for _ in range(1000):
        budget.note_call()
        retries += budget.take(0.0)
    assert 108 <= retries <= 110


@pytest.mark.parametrize(("seconds", "retries"), [(0.5, 0), (1.0, 1), (3.9, 3), (10.0, 10), (1e6, 10)])
def test_the_reserve_comes_back(seconds: float, retries: int) -> None:
    """A spent reserve grows by one retry a second, up to ten."""
    budget = RetryBudget(0.1)
    while budget.take(100.0):
        pass
    assert retries == sum(budget.take(100.0 + seconds) for _ in range(20))


@given(st.lists(st.one_of(st.just("call"), st.just("take"), st.floats(0, 5)), max_size=200), st.floats(0, 1))
def test_never_more_than_that(happened: list[str | float], share: float) -> None:
    """Whatever happens, retries are at most the reserve, a share of the calls, and one a second."""
    budget, now, calls, retries = RetryBudget(share), 1000.0, 0, 0
    for each in happened:
        if each == "call":
            budget.note_call()
            calls += 1
        elif isinstance(each, float):
            now += each
        else:
            retries += budget.take(now)
        assert retries <= 10 + share * calls + (now - 1000.0) + 1e-6
