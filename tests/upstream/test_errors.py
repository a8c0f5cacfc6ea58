"""Foreign errors become ours in one place, all of them."""

import errno
import ssl
from collections.abc import Iterator
from itertools import chain

import aiohttp
import pytest
from aiohttp import client_reqrep
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from gateway.upstream.aiohttp_client import translate
from gateway.upstream.client import Broken, TimedOut, TooLong, Unreachable, UpstreamFailure


def descendants(kind: type[Exception]) -> Iterator[type[Exception]]:
    """A class and all that derive from it, of aiohttp's own."""
    if kind.__module__.startswith("aiohttp."):
        yield kind
    yield from chain.from_iterable(map(descendants, kind.__subclasses__()))


KINDS = sorted(set(descendants(aiohttp.ClientError)), key=lambda kind: kind.__name__)

_URL = URL("http://upstream.invalid/")
_KEY = client_reqrep.ConnectionKey("upstream.invalid", 80, is_ssl=False, ssl=True, proxy=None, proxy_auth=None,
                                   proxy_headers_hash=None)  # fmt: skip
_INFO = aiohttp.RequestInfo(_URL, "POST", CIMultiDictProxy(CIMultiDict()))
_WAYS: list[tuple[object, ...]] = [
    (_INFO, ()),
    (_KEY, OSError(errno.ECONNREFUSED, "refused")),
    (_KEY, ssl.SSLCertVerificationError("bad certificate")),
    ("/socket", _KEY, OSError(errno.ENOENT, "no socket")),
    (b"expected", b"got", "upstream.invalid", 80),
    (_URL, "bad"),
    ("what happened",),
    (),
]


def make(kind: type[Exception]) -> Exception:
    """An error of this class that can say what it is, by whatever its constructor takes."""
    for arguments in _WAYS:
        try:
            made = kind(*arguments)
            str(made)
        except (TypeError, AttributeError):
            continue
        return made
    pytest.fail(f"nobody knows how to make a {kind.__name__}")


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_of_aiohttp_becomes_ours(kind: type[Exception]) -> None:
    """Each of aiohttp's client errors becomes an UpstreamFailure with a message."""
    failure = translate(make(kind))
    assert isinstance(failure, UpstreamFailure)
    assert str(failure)


@pytest.mark.parametrize(
    ("kind", "ours"),
    [
        (aiohttp.ClientConnectorError, Unreachable),
        (aiohttp.ClientConnectorDNSError, Unreachable),
        (aiohttp.ClientConnectorCertificateError, Unreachable),
        (aiohttp.ClientConnectorSSLError, Unreachable),
        (aiohttp.ClientProxyConnectionError, Unreachable),
        (aiohttp.ConnectionTimeoutError, Unreachable),
        (aiohttp.InvalidURL, Unreachable),
        (aiohttp.NonHttpUrlClientError, Unreachable),
        (aiohttp.ServerTimeoutError, TimedOut),
        (aiohttp.SocketTimeoutError, TimedOut),
        (TimeoutError, TimedOut),
        (aiohttp.ServerDisconnectedError, Broken),
        (aiohttp.ClientOSError, Broken),
        (aiohttp.ClientPayloadError, Broken),
        (aiohttp.ClientResponseError, Broken),
        (aiohttp.ClientConnectionResetError, Broken),
        (ConnectionResetError, Broken),
        (BrokenPipeError, Broken),
        (OSError, Broken),
        (ssl.SSLError, Broken),
        (ValueError, Broken),
    ],
)
def test_what_becomes_what(kind: type[Exception], ours: type[UpstreamFailure]) -> None:
    """No connection is Unreachable, silence is TimedOut, all else is Broken."""
    assert ours is type(translate(make(kind)))


@pytest.mark.parametrize(
    ("kind", "reason"),
    [(Unreachable, "unreachable"), (TimedOut, "timeout"), (Broken, "broken"), (TooLong, "broken")],
)
def test_reasons(kind: type[UpstreamFailure], reason: str) -> None:
    """Each failure has a reason, by the words of abstentions and metrics."""
    assert reason == kind("").reason
