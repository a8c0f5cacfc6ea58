"""Where texts that should be the same part."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.divergence import divergence

LOOKALIKES = st.lists(st.text(alphabet="aab\u0301\U0001f600", max_size=6), min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("texts", "shared"),
    [
        ([], None),
        (["x"], None),
        (["x", "x"], None),
        (["", ""], None),
        (["", "x"], 0),
        (["x", "y"], 0),
        (["The answer is 41.", "The answer is 42."], 15),
        (["abc", "abcdef"], 3),
        (["abcdef", "abc", "abcx"], 3),
        (["abX", "abY", "aZZ"], 1),
        (["é", "e\u0301"], 0),
        (["\U0001f600a", "\U0001f600b"], 1),
    ],
)
def test_examples(texts: list[str], shared: int | None) -> None:
    """The characters before the first difference count, and equal texts have none."""
    assert shared == divergence(texts)


@settings(max_examples=150, deadline=None)
@given(texts=LOOKALIKES)
def test_it_is_the_longest_common_prefix(texts: list[str]) -> None:
    """The number is the length of the longest prefix of all texts, found here by trying each length."""
    longest = max(n for n in range(7) if all(text[:n] == texts[0][:n] and len(text) >= n for text in texts))
    assert (None if len(set(texts)) == 1 else longest) == divergence(texts)


@settings(max_examples=50, deadline=None)
@given(texts=LOOKALIKES, data=st.data())
def test_order_and_copies_do_not_matter(texts: list[str], data: st.DataObject) -> None:
    """The same texts in another order, or more often, part at the same place."""
    other = data.draw(st.permutations(texts + texts[:2]))
    assert divergence(texts) == divergence(other)
