"""The store that the settings name."""

from gateway.settings.model import CacheSettings
from gateway.store.memory import MemoryStore
from gateway.store.protocol import Store
from gateway.telemetry.metrics import Metrics


def open_store(settings: CacheSettings, metrics: Metrics) -> Store:
    """`memory://`, or Redis with memory in front. Needs a running loop."""
    if settings.url.startswith("memory:"):
        return MemoryStore(settings.memory)
    from gateway.store.redis import RedisStore  # some 10 MB that the embedded store does without

    return RedisStore(settings, metrics)
