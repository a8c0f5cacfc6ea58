"""Event streams: decoded alike however they are cut, and what is encoded is decoded again."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.sse import DONE, Event, EventDecoder, encode_comment, encode_event

# Streams as they are on the wire, and the events in them.
STREAMS: list[tuple[bytes, list[Event]]] = [
    (b"", []),
    (b"data: a\n\n", [Event(b"a")]),
    (b"data: a\r\n\r\n", [Event(b"a")]),
    (b"data: a\r\r", [Event(b"a")]),
    (b"data: a\n\ndata: b\n\n", [Event(b"a"), Event(b"b")]),
    (b"data: a\r\n\r\ndata: b\r\n\r\n", [Event(b"a"), Event(b"b")]),
    (b"data: a\r\rdata: b\r\r", [Event(b"a"), Event(b"b")]),
    (b"data: a\r\n\ndata: b\n\r\ndata: c\r\n\rdata: d\n\r", [Event(b"a"), Event(b"b"), Event(b"c"), Event(b"d")]),
    (b'data: {"x":1}\n\ndata: [DONE]\n\n', [Event(b'{"x":1}'), Event(DONE)]),
    (b"data:a\n\n", [Event(b"a")]),
    (b"data:  a \n\n", [Event(b" a ")]),
    (b"data: a\ndata: b\n\n", [Event(b"a\nb")]),
    (b"data: a\r\ndata:\r\ndata: b\r\n\r\n", [Event(b"a\n\nb")]),
    (b"data\n\n", [Event(b"")]),
    (b"data:\n\n", [Event(b"")]),
    (b"data: a: b: c\n\n", [Event(b"a: b: c")]),
    (b": ping\n\n", []),
    (b": ping\n\ndata: a\n: in between\ndata: b\n\n:\n\n", [Event(b"a\nb")]),
    (b"event: error\ndata: a\n\ndata: b\n\n", [Event(b"a", b"error"), Event(b"b")]),
    (b"data: a\nevent:error\n\n", [Event(b"a", b"error")]),
    (b"event: lonely\n\ndata: a\n\n", [Event(b"a")]),
    (b"id: 7\nretry: 100\ndata: a\n\n", [Event(b"a")]),
    (b"Data: a\ndatas: b\n data: c\n\n", []),
    (b"\n\n\r\n\r\rdata: a\n\n\n\n", [Event(b"a")]),
    ("data: žluťoučký 漢字 \U0001f600\n\n".encode(), [Event("žluťoučký 漢字 \U0001f600".encode())]),
    ("data: a\u0085b\u2028c\u2029\x0b\x0c\n\n".encode(), [Event("a\u0085b\u2028c\u2029\x0b\x0c".encode())]),
    (b"data: \x00\xff\xfe\n\n", [Event(b"\x00\xff\xfe")]),
    (b"\xef\xbb\xbfdata: a\n\n", [Event(b"a")]),
    (b"data: \xef\xbb\xbfa\n\n\xef\xbb\xbfdata: b\n\n", [Event(b"\xef\xbb\xbfa")]),
    (b"data: a\n\ndata: never ended\n", [Event(b"a")]),
    (b"data: a\n\ndata: [DO", [Event(b"a")]),
]  # fmt: skip

# Lines that matter to the decoder, with every end that a line may have.
lines = st.sampled_from([
    b"data: a", b"data:b", b"data", b"data:", b"data: \xc3\xa9", b"event: e", b"event", b": comment", b"id: 1", b"x",
    b"", b"", b"",
])  # fmt: skip
ends = st.sampled_from([b"\n", b"\r", b"\r\n"])
streams = st.lists(st.tuples(lines, ends), max_size=20).map(lambda drawn: b"".join(a + b for a, b in drawn))


def decode(pieces: Sequence[bytes]) -> list[Event]:
    decoder = EventDecoder()
    return [event for piece in pieces for event in decoder.feed(piece)]


def cut(stream: bytes, places: Sequence[int]) -> list[bytes]:
    """The stream in pieces, some of them empty."""
    bounds = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in pairwise(bounds)]


@pytest.mark.parametrize(("stream", "events"), STREAMS)
def test_whole(stream: bytes, events: list[Event]) -> None:
    """A stream that comes in one piece holds these events."""
    assert events == decode([stream])


@pytest.mark.parametrize(("stream", "events"), STREAMS)
def test_byte_by_byte(stream: bytes, events: list[Event]) -> None:
    """The same stream holds the same events if it comes a byte at a time."""
    assert events == decode([bytes([byte]) for byte in stream])


@pytest.mark.parametrize(("stream", "events"), STREAMS)
def test_in_two_pieces(stream: bytes, events: list[Event]) -> None:
    """The same stream holds the same events wherever it is cut in two."""
    for place in range(len(stream) + 1):
        assert events == decode([stream[:place], stream[place:]])


@given(streams, st.lists(st.integers(0, 10_000), max_size=8))
def test_cuts_do_not_matter(stream: bytes, places: list[int]) -> None:
    """Any stream holds the same events in one piece, in single bytes and in random pieces."""
    whole = decode([stream])
    assert whole == decode(cut(stream, places))
    assert whole == decode([bytes([byte]) for byte in stream])


@given(st.lists(lines, max_size=20), ends)
def test_ends_of_lines_do_not_matter(drawn: list[bytes], end: bytes) -> None:
    """A stream holds the same events with each of the three ways that its lines may end."""
    assert decode([b"".join(line + b"\n" for line in drawn)]) == decode(
        [b"".join(line + end for line in drawn)]
    )


@given(st.lists(st.binary(max_size=20).filter(lambda data: not {10, 13} & set(data)), max_size=5))
def test_round_trip(payloads: list[bytes]) -> None:
    """What is encoded is decoded again, with comments in between."""
    stream = b"".join(encode_event(data) + encode_comment("still here") for data in payloads)
    assert [Event(data) for data in payloads] == decode([stream])
