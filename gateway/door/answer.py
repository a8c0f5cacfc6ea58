"""Answers as bytes."""

from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus

Fields = Iterable[tuple[str, str]]

BARE = frozenset({204, 304})  # statuses without a body, whatever is said of it (RFC 9110, section 6.4.1)


class Answer:
    """A whole answer. `lines` are fields that are written already, by `field_lines`.

    Length, date and connection are added on its way out.
    """

    __slots__ = ("body", "lines", "status")

    def __init__(self, status: int, fields: Fields = (), body: bytes = b"", *, lines: str = "") -> None:
        self.status = status
        self.lines = lines + field_lines(fields) if fields else lines
        self.body = body


def field_lines(fields: Fields) -> str:
    """Fields as lines, each with its end; ValueError for a line break in one."""
    lines = [f"{name}: {value}\r\n" for name, value in fields]
    text = "".join(lines)
    if text.count("\n") != len(lines) or text.count("\r") != len(lines):
        raise ValueError("a line break in a header field")
    return text


def encode_head(status: int, lines: str, date: str) -> bytes:
    """The head of an answer, all of whose other fields are in `lines`."""
    text = f"{_status_line(status)}{lines}date: {date}\r\n\r\n"
    return text.encode("utf-8", "surrogateescape")


@lru_cache(maxsize=128)
def _status_line(status: int) -> str:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n"
