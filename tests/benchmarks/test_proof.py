"""What the proof of the audit compares."""

import pytest

from benchmarks.proof.comparison import Line, foretold, share_same, table


def line(foretold_rate: float, low: float, high: float, seen: float) -> Line:
    return Line("single", "text", "audit", foretold_rate, low, high, seen, 50)


@pytest.mark.parametrize(
    ("made", "holds"),
    [
        (line(0.5, 0.5, 0.5, 0.54), True),
        (line(0.5, 0.5, 0.5, 0.56), False),
        (line(0.5, 0.4, 0.6, 0.6), True),
        (line(0.5, 0.4, 0.6, 0.39), False),
        (line(1.0, 0.9, 1.0, 0.95), True),
    ],
)
def test_within_the_bound_or_the_interval(made: Line, *, holds: bool) -> None:
    """0.05, or what was published with the figure; a line that holds neither is told in bold."""
    assert holds == made.holds
    assert holds == ("**" not in table([made]))


def test_the_share_of_prompts_that_came_out_the_same() -> None:
    """Prompt by prompt; what could not be read is the same as nothing."""
    assert 0.5 == share_same(["a", "b", None, "d"], ["a", "x", None, "d"])


def test_what_was_foretold_is_of_policy_and_spread() -> None:
    """One policy can have been tried in two ways; the figure is of the one asked for."""
    audit = {
        "policies": [
            {"name": "majority", "spread": "apart", "text": {"value": 0.5, "low": 0.4, "high": 0.6}},
            {"name": "majority", "spread": "mixed", "text": {"value": 0.7, "low": 0.6, "high": 0.8}},
        ]
    }
    assert (0.7, 0.6, 0.8) == foretold(audit, "majority", "mixed", "text")
