r"""A pin as bytes: one line that says what it is, then the body as it came.

    scg1 9f3a07c1 {"outcome":"majority",...}\n
    {"id":"chatcmpl-...

The first word is the format's version, the second a checksum of all that follows it: bytes that begin
otherwise are no pin of ours, and bytes that were damaged are none any more. Both read as none.
"""

from typing import Any, get_type_hints
from zlib import crc32

import msgspec

from gateway.core.pin import Pin

FORMAT = 1  # part of the name in Redis: processes with different formats do not meet each other's pins
_VERSION = b"scg%d " % FORMAT
_LABEL = len(_VERSION) + 9


def _header() -> type[msgspec.Struct]:
    """A pin without its body, in the order of a pin's fields. What has a default there may be absent."""
    hints = get_type_hints(Pin)
    members: list[Any] = [
        (name, hints[name], *([Pin._field_defaults[name]] if name in Pin._field_defaults else []))
        for name in Pin._fields
        if name != "body"
    ]
    return msgspec.defstruct("_Header", members)


_HEADER = _header()
_NAMES = _HEADER.__struct_fields__
_DECODER = msgspec.json.Decoder(_HEADER)
_members = msgspec.structs.astuple


def encode_pin(pin: Pin) -> bytes:
    """The bytes to store."""
    header = {name: getattr(pin, name) for name in _NAMES}
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
    return Pin(body, *_members(header))


def _label(rest: bytes) -> bytes:
    return b"%s%08x " % (_VERSION, crc32(rest))
