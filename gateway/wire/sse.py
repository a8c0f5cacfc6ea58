"""Server-sent events (WHATWG HTML, section 9.2): incremental decoding, encoding."""

from codecs import BOM_UTF8
from dataclasses import dataclass

DONE = b"[DONE]"


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its data lines joined by newlines, and its type where it has one."""

    data: bytes
    type: bytes = b""


class EventDecoder:
    """Bytes in, events out, whatever the pieces they come in. Comments, ids and retry times are dropped."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._type = b""
        self._begun = False  # whether the first line is in, which may open with a byte order mark
        self._after_cr = False  # whether a newline that comes first is half of a CRLF

    def feed(self, piece: bytes) -> list[Event]:
        """The events that this piece completes."""
        if not piece:
            return []
        if self._after_cr:
            piece = piece.removeprefix(b"\n")
        self._after_cr = piece.endswith(b"\r")
        lines = (self._rest + piece).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest = lines.pop()
        if lines and not self._begun:
            self._begun = True
            lines[0] = lines[0].removeprefix(BOM_UTF8)
        return [event for line in lines if (event := self._take(line)) is not None]

    def _take(self, line: bytes) -> Event | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
        elif name == b"event":
            self._type = value.removeprefix(b" ")
        return None

    def _dispatch(self) -> Event | None:
        data, kind = self._data, self._type
        self._data, self._type = [], b""
        return Event(b"\n".join(data), kind) if data else None


def encode_event(data: bytes, kind: bytes = b"") -> bytes:
    """One event, with its type if it has one."""
    if b"\n" in data:
        data = data.replace(b"\n", b"\ndata: ")
    return b"event: %s\ndata: %s\n\n" % (kind, data) if kind else b"data: " + data + b"\n\n"


def encode_comment(text: str) -> bytes:
    """A comment, which clients skip."""
    return b": " + text.encode() + b"\n\n"
