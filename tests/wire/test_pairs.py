"""Surrogate pairs that come apart are put together again, and never shown by halves."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.answers import read_sample
from gateway.wire.pairs import Joiner, join, parse
from gateway.wire.replies import UnreadableAnswer
from gateway.wire.sse import DONE, encode_event

FACE = "\U0001f600"
HIGH, LOW = "\ud83d", "\ude00"


def halves(text: str) -> str:
    """The same text as UTF-16 has it, each unit a character of its own."""
    units = text.encode("utf-16-le", "surrogatepass")
    return "".join(chr(int.from_bytes(units[at : at + 2], "little")) for at in range(0, len(units), 2))


@pytest.mark.parametrize("value", [None, 1, 1.5, "é", [], {}, {"a": ["b", {"c": FACE}]}])
def test_json_without_halves(value: Any) -> None:
    """What has no halves is read as it is, spelt out or not, and joining changes nothing."""
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        assert value == parse(text.encode()) == join(parse(text.encode()))


@pytest.mark.parametrize(
    "payload", [b"", b"{", b'{"a":NaN,"b":"\\ud83d"}', b'"\xff"', b'"\\ud83d', b'{"a":"\xff\\ud83d"}']
)
def test_no_json(payload: bytes) -> None:
    """What is no JSON is a ValueError, halves in it or not."""
    with pytest.raises(ValueError, match=r"."):
        parse(payload)


def test_halves_meet() -> None:
    """Halves that came apart are one character once their strings are joined, in names as well."""
    first, second = parse(b'["\\ud83d"]'), parse(b'["\\ude00"]')
    assert [HIGH, LOW] == first + second
    assert {FACE: [FACE]} == join({HIGH + LOW: [first[0] + second[0]]})


@pytest.mark.parametrize("text", [HIGH, LOW, LOW + HIGH, "a" + HIGH + "b", FACE + LOW])
def test_half_a_pair_is_no_text(text: str) -> None:
    """Half a pair without its other half is an error, in one piece or letter by letter."""
    with pytest.raises(UnicodeDecodeError):
        join(text)
    joiner = Joiner()
    with pytest.raises(UnicodeDecodeError):
        [joiner.add(letter) for letter in text + "end"]


@given(
    st.lists(st.sampled_from(["a", "é", "漢", "\ufffd", FACE, "\U0010ffff", ""])).map("".join),
    st.integers(1, 4),
)
def test_pieces(text: str, length: int) -> None:
    """Text cut between any two units of UTF-16 comes out whole, and no piece of it ends in half a pair."""
    units, joiner = halves(text), Joiner()
    pieces = [joiner.add(units[at : at + length]) for at in range(0, len(units), length)]
    assert text == "".join(pieces)
    for piece in pieces:
        piece.encode()


def _stream(*contents: str) -> bytes:
    chunks = [{"choices": [{"index": 0, "delta": {"content": content}}]} for content in contents]
    return b"".join(encode_event(json.dumps(chunk).encode()) for chunk in chunks) + encode_event(DONE)


def test_a_sample_in_halves() -> None:
    """A stream whose chunks part a pair is the sample that it spells out; one that leaves a half alone is none."""
    body = _stream("a", HIGH, LOW + "b" + HIGH, LOW)
    assert f"a{FACE}b{FACE}" == read_sample(body, "text/event-stream").content
    with pytest.raises(UnreadableAnswer):
        read_sample(_stream("a", HIGH, "b"), "text/event-stream")
