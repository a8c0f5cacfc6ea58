"""How a request's vote ended, for whoever waits for it."""

from typing import NamedTuple

from gateway.core.pin import Pin
from gateway.wire.headers import describe, describe_shedding
from gateway.wire.live import LiveStream

COLLAPSED = "scg; fwd=miss; collapsed"


class Landing(NamedTuple):
    """An answer and where it came from."""

    pin: Pin
    source: str  # vote | cache | joined | single | reference
    cache_status: str  # RFC 9211
    key: str
    upstream_seconds: float = 0.0  # that the vote took, here or in another process
    headers: tuple[tuple[str, str], ...] = ()  # the winner's, where it came from an upstream just now
    live: LiveStream | None = None  # what was shown of it before it was there
    asked: int = 0  # the k that it would have had, where pressure left it one sample; else 0

    @property
    def as_joined(self) -> "Landing":
        """The same for somebody who waited for another's vote."""
        return self._replace(source="joined", cache_status=COLLAPSED, headers=())

    def under(self, policy: str) -> "Landing":
        """The same for a request under this policy, which may have another name than the one that was voted under."""
        return self._replace(pin=self.pin._replace(policy=policy))

    def timing(self, seconds: float) -> str:
        """The `server-timing` (W3C) of a request that took so long in all."""
        upstream = min(self.upstream_seconds, seconds)
        return f"upstream;dur={upstream * 1e3:.2f}, gateway;dur={(seconds - upstream) * 1e3:.2f}"

    def told(self, seconds: float) -> dict[str, str]:
        """What a stream that took so long says of it in the end, since its head could not say all."""
        told = describe(self.pin, self.source, self.key) | describe_shedding(self.asked)
        return told | {"cache-status": self.cache_status, "server-timing": self.timing(seconds)}
