"""The head of a request (RFC 9112, sections 2, 3 and 5), taken apart and checked."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, overload
from urllib.parse import unquote

from gateway.errors import BadRequest

Made = TypeVar("Made")

_ABSOLUTE = re.compile(r"https?://([^/?@]+)(/[^?]*)?(\?.*)?", re.IGNORECASE)


class Headers(Mapping[str, str]):
    """Header fields, never changed. Any case finds a field, the first one where there are several.

    `pairs` has all of them in the order in which they came, names in lower case.
    """

    __slots__ = ("_first", "_made", "pairs")

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self.pairs = tuple(pairs)
        self._first = dict(reversed(self.pairs))
        self._made: dict[Callable[[Headers], Any], Any] = {}

    def __getitem__(self, name: str) -> str:
        return self._first[name.lower()]

    @overload
    def get(self, name: str, default: None = None, /) -> str | None: ...
    @overload
    def get(self, name: str, default: str | Made, /) -> str | Made: ...
    def get(self, name: str, default: object = None, /) -> object:
        """The value of a field, the default if it is not there."""
        return self._first.get(name.lower(), default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._first)

    def __len__(self) -> int:
        return len(self._first)

    def __contains__(self, name: object) -> bool:
        return name in self._first or (isinstance(name, str) and name.lower() in self._first)

    def getall(self, name: str) -> list[str]:
        """The values of all fields of this name, in order."""
        name = name.lower()
        return [value for key, value in self.pairs if key == name]

    def once(self, make: "Callable[[Headers], Made]") -> Made:
        """What `make` makes of these fields: made once, since heads are kept and come again (see `gateway.heads`)."""
        made = self._made.get(make)
        if made is None:
            made = self._made[make] = make(self)
        found: Made = made
        return found


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a request. The same bytes give the same one."""

    method: str
    target: str  # path and query, as they came
    path: str  # decoded, without the query
    host: str  # whom the request is for, with the port where there is one
    is_http11: bool
    keep_alive: bool
    length: int | None  # of the body in bytes; None: it comes in chunks
    coding: str | None  # of the body, None for none
    headers: Headers

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for `100 Continue` before it sends the body."""
        return self.is_http11 and self.headers.get("expect", "").lower() == "100-continue"


def read_head(
    method: bytes, target: bytes, version: str, fields: Iterable[tuple[bytes, bytes]], *, keep_alive: bool
) -> Head:
    """What llhttp found, whose own checks are strict; BadRequest for what it lets through and we do not."""
    if version not in {"1.0", "1.1"}:
        raise BadRequest(f"HTTP/{version} is not spoken here")
    if method == b"CONNECT":
        raise BadRequest("there is no tunnel here")
    headers = Headers(
        (name.lower().decode("latin-1"), value.rstrip(b" \t").decode("utf-8", "surrogateescape"))
        for name, value in fields
    )
    is_http11 = version == "1.1"
    hosts = headers.getall("host")
    if len(hosts) > 1 or (is_http11 and not hosts):
        raise BadRequest("a request needs one Host field")
    host, path_and_query = _split(target.decode("ascii"), "".join(hosts))
    return Head(
        method=method.decode("ascii"),
        target=path_and_query,
        path=unquote(path_and_query.partition("?")[0]),
        host=host,
        is_http11=is_http11,
        keep_alive=keep_alive,
        length=_length(headers, is_http11=is_http11),
        coding=headers.get("content-encoding"),
        headers=headers,
    )


def _split(target: str, host: str) -> tuple[str, str]:
    """Host and path with query, of a target in origin form, in absolute form, or `*`."""
    if "#" not in target:
        if target.startswith("/") or target == "*":
            return host, target
        whole = _ABSOLUTE.fullmatch(target)
        if whole:
            return whole[1], (whole[2] or "/") + (whole[3] or "")
    raise BadRequest("a request's target has to be a path")


def _length(headers: Headers, *, is_http11: bool) -> int | None:
    coding = headers.get("transfer-encoding")
    if coding is None:
        return int(headers.get("content-length", "0"))
    if coding.lower() != "chunked" or not is_http11:
        raise BadRequest("no transfer-encoding but chunked is understood, and that in HTTP/1.1 only")
    return None
