"""What is usual for a server, and when a silence is too long beside it."""

import pytest

from gateway.core.usual import Usual, is_overdue


def test_what_is_usual_follows_what_comes() -> None:
    """The first call tells all, later ones an eighth each, and each kind goes by itself."""
    usual = Usual()
    assert 0.0 == usual.of("plain")
    usual.note("plain", 8.0, 10.0)
    usual.note("streamed", 0.25, 11.0)
    assert (8.0, 0.25) == (usual.of("plain"), usual.of("streamed"))
    usual.note("plain", 16.0, 12.0)
    assert (9.0, 0.25, 12.0) == (usual.of("plain"), usual.of("streamed"), usual.heard_at)


@pytest.mark.parametrize(
    ("silent", "usual", "least", "expected"),
    [
        (2.9, 0.0, 9.0, False), (3.0, 0.0, 9.0, True), (3.0, 0.3, 9.0, True), (3.0, 0.31, 9.0, False),
        (99.0, 10.0, 9.0, False), (100.0, 10.0, 9.0, True), (0.5, 0.05, 0.5, True), (0.4, 0.01, 0.5, False),
        (0.0, 0.0, 0.0, True),
    ],
)  # fmt: skip
def test_ten_times_as_long_and_three_seconds_or_what_is_left_of_a_deadline(
    silent: float, usual: float, least: float, *, expected: bool
) -> None:
    assert expected is is_overdue(silent, usual, least)
