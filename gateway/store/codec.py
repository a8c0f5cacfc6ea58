r"""A pin as bytes: one line that says what it is, then the body as it came.

    scg1 9f3a07c1 {"outcome":"majority",...}\n
    {"id":"chatcmpl-...

The first word is the format's version, the second a checksum of all that follows it: bytes that begin
otherwise are no pin of ours, and bytes that were damaged are none any more. Both read as none.
"""

from dataclasses import asdict
from zlib import crc32

import msgspec

from gateway.core.pin import Pin

_VERSION = b"scg1 "
_LABEL = len(_VERSION) + 9


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
    rest = msgspec.json.encode(header) + b"\n" + pin.body
    return _label(rest) + rest


def decode_pin(stored: bytes) -> Pin | None:
    """The pin in these bytes; None if they are of another version or damaged."""
    rest = stored[_LABEL:]
    if stored[:_LABEL] != _label(rest):
        return None
    head, _, body = rest.partition(b"\n")
    try:
        header = _DECODER.decode(head)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return Pin(body, *(getattr(header, name) for name in _Header.__struct_fields__))


def _label(rest: bytes) -> bytes:
    return b"%s%08x " % (_VERSION, crc32(rest))
