"""The end of a process: it says that it is not ready, refuses, lets what is under way end, and cuts off the rest."""

import asyncio
import logging
from contextlib import suppress

from gateway.door.door import Door
from gateway.serving.gateway import Gateway

_LOG = logging.getLogger(__name__)
_LOOK = 0.02


async def drain(gateway: Gateway, door: Door, hurry: asyncio.Event, *, at_once: bool) -> None:
    """Return when nobody waits for an answer any more, here or in a process that follows a vote of this one.

    Or when it has taken long enough.

    A balancer that looks at /readyz needs `drain.delay` to notice; until then requests are taken as before.
    `at_once` is for those who have none. `hurry` ends each of the waits.
    """
    settings, traffic = gateway.settings.drain, gateway.traffic
    traffic.is_leaving = True
    if settings.delay and not at_once:
        _LOG.info("not ready any more; requests are refused in %g s", settings.delay)
        with suppress(TimeoutError):
            async with asyncio.timeout(settings.delay):
                await hurry.wait()
    traffic.is_draining = True
    door.drain()
    await gateway.background.aclose()
    _LOG.info("draining: %s requests in flight", gateway.in_flight)
    with suppress(TimeoutError):
        async with asyncio.timeout(settings.timeout):
            while (door.busy or gateway.flights) and not hurry.is_set():  # noqa: ASYNC110  counts, looked at only here
                await asyncio.sleep(_LOOK)
    if gateway.in_flight:
        _LOG.warning("%s requests are cut off", gateway.in_flight)
