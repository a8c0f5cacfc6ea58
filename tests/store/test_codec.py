"""A pin as bytes: every pin comes back, and nothing else reads as one."""

import json
from zlib import crc32

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.pin import Pin
from gateway.store.codec import decode_pin, encode_pin
from tests.store.pins import PINS, a_pin

WHOLE = encode_pin(a_pin(b'{"id":"cmpl-0"}\n\0\xff'))
HEAD = WHOLE[len("scg1 01234567 ") :].partition(b"\n")[0]


def signed(rest: bytes, version: bytes = b"scg1") -> bytes:
    """These bytes as if we had stored them."""
    return b"%s %08x %s" % (version, crc32(rest), rest)


def header(**changes: object) -> bytes:
    """A pin's header with these members changed; `...` takes one away."""
    members = json.loads(HEAD) | changes
    return json.dumps({name: value for name, value in members.items() if value is not ...}).encode()


@given(PINS)
@example(a_pin(b""))
@example(a_pin(b"\n"))
@example(a_pin(bytes(range(256))))
def test_a_pin_comes_back(pin: Pin) -> None:
    """What was encoded decodes to the same pin, whatever its body and texts are made of."""
    assert pin == decode_pin(encode_pin(pin))


def test_the_body_is_stored_as_it_came() -> None:
    """Stored bytes end in the body itself, so that it costs its own length and can be read by hand."""
    assert encode_pin(a_pin(b"\xc3\x28\n\0")).endswith(b"}\n\xc3\x28\n\0")


@given(st.binary(max_size=300))
@example(b"")
@example(b"scg1 ")
@example(b"scg1 00000000 ")
@example(b'{"id":"cmpl-0"}')
def test_foreign_bytes_are_no_pin(stored: bytes) -> None:
    """Bytes that we did not write read as none (a chance of 2^-32 per example that ends in `scg1 `)."""
    assert decode_pin(stored) is None


@pytest.mark.parametrize("flipped", [0x01, 0x20, 0x80, 0xFF])
def test_damage_anywhere_is_noticed(flipped: int) -> None:
    """A pin of which any one byte has changed reads as none."""
    damaged = [WHOLE[:at] + bytes([byte ^ flipped]) + WHOLE[at + 1 :] for at, byte in enumerate(WHOLE)]
    assert [None] * len(WHOLE) == [decode_pin(each) for each in damaged]


def test_a_part_is_no_pin() -> None:
    """A pin that was cut anywhere, before its body or in it, reads as none."""
    assert [None] * len(WHOLE) == [decode_pin(WHOLE[:length]) for length in range(len(WHOLE))]


@pytest.mark.parametrize("version", [b"scg0", b"scg2", b"scg", b"SCG1", b"scg10"])
def test_another_version_is_no_pin(version: bytes) -> None:
    """What an older or newer release stored in another format reads as none."""
    assert decode_pin(signed(HEAD + b"\n", version)) is None


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"outcome":"\xff"}',
        header(k=...),
        header(k=None),
        header(k="3"),
        header(k=1.5),
        header(streamed=0),
        header(agreement=None),
        header(margin="wide"),
        header(policy=7),
        header(outcome=["majority"]),
        b'{"x":' + b"[" * 200_000,
        HEAD + b"{}",
    ],
)
def test_a_header_that_says_something_else_is_no_pin(head: bytes) -> None:
    """A header with a member missing, of another type, or that is no JSON at all reads as none."""
    assert decode_pin(signed(head + b"\nbody")) is None


def test_a_pin_of_the_first_release() -> None:
    """A header without the margin, which the first release did not know, is still a pin."""
    assert a_pin(b"body") == decode_pin(signed(header(margin=...) + b"\nbody"))


def test_members_of_a_later_release_are_passed_over() -> None:
    """A header with members more than ours is still a pin."""
    assert a_pin(b"body") == decode_pin(signed(header(invented="later") + b"\nbody"))


def test_the_header_is_what_a_pin_says() -> None:
    """The header has exactly a pin's fields but its body, in their order, and reads as them."""
    names = [name for name in Pin._fields if name != "body"]
    assert names == list(json.loads(HEAD))
