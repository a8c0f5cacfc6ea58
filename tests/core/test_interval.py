"""The interval of a share: against published values, and what must hold of any."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.interval import wilson


@pytest.mark.parametrize(
    ("share", "number", "low", "high"),
    [
        (0.0, 10, 0.0, 0.278),
        (1.0, 10, 0.722, 1.0),
        (0.5, 20, 0.299, 0.701),
        (81 / 263, 263, 0.2553, 0.3662),  # Newcombe, Statistics in Medicine 17 (1998), table I
        (15 / 148, 148, 0.0624, 0.1605),
        (0 / 20, 20, 0.0, 0.1611),
        (1 / 29, 29, 0.0061, 0.1718),
    ],
)
def test_published_values(share: float, number: int, low: float, high: float) -> None:
    """The interval is the one in the literature."""
    assert pytest.approx((low, high), abs=6e-4) == wilson(share, number)


@given(st.floats(0, 1), st.integers(1, 10**6))
def test_it_holds_the_share(share: float, number: int) -> None:
    """The share lies within its interval, which lies within 0 to 1."""
    low, high = wilson(share, number)
    assert 0 <= low <= share + 1e-9
    assert share - 1e-9 <= high <= 1


def test_nothing_seen() -> None:
    """Without a case anything is possible."""
    assert (0.0, 1.0) == wilson(0.3, 0)
