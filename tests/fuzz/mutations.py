"""Real bytes made wrong: flipped, cut, repeated, with odd pieces in odd places, and split anywhere."""

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import strategies as st

ODD = (
    b"\0", b"\xff", b"\xc3\x28", b"\xef\xbb\xbf", b"\r", b"\n", b"\r\n\r\n", b"data: ", b"data:[DONE]\n\n", b"\n\n",
    b"event: error\n", b": \n", b'{"error":{"message":"x","code":429}}', b'{"error":null}', b"{}", b"[]", b"null",
    b"NaN", b"1e999", b"-0", b'"\\ud800"', b'"\\u0000"', b"[" * 500, b'{"a":' * 500, b'"id":1,', b'"index":-1,',
    b'"index":99999999999,', b'"content":5,', b'"content":[{"type":"text","text":"a"}],', b'"choices":{},',
    b'"choices":[],', b'"finish_reason":[],', b'"usage":"no",', b'"delta":null,', b"HTTP/1.1 200 OK\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", b"Content-Length: 99999999999999999999\r\n",
    b"Content-Encoding: gzip\r\n", b"Connection: upgrade\r\nUpgrade: websocket\r\n", b"Retry-After: -1\r\n",
    b"Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\nDate: x\r\n", b"X-Odd: \xff\xfe\r\n", b"X:\r\n y\r\n", b"0\r\n\r\n",
    b"ffffffffffffffff\r\n",
)  # fmt: skip

_PLACES = st.integers(0, 1 << 12)
_PIECES = st.one_of(st.sampled_from(ODD), st.binary(min_size=1, max_size=6))
_CHANGE = st.one_of(
    st.tuples(st.just("insert"), _PLACES, _PIECES),
    st.tuples(st.just("replace"), _PLACES, _PIECES),
    st.tuples(st.just("delete"), _PLACES, st.integers(1, 40)),
    st.tuples(st.just("repeat"), _PLACES, st.integers(1, 200)),
    st.tuples(st.just("cut"), _PLACES, st.none()),
)


def changed(data: bytes, changes: Sequence[tuple[str, int, object]]) -> bytes:
    """The data with these changes one after the other; places count round the circle."""
    for how, place, what in changes:
        at = place % (len(data) + 1)
        if isinstance(what, bytes):
            data = data[:at] + what + data[at + (len(what) if how == "replace" else 0) :]
        elif isinstance(what, int):
            after = data[at:]
            data = data[:at] + (after[what:] if how == "delete" else after[:what] + after)
        else:
            data = data[:at]
    return data


def mutated(originals: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """One of these as it is, changed in a few places, or nothing that anybody would know."""
    return st.one_of(
        st.sampled_from(originals),
        st.builds(changed, st.sampled_from(originals), st.lists(_CHANGE, min_size=1, max_size=4)),
        st.builds(changed, st.sampled_from(originals), st.lists(_CHANGE, min_size=1, max_size=4)),
        st.binary(max_size=60),
    )


def split(data: bytes, places: Sequence[int]) -> list[bytes]:
    """The data in pieces."""
    cuts = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[one:other] for one, other in pairwise(cuts) if one < other]


SPLITS = st.lists(_PLACES, max_size=6)
