"""The id under which an upstream has stored its answer, found while the answer passes."""

import re

import msgspec

from gateway.wire.sse import EventDecoder

_MOST = 1 << 20  # bytes that are looked at
_FIRST_MEMBER = re.compile(rb'\s*\{\s*"id"\s*:\s*"([^"\\]+)"')


class _Stored(msgspec.Struct):
    id: str = ""


class _Begun(msgspec.Struct):
    response: _Stored = msgspec.field(default_factory=_Stored)


_STORED, _BEGUN = msgspec.json.Decoder(_Stored), msgspec.json.Decoder(_Begun)


class StoredId:
    """Pieces of one answer in, its id out.

    Of a stream it is the id of the response in the first event; of JSON the member `id`, known at once where it comes
    first, else when all is there.
    """

    def __init__(self, *, streamed: bool) -> None:
        self.is_over = False  # nothing more will be found
        self._events = EventDecoder() if streamed else None
        self._body = b""
        self._size = 0

    def feed(self, piece: bytes) -> str:
        """The id, if this piece completes it, else ""; b"" is the answer's end."""
        if self.is_over:
            return ""
        self._size += len(piece)
        found = self._in_json(piece) if self._events is None else self._in_first(self._events, piece)
        if found or not piece or self._size > _MOST:
            self.is_over = True
        return found

    def _in_first(self, events: EventDecoder, piece: bytes) -> str:
        for event in events.feed(piece):
            self.is_over = True
            try:
                return _BEGUN.decode(event.data).response.id
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                break
        return ""

    def _in_json(self, piece: bytes) -> str:
        self._body += piece
        try:
            if first := _FIRST_MEMBER.match(self._body):
                return first[1].decode()
            return "" if piece else _STORED.decode(self._body).id
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return ""
