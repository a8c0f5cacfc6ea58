"""One process that serves, from its settings to its last answer."""

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import uvloop

from gateway.app import Succession, bounds_of, door_of, open_succession
from gateway.door.door import Door
from gateway.running.drain import drain
from gateway.running.herald import Herald, find_herald
from gateway.running.reload import Load, changes, reread
from gateway.serving.edge import Edge
from gateway.settings.model import Settings
from gateway.telemetry.logs import open_log

_LOG = logging.getLogger(__name__)


def run(settings: Settings, load: Load) -> int:
    """Serve until SIGTERM or SIGINT; the process's exit code. `load` reads the settings anew."""
    with open_log(settings.log), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for warning in settings.warnings:
            _LOG.warning("%s", warning)
        return runner.run(_serve(settings, load, find_herald()))


async def _serve(settings: Settings, load: Load, herald: Herald) -> int:
    async with open_succession(settings) as succession:
        edge = Edge(succession.gateway)
        door = door_of(edge)
        try:
            return await Process(succession, edge, door, herald).run(load)
        finally:
            await door.close()


class Process:
    """What listens, and what becomes of signals."""

    def __init__(self, succession: Succession, edge: Edge, door: Door, herald: Herald) -> None:
        self._succession = succession
        self._edge = edge
        self._door = door
        self._herald = herald
        self._status = ""

    async def run(self, load: Load) -> int:
        """Serve; the exit code."""
        wanted = self._succession.gateway.settings
        try:
            address = await self._door.open(wanted.host, wanted.port)
        except OSError as error:
            print(f"scg: cannot listen on {wanted.host}:{wanted.port}: {error.strerror}", file=sys.stderr)  # noqa: T201
            return 2
        self._status = f"listening on http://{address}, base URL http://{address}/v1"
        _LOG.info("%s", self._status)
        stop = Stop()
        async with self._reloading(load):
            self._herald.ready(self._status)
            await stop.asked.wait()
        self._herald.stopping()
        await drain(self._succession.gateway, self._door, stop.hurry, at_once=stop.by_hand)
        return 0

    @asynccontextmanager
    async def _reloading(self, load: Load) -> AsyncIterator[None]:
        """Meanwhile SIGHUP means: read the settings anew. One that comes during that is not forgotten."""
        asked = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, asked.set)

        async def reload_for_ever() -> None:
            while await asked.wait():
                asked.clear()
                await self._reload(load)

        reloading = asyncio.create_task(reload_for_ever())
        try:
            yield
        finally:
            reloading.cancel()
            with suppress(asyncio.CancelledError):
                await reloading

    async def _reload(self, load: Load) -> None:
        self._herald.reloading()
        try:
            await self._renew(load)
        except Exception:  # noqa: BLE001  whatever it is, the gateway goes on as it was
            _LOG.exception("a bug in the gateway: the settings could not be replaced, the old ones go on")
        self._herald.ready(self._status)

    async def _renew(self, load: Load) -> None:
        running = self._succession.gateway.settings
        found = await reread(load, running)
        if found is None:
            return
        if changed := changes(running, found):
            await self._succession.renew(found)
            self._edge.gateway = self._succession.gateway
            self._door.bound(bounds_of(found))
        _LOG.info("the settings were read anew; changed: %s", ", ".join(changed) or "nothing")


class Stop:
    """`asked` is set by the first SIGINT or SIGTERM, and `hurry` by the second one."""

    def __init__(self) -> None:
        self.asked, self.hurry = asyncio.Event(), asyncio.Event()
        self.by_hand = False  # by Ctrl-C, not by a supervisor
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._note, number)

    def _note(self, number: signal.Signals) -> None:
        self.by_hand |= number == signal.SIGINT
        (self.hurry if self.asked.is_set() else self.asked).set()
