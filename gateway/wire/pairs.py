r"""Surrogate pairs that come apart: JSON allows `"\ud83d"` in one chunk and `"\ude00"` in the next (RFC 8259, 8.2).

Servers that count text in UTF-16 cut it so. Half a pair is no character: it can neither be shown nor encoded.
"""

import json
import re
from typing import Any

import msgspec

_HALF = re.compile("[\ud800-\udfff]")


def parse(payload: bytes) -> Any:
    """A JSON value, in whose strings halves of pairs may stand; ValueError for what is no JSON."""
    try:
        return msgspec.json.decode(payload)
    except msgspec.DecodeError:
        if not may_have_halves(payload):
            raise
        return json.loads(payload, parse_constant=_no_constant)


def encode(value: Any) -> bytes:
    """The shortest JSON text; integers of any size stay such, and halves of pairs are spelt out."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def may_have_halves(payload: bytes) -> bool:
    """Whether surrogates are spelt out in this JSON text, paired or not."""
    return b"\\ud" in payload or b"\\uD" in payload


def join(value: Any) -> Any:
    """The same value, halves that meet in its strings joined; UnicodeDecodeError where one is left alone."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16")
    if isinstance(value, dict):
        return {join(name): join(member) for name, member in value.items()}
    return [join(item) for item in value] if isinstance(value, list) else value


class Joiner:
    """Text in pieces, each of which may end in half a pair: that half waits for the next piece."""

    def __init__(self) -> None:
        self._half = ""

    def add(self, piece: str) -> str:
        """The whole characters so far; UnicodeDecodeError for half a pair that stands alone."""
        if not self._half and not _HALF.search(piece):
            return piece
        text = self._half + piece
        self._half = text[-1] if "\ud800" <= text[-1] <= "\udbff" else ""
        whole: str = join(text.removesuffix(self._half) if self._half else text)
        return whole


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")
