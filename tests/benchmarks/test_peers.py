"""Other gateways in the run."""

import pytest

from benchmarks.peers import url_of


@pytest.mark.parametrize(
    ("name", "said", "expected"),
    [
        ("a", "a: up at http://127.0.0.1:1 after 0.2 s\n", "http://127.0.0.1:1"),
        ("a-b", "redis: up at http://127.0.0.1:9 after 0.1 s\na-b: up at http://127.0.0.1:1 after 1 s\n", "http://127.0.0.1:1"),
        ("b", "a-b: up at http://127.0.0.1:1 after 0.2 s\n", None),
        ("a", "redis: up at http://127.0.0.1:9 after 0.1 s\n", None),
        ("a", "", None),
    ],
)  # fmt: skip
def test_a_peer_is_asked_where_it_is(name: str, said: str, expected: str | None) -> None:
    """The URL is the peer's own, not that of the Redis that was started for it."""
    assert expected == url_of(name, said)
