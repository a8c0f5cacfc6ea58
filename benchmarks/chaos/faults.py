"""What goes wrong, one thing after the other, and is put right again."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

from redis.asyncio import Redis
from redis.exceptions import RedisError

from benchmarks.chaos.site import Site

_SLOW = 400  # milliseconds that Redis takes for anything while it is slow


@dataclass(frozen=True, slots=True)
class Fault:
    """`begin` breaks something at once, `end` mends it.

    of_redis: pins may be out of reach meanwhile. of_worker: clients may lose their connections.
    """

    name: str
    begin: Callable[[Site], Awaitable[None]]
    end: Callable[[Site], Awaitable[None]]
    of_redis: bool = False
    of_worker: bool = False


@dataclass(frozen=True, slots=True)
class Window:
    """When a fault was there, in seconds of `monotonic`."""

    fault: Fault
    began: float
    ended: float


async def inflict(site: Site, faults: list[Fault], lasting: float, pause: float) -> list[Window]:
    """Each fault for `lasting` seconds, and as long as `pause` between them for things to heal."""
    windows = []
    for fault in faults:
        began = monotonic()
        await fault.begin(site)
        await asyncio.sleep(lasting)
        await fault.end(site)
        windows.append(Window(fault, began, monotonic()))
        await asyncio.sleep(pause)
    return windows


async def _nothing(_site: Site) -> None:
    return


async def _kill_redis(site: Site) -> None:
    site.kill(site.redis)


async def _restart_redis(site: Site) -> None:
    site.start_redis()
    await site.redis_answers()


async def _stop_redis(site: Site) -> None:
    site.signal_redis(signal.SIGSTOP)


async def _continue_redis(site: Site) -> None:
    site.signal_redis(signal.SIGCONT)


async def _slow_redis(site: Site) -> None:
    """It pauses all clients over and over, for about as long as faults last."""

    async def pause() -> None:
        async with Redis(port=site.redis_port) as redis:
            for _ in range(8):
                with suppress(RedisError):
                    await redis.client_pause(_SLOW)
                await asyncio.sleep(_SLOW / 1000 + 0.05)

    _PAUSING.add(task := asyncio.create_task(pause()))
    task.add_done_callback(_PAUSING.discard)


_PAUSING: set[asyncio.Task[None]] = set()


async def _wait_for_redis(site: Site) -> None:
    await asyncio.gather(*_PAUSING)
    await site.redis_answers()


async def _kill_replica(site: Site) -> None:
    site.kill(site.replicas[0])


async def _restart_replica(site: Site) -> None:
    site.start_replica(0)
    await asyncio.to_thread(site.replicas[0].wait_until_ready, "/version")


def _broken(
    number: int, kind: str
) -> tuple[Callable[[Site], Awaitable[None]], Callable[[Site], Awaitable[None]]]:
    async def begin(site: Site) -> None:
        await site.fault(number, kind)

    async def end(site: Site) -> None:
        await site.fault(number, "none")

    return begin, end


async def _kill_worker(site: Site) -> None:
    site.kill_a_worker()


FAULTS = [
    Fault("Redis killed", _kill_redis, _restart_redis, of_redis=True),
    Fault("Redis stopped", _stop_redis, _continue_redis, of_redis=True),
    Fault("Redis slow", _slow_redis, _wait_for_redis, of_redis=True),
    Fault("replica killed", _kill_replica, _restart_replica),
    Fault("replica hangs", *_broken(1, "hang")),
    Fault("replica resets", *_broken(2, "reset")),
    Fault("replica sends garbage", *_broken(0, "garbage")),
    Fault("worker killed", _kill_worker, _nothing, of_worker=True),
]
