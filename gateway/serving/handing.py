"""What a vote came to, handed to processes that wait for it where it could not be pinned: an answer, or a failure.

They wait for one vote and share its end, as clients of one process do; else each of them would vote again, one after
the other, on what has just failed.
"""

from base64 import b64decode, b64encode

import msgspec

from gateway import errors
from gateway.core.pin import Pin
from gateway.errors import GatewayError, NoQuorum, UpstreamAnswered
from gateway.store.codec import decode_pin, encode_pin

_FAILURE = b"failure "
_KINDS = {
    kind.__name__: kind
    for kind in (
        errors.NoAgreement,
        errors.Overloaded,
        errors.NoQuorum,
        errors.UpstreamUnreachable,
        errors.ReferenceUnavailable,
        errors.DeadlineExceeded,
    )
}


class _Failure(msgspec.Struct):
    kind: str
    message: str
    headers: tuple[tuple[str, str], ...]
    status: int = 0
    body: str = ""  # base64


_DECODER = msgspec.json.Decoder(_Failure)


def hand_pin(pin: Pin) -> bytes:
    """An answer that may not be pinned, for those who wait for it now."""
    return encode_pin(pin)


def hand_failure(error: GatewayError) -> bytes:
    """A failure; nothing for one that is this process's own."""
    if isinstance(error, UpstreamAnswered):
        body = b64encode(error.body).decode()
        told = _Failure("", error.message, error.headers, error.upstream_status, body)
    elif type(error).__name__ in _KINDS:
        told = _Failure(type(error).__name__, error.message, error.headers)
    else:
        return b""
    return _FAILURE + msgspec.json.encode(told)


def handed(told: bytes) -> Pin:
    """The answer, or the failure raised; NoQuorum if a gateway of another version has told it."""
    if not told.startswith(_FAILURE):
        pin = decode_pin(told)
        if pin is None:
            raise NoQuorum("the vote of another gateway came to nothing that can be read here")
        return pin
    try:
        failure = _DECODER.decode(told.removeprefix(_FAILURE))
        kind = _KINDS.get(failure.kind, NoQuorum)
        body = b64decode(failure.body)
    except (msgspec.MsgspecError, ValueError) as error:
        raise NoQuorum("the vote of another gateway failed") from error
    if failure.status:
        raise UpstreamAnswered(failure.status, body, failure.headers, failure.message)
    raise kind(failure.message, headers=failure.headers)
