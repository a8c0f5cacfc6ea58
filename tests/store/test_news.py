"""What a vote tells before it has landed: everybody hears all of it, in order, whenever they came."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.store.news import News


@given(st.lists(st.binary(min_size=1, max_size=3), max_size=8), st.data())
def test_whoever_comes_late_hears_all(pieces: list[bytes], data: st.DataObject) -> None:
    """Watchers that came before, between and after the pieces have the same bytes in the end."""
    heard: list[bytearray] = []
    news = News()
    for piece in [*pieces, b""]:
        if data.draw(st.booleans()):
            heard.append(bytearray())
            news.watch(heard[-1].extend)
        if piece:
            news.tell(piece)
    assert [b"".join(pieces)] * len(heard) == [bytes(each) for each in heard]


def test_the_first_sample_is_told_once() -> None:
    """A watcher hears of the first sample by no bytes, and of no other; one that comes late likewise."""
    early: list[bytes] = []
    late: list[bytes] = []
    news = News()
    news.watch(early.append)
    news.sample_came()
    news.sample_came()
    news.watch(late.append)
    assert ([b""], [b""]) == (early, late)


def test_whoever_has_left_hears_nothing() -> None:
    """After leaving, nothing is told."""
    heard: list[bytes] = []
    news = News()
    news.watch(heard.append)
    news.leave(heard.append)
    news.tell(b"piece")
    assert [] == heard
