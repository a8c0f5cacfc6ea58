"""What is learnt of one request on its way, for its metrics."""

from dataclasses import dataclass

from gateway.serving.landing import Landing
from gateway.serving.quota import Quota
from gateway.settings.model import KeySettings


@dataclass(slots=True)
class Trace:
    """One request. `began` is by perf_counter, in seconds."""

    request_id: str
    began: float
    is_ours: bool = False  # counts as a request in flight, and needs a key where there are some
    key: KeySettings | None = None  # the client's, where there are some
    tenant: str = ""  # as a metric's label; "" where there are no keys
    quota: Quota | None = None  # of a key with limits
    endpoint: str = ""  # "" is not counted: health checks, metrics
    model: str = ""
    policy: str = "none"
    source: str = "none"
    status: int = 0
    code: str = ""  # the error's, if we made it
    upstream_seconds: float = 0.0

    def note(self, landing: Landing) -> None:
        """Note where the answer came from."""
        self.source = landing.source
        self.upstream_seconds = landing.upstream_seconds
