"""The settings as the rest of the program sees them: frozen, checked, with nothing left to parse.

Durations are seconds, sizes are bytes. Every default is the documented one, so that a test writes
`Settings(upstreams=(UpstreamSettings(url="http://127.0.0.1:8000"),))` and has what a user would have.
Whatever is a secret, or may hold one, is kept out of `repr`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.core.policy import PRESETS, Policy

_DAY = 86_400.0
_MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSettings:
    """One LLM server. `url` has neither `/v1` nor a slash at its end."""

    url: str
    name: str = "upstream-1"
    engine: str = "auto"
    lane: str = "fast"
    models: tuple[str, ...] = ()
    weight: float = 1.0
    max_in_flight: int | None = None
    api_key: str | None = field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    ca_file: str | None = None
    ca_digest: str = ""  # of what is in it: other certificates under the same name are another setting
    trust: bool = False  # a reference lane that need not be probed
    revision: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSettings:
    """Where verdicts are pinned, and for how long."""

    url: str = field(default="memory://", repr=False)
    ttl: float = 7 * _DAY
    memory: int = 64 * _MEBIBYTE
    timeout: float = 0.25
    prefix: str = "scg"
    ca_file: str | None = None  # certificates (PEM) to trust besides the system's


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long one call to an upstream may take, in seconds."""

    connect: float = 2.0
    first_byte: float = 120.0
    idle: float = 60.0
    total: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSettings:
    """How often each upstream is looked at, and how long it may take to list its models."""

    interval: float = 5.0
    timeout: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSettings:
    """When an upstream that keeps failing is left alone: after how many failures in a row, and for how long."""

    failures: int = 5
    cooldown: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrySettings:
    """When a call that failed is made once more, where that is safe."""

    limit: int = 2  # for all samples of one request together; 0 turns retries off
    budget: float = 0.1  # of all calls, beside a small reserve
    backoff: float = 0.1  # the longest pause before the first one; it doubles
    max_wait: float = 2.0  # a server that asks for more patience is not waited for
    hedge: float | None = None  # a sample without a first byte for so long is asked of another upstream, too


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one process takes on at once, and what one request may ask for."""

    max_k: int = 16
    max_body: int = 64 * _MEBIBYTE
    max_in_flight: int = 512
    max_samples_in_flight: int = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainSettings:
    """How a process that is told to end does so."""

    delay: float = 0.5  # seconds from saying that it is not ready to refusing requests
    timeout: float = 30.0  # seconds from then on for what is in flight


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """What is logged, and how it is written."""

    format: str = "auto"  # text on a terminal, else json
    level: str = "info"
    rounds: bool = True  # a line for each
    prompts: bool = False  # requests and answers in those lines


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSettings:
    """The append-only record of what was voted."""

    stream: bool = False  # to Redis
    length: int = 100_000  # entries that are kept, about


@dataclass(frozen=True, slots=True)
class Route:
    """The policy of the models whose name matches a shell-style pattern; the first match counts."""

    model_pattern: str
    policy: Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySettings:
    """One client's API key, known by its digest only. A tenant has one name, and as many keys as it likes."""

    name: str
    sha256: str = field(repr=False)
    rpm: int | None = None  # requests a minute, of all keys of this name together
    tpm: int | None = None  # tokens a minute, likewise
    admin: bool = False
    replace: bool = False  # whether `Cache-Control: no-cache` replaces pins

    @property
    def is_limited(self) -> bool:
        """Whether it has a limit a minute."""
        return self.rpm is not None or self.tpm is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that a gateway process is told from outside."""

    upstreams: tuple[UpstreamSettings, ...]
    host: str = "127.0.0.1"
    port: int = 8080
    cache: CacheSettings = field(default_factory=CacheSettings)
    policies: Mapping[str, Policy] = field(default_factory=lambda: PRESETS)
    default_policy: Policy = PRESETS["majority"]
    routes: tuple[Route, ...] = ()
    timeouts: Timeouts = field(default_factory=Timeouts)
    health: HealthSettings = field(default_factory=HealthSettings)
    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    retries: RetrySettings = field(default_factory=RetrySettings)
    limits: Limits = field(default_factory=Limits)
    keys: tuple[KeySettings, ...] = ()
    page: bool = True
    workers: int = 1
    drain: DrainSettings = field(default_factory=DrainSettings)
    ledger: LedgerSettings = field(default_factory=LedgerSettings)
    log: LogSettings = field(default_factory=LogSettings)
    warnings: tuple[str, ...] = ()
