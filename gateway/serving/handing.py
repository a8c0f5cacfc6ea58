"""What a vote came to, handed to processes that wait for it where it could not be pinned: an answer, or a failure.

They wait for one vote and share its end, as clients of one process do; else each of them would vote again, one after
the other, on what has just failed.
"""

from base64 import b64decode, b64encode

import msgspec

from gateway.core.pin import Pin
from gateway.errors import (
    DeadlineExceeded,
    GatewayError,
    NoAgreement,
    NoArbiter,
    NoQuorum,
    UpstreamAnswered,
)
from gateway.store.codec import decode_pin, encode_pin

_FAILURE = b"failure "
# What says nothing of the process that found it: a lane or a connection that one has lost, another may have. What a
# whole vote was paid for is handed on even so, for each would pay for it again.
_KINDS = {kind.__name__: kind for kind in (NoAgreement, NoArbiter, NoQuorum, DeadlineExceeded)}


class _Failure(msgspec.Struct):
    kind: str
    message: str
    headers: tuple[tuple[str, str], ...]  # their bytes, each as a character: they need not be UTF-8
    status: int = 0
    body: str = ""  # base64


_DECODER = msgspec.json.Decoder(_Failure)


def hand_pin(pin: Pin) -> bytes:
    """An answer that may not be pinned, for those who wait for it now."""
    return encode_pin(pin)


def hand_failure(error: GatewayError) -> bytes:
    """A failure; nothing for one that is this process's own."""
    fields = tuple((name, _written(value)) for name, value in error.headers)
    if isinstance(error, UpstreamAnswered):
        body = b64encode(error.body).decode()
        told = _Failure("", error.message, fields, error.upstream_status, body)
    elif type(error).__name__ in _KINDS:
        told = _Failure(type(error).__name__, error.message, fields)
    else:
        return b""
    return _FAILURE + msgspec.json.encode(told)


def handed(told: bytes, policy: str) -> Pin:
    """The answer, or the failure raised, for a request under this policy.

    NoQuorum if a gateway of another version has told it.
    """
    if not told.startswith(_FAILURE):
        pin = decode_pin(told)
        if pin is None:
            raise NoQuorum("the vote of another gateway came to nothing that can be read here")
        return pin
    try:
        failure = _DECODER.decode(told.removeprefix(_FAILURE))
        kind = _KINDS.get(failure.kind, NoQuorum)
        body = b64decode(failure.body)
        failure.headers = tuple((name, _read(value)) for name, value in failure.headers)
    except (msgspec.MsgspecError, ValueError) as error:
        raise NoQuorum("the vote of another gateway failed") from error
    if failure.status:
        raise UpstreamAnswered(failure.status, body, failure.headers, failure.message)
    ended = kind(failure.message, headers=failure.headers)
    raise ended.as_joined(policy) if isinstance(ended, NoAgreement) else ended


def _written(value: str) -> str:
    return value.encode("utf-8", "surrogateescape").decode("latin-1")


def _read(value: str) -> str:
    return value.encode("latin-1").decode("utf-8", "surrogateescape")
