"""Pools for tests: of upstreams that nobody looks at unless told to, with a clock and dice of the test's own."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import cycle

from prometheus_client import CollectorRegistry

from gateway.settings.model import BreakerSettings, Timeouts, UpstreamSettings
from gateway.store.memory import MemoryStore
from gateway.telemetry.metrics import Metrics
from gateway.upstream.aiohttp_client import AiohttpClient
from gateway.upstream.looks import Look
from gateway.upstream.pool import Pool
from gateway.upstream.upstream import Upstream, Watch

NOBODY = "http://127.0.0.1:1"


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def dice(*draws: float) -> Callable[[], float]:
    """These draws, round the circle."""
    rolled: Iterator[float] = cycle(draws)
    return lambda: next(rolled)


@asynccontextmanager
async def pool_of(
    *upstreams: UpstreamSettings,
    clock: Clock | None = None,
    random: Callable[[], float] | None = None,
    breaker: BreakerSettings | None = None,
) -> AsyncIterator[Pool]:
    """A pool that was never looked at. Its dice show 0 unless told, so that the first of a list is drawn first."""
    clock, client, metrics = clock or Clock(), AiohttpClient(Timeouts()), Metrics(CollectorRegistry())
    watch = Watch(breaker or BreakerSettings(), clock=clock, random=dice(0.0))
    made = [Upstream(each, client, metrics, watch) for each in upstreams]
    try:
        yield Pool(made, MemoryStore(1 << 20), clock=clock, random=random or dice(0.0))
    finally:
        await client.aclose()


def at(url: str = NOBODY, name: str = "a", **more: object) -> UpstreamSettings:
    return UpstreamSettings(**({"url": url, "name": name} | more))  # type: ignore[arg-type]


def many(names: str, **more: object) -> list[UpstreamSettings]:
    """One for each letter."""
    return [at(NOBODY, name, **more) for name in names]


def sees(pool: Pool, *seen: Sequence[str]) -> None:
    """Let each upstream have been seen to serve these models."""
    for upstream, models in zip(pool.upstreams, seen, strict=True):
        upstream.see(Look(reachable=True, models={name: f"[{name}]" for name in models}))


def named(pool: Pool, name: str) -> Upstream:
    (found,) = [upstream for upstream in pool.upstreams if upstream.name == name]
    return found


def asked(pool: Pool, number: int, model: str = "m", lane: str = "fast") -> str:
    """Whom the samples of one round go to, in their order."""
    turn = pool.turn(model, lane)
    chosen = [turn.pick(index) for index in range(number)]
    return "".join(each.name if each else "-" for each in chosen)


def possible(pool: Pool, model: str = "m", lane: str = "fast") -> str:
    """Who may be asked for a single answer, whatever is drawn."""
    found = {asked(pool, 1, model, lane) for _ in range(200)}
    return "".join(sorted(found))
