"""What Redis's replies say of a pin. Errors are replies too, redis-py's or hiredis's; they raise Away."""

from time import monotonic

from gateway.core.pin import Pin
from gateway.store.away import Away
from gateway.store.codec import decode_pin
from gateway.store.lookups import MOST
from gateway.store.pipe import Reply
from gateway.store.protocol import Found

_NO_END = 86_400_000  # milliseconds that what has no end is taken to last: it is asked for again then


_MOVES = ("MOVED ", "ASK ", "TRYAGAIN ")  # what a cluster says of a key that is, or will be, on another node


class Elsewhere(Exception):
    """There is a value that a look-up cannot bring: it is too large, or on another node."""


def small(stored: Reply, left: Reply, began: float) -> Found | None:
    """As `found`, of a value's beginning; Elsewhere if there may be more of it."""
    if isinstance(stored, bytes) and len(stored) >= MOST:
        raise Elsewhere
    if isinstance(stored, Exception) and str(stored).startswith(_MOVES):
        raise Elsewhere
    return found(stored, left, began)


def found(stored: Reply, left: Reply, began: float) -> Found | None:
    """The pin in what Redis said, and its time to live less that of the question."""
    pin = decoded(stored)
    if pin is None:
        return None
    return Found(pin, seconds(left) - (monotonic() - began), "redis")


def seconds(left: Reply) -> float:
    """What PTTL answered, in seconds; 0 if there is nothing."""
    if not isinstance(left, int):
        raise Away(f"no time to live: {left}")
    return (_NO_END if left == -1 else max(0, left)) / 1000


def decoded(answer: Reply) -> Pin | None:
    """The pin in what GET answered."""
    stored = value(answer)
    return None if stored is None else decode_pin(stored)


def value(answer: Reply) -> bytes | None:
    """The value in an answer; one of another type counts as none."""
    if isinstance(answer, Exception) and not str(answer).startswith("WRONGTYPE"):
        raise Away(str(answer))
    return answer if isinstance(answer, bytes) else None
