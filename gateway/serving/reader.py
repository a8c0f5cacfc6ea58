"""Requests that were read before need not be read again.

What a request asks for is a function of its bytes and of a few header fields, so a repeated request, which is
what a cache is for, is recognised by them: no parsing, no hashing of what was parsed.
"""

from collections import OrderedDict

from gateway.door.head import Headers
from gateway.serving.policies import HEADERS, refuse_unheard
from gateway.serving.wanted import Caller, Untouched, Wanted, read_request
from gateway.settings.model import KeySettings, Settings
from gateway.wire.forms.form import Form
from gateway.wire.headers import TENANT

# Everything in a header that `read_request` looks at, but for cache-control, which may come on several lines.
_FIELDS = (*HEADERS, *TENANT)
_BOUND = 4 << 20  # bytes that are remembered, counted as below
_LONGEST = 64 << 10  # a longer body is rarely sent twice, and its parsing is small beside its transport
# What is read from the shortest request takes this much, and longer ones some four times their size.
_ENTRY = 2 << 10

# The values of _FIELDS, and what cache-control says on all of its lines.
_Said = tuple[tuple[str | None, ...], str]
_Seen = tuple[str, bytes, _Said, str]  # the last: the digest of the client's key


class Reader:
    """`read_request` that remembers, the requests unused for longest going first."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._seen: OrderedDict[_Seen, Wanted | Untouched] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return len(self._seen)

    def read(
        self, endpoint: Form, raw: bytes, headers: Headers, key: KeySettings | None
    ) -> Wanted | Untouched:
        """Read a request of whoever has this key; BadRequest names what cannot be taken."""
        said = headers.once(_what_matters)
        seen = (endpoint.path, raw, said, key.sha256 if key else "")
        read = self._seen.get(seen)
        if read is not None:
            self._seen.move_to_end(seen)
            return read
        read = read_request(self._settings, endpoint, raw, headers, Caller(said[1], key))
        if _size(seen) <= _LONGEST:
            self._keep(seen, read)
        return read

    def _keep(self, seen: _Seen, read: Wanted | Untouched) -> None:
        self._seen[seen] = read
        self._size += _size(seen)
        while self._size > _BOUND:
            forgotten, _ = self._seen.popitem(last=False)
            self._size -= _size(forgotten)


def _what_matters(headers: Headers) -> _Said:
    """What these fields say to `read_request`; BadRequest for one that would say nothing."""
    refuse_unheard(headers.pairs)
    return tuple([headers.get(name) for name in _FIELDS]), ",".join(headers.getall("cache-control"))


def _size(seen: _Seen) -> int:
    _, raw, (fields, cache_control), _ = seen
    return _ENTRY + len(raw) + len(cache_control) + sum(len(value) for value in fields if value)
