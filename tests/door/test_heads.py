"""Heads that are remembered: what comes again is understood as it was the first time."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.door.bounds import Bounds
from gateway.door.head import Head, Headers
from gateway.door.reading import Reading
from gateway.errors import ClientError
from gateway.heads import Heads
from tests.door.raw_client import CLOSE, chunked, form, get, post

Heard = list[tuple[object, ...]]


class Listening:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.heard: Heard = []
        self.owes = False  # a word that its client waits for

    def begun(self) -> None:
        pass

    def asked_to_continue(self) -> None:
        self.owes = True

    def take(self, head: Head, body: bytes, problem: ClientError | None = None) -> None:
        self.owes = False
        self.heard.append((head, head.headers.pairs, body, problem and problem.status))

    def refuse(self, error: ClientError) -> None:
        self.heard.append((error.status,))


def read(pieces: Sequence[bytes], heads: Heads[Head]) -> Heard:
    """What one connection hears, with what others have left in `heads`."""
    listening = Listening()
    reading = Reading(listening, Bounds(max_body=100), heads)
    for piece in pieces:
        reading.feed(piece)
        listening.heard.append((listening.owes, reading.is_over, reading.is_between, reading.is_in_body))
    return listening.heard


class Forgetful(Heads[Head]):
    """Never knows any."""

    def keep(self, data: bytes, head: Head) -> None:
        pass


OFFER = (b"Connection: upgrade", b"Upgrade: x")
MESSAGES = [
    get(), get("/b"), post(b"hello"), post(b"world"), post(b""), chunked(b"a"), get("/c", CLOSE), post(b"x" * 101),
    form(b"POST", b"/d", b"Content-Length: 150"), b"\r\n\r\n" + get(), b"\r\n", get()[:-2], get()[:10],
    post(get()), post(b"\r\n\r\n"), get("/e", *OFFER), b"x" * 50,
    form(b"GET", b"/f", b"Content-Length: 1"), form(b"GET", b"a"), post(b"hello", b"Expect: 100-continue"),
    post(b"hello", b"Expect: 100-continue", version=b"1.0"),
]  # fmt: skip


@settings(max_examples=500)
@given(st.lists(st.lists(st.sampled_from(MESSAGES), min_size=1, max_size=4), max_size=12), st.data())
def test_remembering_changes_nothing(connections: list[list[bytes]], data: st.DataObject) -> None:
    """Connections that share their heads hear what each would hear alone, however the bytes are cut."""
    heads = Heads[Head]()
    for messages in connections:
        whole = b"".join(messages)
        cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(whole) - 1)), max_size=3)))
        pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
        cut = messages if data.draw(st.booleans()) else pieces
        assert read(cut, Forgetful()) == read(cut, heads)


def test_the_same_bytes_give_the_same_head() -> None:
    """A request that comes again has the very head it had before; another body has it as well."""
    heads = Heads[Head]()
    heard = read([post(b"hello"), post(b"hello"), post(b"world")[:-5], b"world"], heads)
    first, second, third = (told[0] for told in heard if isinstance(told[0], Head))
    assert first is second is third
    assert 1 == len(heads)


@pytest.mark.parametrize(
    "poison",
    [
        get() + form(b"POST", b"/evil", b"Content-Length: 60") + b"x" * 10,
        get() + get("/evil"),
        get() + get("/evil", *OFFER),
        get("/a", *OFFER) + get("/evil"),
        get() + get("/evil")[:-4],
        b"\r\n\r\n" + get("/evil"),
        b"\r\n\r\n" + form(b"POST", b"/evil", b"Content-Length: 60"),
        b"\r\n\r\n",
        post(b"hello") + b"GET",
        b"\r\n" + get(),
        chunked(b"a"),
    ],
)
def test_nothing_foreign_is_remembered(poison: bytes) -> None:
    """Whatever comes before or after a head in the same bytes, nobody who comes later hears anything of it."""
    heads = Heads[Head]()
    read([poison], heads)
    for data in (
        get(),
        get("/evil"),
        get("/a", *OFFER),
        get("/evil", *OFFER),
        b"\r\n\r\n" + get(),
        post(b"hello"),
    ):
        assert read([data, data], Forgetful()) == read([data, data], heads)


def test_memory_is_bounded() -> None:
    """However many different heads come, what is kept stays below a bound, and the latest are known."""
    heads = Heads[Head]()
    for number in range(5000):
        read([get("/a", b"X: %d" % number, b"Y: " + b"y" * 1000)], heads)
    assert 500 < len(heads) < 1050
    assert heads.find(get("/a", b"X: 4999", b"Y: " + b"y" * 1000))
    read([get("/a", b"Y: " + b"y" * 5000)], heads)
    assert not heads.find(get("/a", b"Y: " + b"y" * 5000))


def test_what_is_made_of_a_head_is_made_once() -> None:
    """`once` calls its function the first time only, and again for other fields."""
    made: list[Headers] = []

    def make(headers: Headers) -> str:
        made.append(headers)
        return headers["x"]

    one, other = Headers([("x", "1")]), Headers([("x", "2")])
    assert ["1", "1", "2"] == [headers.once(make) for headers in (one, one, other)]
    assert [one, other] == made
