"""Requests that were read before need not be read again.

What a request asks for is a function of its bytes and of a few header fields, so a repeated request, which is
what a cache is for, is recognised by them: no parsing, no hashing of what was parsed.
"""

from collections import OrderedDict
from collections.abc import Mapping

from multidict import istr

from gateway.serving.policies import HEADERS
from gateway.serving.wanted import Endpoint, Untouched, Wanted, read_request
from gateway.settings.model import Settings
from gateway.wire.headers import TENANT

# Everything in a header that `read_request` looks at.
_FIELDS = tuple(istr(name) for name in (*HEADERS, *TENANT, "cache-control"))
_BOUND = 4 << 20  # bytes of bodies; what was read from them takes some four times that
_LONGEST = 64 << 10  # a longer body is rarely sent twice, and its parsing is small beside its transport

_Seen = tuple[Endpoint, bytes, tuple[str | None, ...]]


class Reader:
    """`read_request` that remembers, the requests unused for longest going first."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._seen: OrderedDict[_Seen, Wanted | Untouched] = OrderedDict()
        self._size = 0

    def read(self, endpoint: Endpoint, raw: bytes, headers: Mapping[str, str]) -> Wanted | Untouched:
        """Read a request; BadRequest names what cannot be taken."""
        seen = (endpoint, raw, tuple([headers.get(name) for name in _FIELDS]))
        read = self._seen.get(seen)
        if read is not None:
            self._seen.move_to_end(seen)
            return read
        read = read_request(self._settings, endpoint, raw, headers)
        if len(raw) <= _LONGEST:
            self._keep(seen, read)
        return read

    def _keep(self, seen: _Seen, read: Wanted | Untouched) -> None:
        self._seen[seen] = read
        self._size += len(seen[1])
        while self._size > _BOUND:
            forgotten, _ = self._seen.popitem(last=False)
            self._size -= len(forgotten[1])
