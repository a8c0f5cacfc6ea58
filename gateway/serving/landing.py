"""How a request's vote ended, for whoever waits for it."""

from typing import NamedTuple

from gateway.core.pin import Pin


class Landing(NamedTuple):
    """An answer and where it came from."""

    pin: Pin
    source: str  # vote | cache | joined | single
    cache_status: str  # RFC 9211
    key: str
    upstream_seconds: float = 0.0
    headers: tuple[tuple[str, str], ...] = ()  # the winner's, where it came from an upstream just now
