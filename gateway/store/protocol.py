"""What a store does. Memory and Redis keep the same promises, tested by the same contract."""

from dataclasses import dataclass
from typing import Protocol

from gateway.core.pin import Pin


@dataclass(frozen=True, slots=True)
class Found:
    """A pin and how long it still lives, in seconds; `where` is memory or redis."""

    pin: Pin
    ttl: float
    where: str


class Store(Protocol):
    """Pins by key. No method raises for a store that is away: it does what it can without it."""

    @property
    def is_degraded(self) -> bool:
        """Whether the store proper cannot be reached, so that pins are not shared."""

    async def get(self, key: str) -> Found | None:
        """The pin under this key, if it lives."""

    async def pin(self, key: str, pin: Pin, ttl: float) -> Pin:
        """Pin unless something is pinned already; the pin that holds."""

    async def replace(self, key: str, pin: Pin, ttl: float) -> None:
        """Pin whatever was there before."""

    async def delete(self, key: str) -> bool:
        """Remove a pin; whether there was one."""

    async def remember(self, name: str, value: str) -> None:
        """Keep a short text under a name, without an end."""

    async def recall(self, name: str) -> str | None:
        """The text under this name."""

    def sizes(self) -> dict[str, int]:
        """How much this process holds itself: `entries`, `bytes` and their bound, `limit`."""

    async def aclose(self) -> None:
        """Let go of connections and tasks."""
