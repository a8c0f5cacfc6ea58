"""What a store does. Memory and Redis keep the same promises, tested by the same contract."""

from collections.abc import Sequence
from math import inf
from typing import NamedTuple, Protocol

from gateway.core.pin import Pin
from gateway.core.rate import Draw, Level


class Found(NamedTuple):
    """A pin and how long it still lives, in seconds; `where` is memory or redis."""

    pin: Pin
    ttl: float
    where: str


LEASE = 5.0  # seconds after which a leader that died is replaced


class Store(Protocol):
    """Pins by key, and leases of keys. No method raises for a store that is away: it does what it can without it."""

    @property
    def lease(self) -> float:
        """Seconds that a lease lasts if it is not renewed."""

    @property
    def is_shared(self) -> bool:
        """Whether other processes may have it, too: only then is there anybody to lead."""

    @property
    def is_degraded(self) -> bool:
        """Whether the store proper cannot be reached, or takes no writes, so that pins are not shared."""

    def look_up(self, key: str) -> Found | None:
        """`get` without waiting: the pin, if this process holds it itself and may give it out."""

    async def get(self, key: str) -> Found | None:
        """The pin under this key, if it lives."""

    async def pin(self, key: str, pin: Pin, ttl: float, leader: str = "") -> Pin:
        """Pin unless something is pinned already; the pin that holds. A leader's lease goes with it."""

    async def replace(self, key: str, pin: Pin, ttl: float) -> None:
        """Pin whatever was there before."""

    async def delete(self, key: str) -> bool:
        """Remove a pin; whether there was one."""

    async def claim(self, key: str, owner: str) -> bool:
        """Take or renew the lease of a key: whether `owner` has it, for `lease` seconds from this call.

        None is given once there is a pin; who gets none waits for the leader's verdict, and the leader knows.
        Granted wherever nobody can be asked: in a store of one process, whose flights see to it that only one
        asks, and while the store proper is away or takes no writes. `gateway.store.lease.lead` renews and releases.
        """

    async def release(self, key: str, owner: str, told: bytes = b"") -> None:
        """Give the lease back if `owner` has it, and wake those who follow; they are told what it came to."""

    async def follow(self, key: str, owner: str) -> Found | bytes | None:
        """Wait while another process has the lease: the pin as soon as there is one, None if the lease ends first.

        Bytes are what the leader told where it could pin nothing. News come by announcements, and if those are
        lost by looking, a few times a lease.
        """

    async def leave(self, key: str, owner: str) -> None:
        """Wait no more."""

    async def outlast(self, key: str) -> None:
        """Return once no other process waits for this key's verdict, as far as that can be known."""

    async def remember(self, name: str, value: str, ttl: float = inf) -> None:
        """Keep a short text under a name, for so many seconds; how many that end are kept here is bounded."""

    async def recall(self, name: str) -> str | None:
        """The text under this name."""

    async def append(self, entries: Sequence[bytes], length: int) -> bool:
        """Put these at the end of the vote ledger, which is cut to about so many entries; whether that is done."""

    async def draw(self, tenant: str, draws: Sequence[Draw]) -> list[Level]:
        """Draw from a tenant's buckets in order; once one refuses, only facts are still drawn.

        They are one for all processes, and while the store proper is away each process's own: they go on from where
        they stood.
        """

    def sizes(self) -> dict[str, int]:
        """How much this process holds itself: `entries`, `bytes` and their bound, `limit`."""

    async def aclose(self) -> None:
        """Let go of connections and tasks."""
