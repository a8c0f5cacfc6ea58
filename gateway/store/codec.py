r"""A pin as bytes: one line of JSON that says what it is, then the body as it came.

    scg1 {"outcome":"majority",...}\n
    {"id":"chatcmpl-...

The first word is the format's version: bytes that begin otherwise are no pin of ours, and read as none.
"""

from dataclasses import asdict

import msgspec

from gateway.core.pin import Pin

_VERSION = b"scg1 "


class _Header(msgspec.Struct):
    streamed: bool
    outcome: str
    agreement: float
    k: int
    samples: int
    distinct: int
    divergence: int | None
    tokens: int
    returned: int
    policy: str


_DECODER = msgspec.json.Decoder(_Header)


def encode_pin(pin: Pin) -> bytes:
    """The bytes to store."""
    header = asdict(pin)
    del header["body"]
    return _VERSION + msgspec.json.encode(header) + b"\n" + pin.body


def decode_pin(stored: bytes) -> Pin | None:
    """The pin in these bytes; None if they are of another version or damaged."""
    if not stored.startswith(_VERSION):
        return None
    head, _, body = stored[len(_VERSION) :].partition(b"\n")
    try:
        header = _DECODER.decode(head)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return Pin(body, *(getattr(header, name) for name in _Header.__struct_fields__))
