"""Where texts that should be the same part."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.ballot import Reply
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
        (["\u00fc\u4e2d\U0001f600a", "\u00fc\u4e2d\U0001f600b"], 3),  # 9 bytes, 4 UTF-16 units, 3 characters
        (["\U0001f468\u200d\U0001f469", "\U0001f468\u200d\U0001f467"], 2),  # a family
        (["\ud83d", "\ud83d\ude00"], 1),
    ],
)
def test_examples(texts: list[str], shared: int | None) -> None:
    """The characters before the first difference count, and equal texts have none."""
    assert shared == divergence(texts)


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        (Reply("", calls=(("f", '{"city":"Paris"}'),)), Reply("", calls=(("f", '{"city":"Rome"}'),)), 12),
        (Reply("", calls=(("f", "{}"),)), Reply("", calls=(("f", "{}"), ("g", "{}"))), 6),
        (Reply("", calls=(("f", "{}"),)), Reply("", calls=(("g", "{}"),)), 1),
        (Reply("Sure.", calls=(("f", "{}"),)), Reply("Sure.", calls=(("f", '{"\u00fc":1}'),)), 9),
        (Reply("Sure.", calls=(("f", "{}"),)), Reply("Sure. It is"), 5),
    ],
)  # fmt: skip
def test_calls_part_where_people_see_it(one: Reply, other: Reply, shared: int) -> None:
    """A call is a line of its own: its name and its arguments as they were given."""
    assert shared == divergence([one.shown, other.shown])


@settings(max_examples=150)
@given(texts=LOOKALIKES)
def test_it_is_the_longest_common_prefix(texts: list[str]) -> None:
    """The number is the length of the longest prefix of all texts, found here by trying each length."""
    longest = max(n for n in range(7) if all(text[:n] == texts[0][:n] and len(text) >= n for text in texts))
    assert (None if len(set(texts)) == 1 else longest) == divergence(texts)


@settings(max_examples=50)
@given(texts=LOOKALIKES, data=st.data())
def test_order_and_copies_do_not_matter(texts: list[str], data: st.DataObject) -> None:
    """The same texts in another order, or more often, part at the same place."""
    other = data.draw(st.permutations(texts + texts[:2]))
    assert divergence(texts) == divergence(other)
