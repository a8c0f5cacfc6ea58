"""How a request's vote ended, for whoever waits for it."""

from typing import NamedTuple

from gateway.core.pin import Pin
from gateway.wire.live import LiveStream


class Landing(NamedTuple):
    """An answer and where it came from."""

    pin: Pin
    source: str  # vote | cache | joined | single | reference
    cache_status: str  # RFC 9211
    key: str
    upstream_seconds: float = 0.0
    headers: tuple[tuple[str, str], ...] = ()  # the winner's, where it came from an upstream just now
    live: LiveStream | None = None  # what was shown of it before it was there
