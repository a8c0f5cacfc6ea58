"""One process that serves, from its settings to its last answer."""

import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import uvloop

from gateway.app import Succession, bounds_of, door_of, make_edge, open_succession
from gateway.door.door import Door
from gateway.running.drain import drain
from gateway.running.herald import Herald
from gateway.running.reload import Load, changes, reread
from gateway.serving.edge import Edge
from gateway.settings.model import Settings
from gateway.telemetry.logs import open_log
from gateway.telemetry.siblings import Siblings

_SETTLED = 1.0  # seconds after which what was made for the start is gone
_SELDOM = 10_000  # objects in containers, more than were freed, after which the collector looks for cycles
_LOG = logging.getLogger(__name__)

_FIRST_LOOK = 10.0  # seconds that a worker which replaces another may look at its upstreams first


@dataclass(frozen=True, slots=True)
class Crew:
    """What a worker has of its gateway: its number, the others, and a line to the parent that ends with it."""

    slot: int
    siblings: Siblings
    parent: socket.socket
    is_late: bool  # others serve already


def serve(settings: Settings, load: Load, herald: Herald, crew: Crew | None = None) -> int:
    """Serve in this very process until SIGTERM or SIGINT; its exit code. `load` reads the settings anew."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # until somebody is there to hear it
    log = open_log(settings.log, worker=crew.slot if crew else None)
    with log, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for warning in settings.warnings if crew is None or crew.slot == 0 else ():
            _LOG.warning("%s", warning)
        return runner.run(_serve(settings, load, herald, crew))


def told_of_listening(settings: Settings, error: OSError) -> str:
    """Why nobody can listen there, for people."""
    return f"scg: cannot listen on {settings.host}:{settings.port}: {error.strerror}"


def told_of_address(address: str) -> str:
    """Where clients go."""
    return f"listening on http://{address}, base URL http://{address}/v1"


async def _serve(settings: Settings, load: Load, herald: Herald, crew: Crew | None) -> int:
    async with open_succession(settings, crew.siblings if crew else None) as succession:
        edge = make_edge(succession.gateway)
        door = door_of(edge)
        try:
            return await Process(succession, edge, door, herald).run(load, crew)
        finally:
            await door.close()


def _spare_the_collector() -> None:
    """What is here now stays, and requests leave no cycles behind (decision 18): look seldom, and not through that."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_SELDOM)


class Process:
    """What listens, and what becomes of signals."""

    def __init__(self, succession: Succession, edge: Edge, door: Door, herald: Herald) -> None:
        self._succession = succession
        self._edge = edge
        self._door = door
        self._herald = herald
        self._status = ""

    async def run(self, load: Load, crew: Crew | None) -> int:
        """Serve; the exit code."""
        wanted = self._succession.gateway.settings
        stop = Stop(crew.parent if crew else None)
        async with self._reloading(load):
            if crew is not None and crew.is_late:
                await self._look_first()
            try:
                address = await self._door.open(wanted.host, wanted.port, shared=crew is not None)
            except OSError as error:
                print(told_of_listening(wanted, error), file=sys.stderr)  # noqa: T201
                return 2
            self._status = told_of_address(address)
            _LOG.info("%s", self._status)
            asyncio.get_running_loop().call_later(_SETTLED, _spare_the_collector)
            self._herald.ready(self._status)
            await stop.asked.wait()
        self._herald.stopping()
        await drain(self._succession.gateway, self._door, stop.hurry, at_once=stop.by_hand)
        return 0

    async def _look_first(self) -> None:
        """Know the upstreams before taking connections that the others could have."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_LOOK):
                await self._succession.gateway.pool.first_look.wait()

    @asynccontextmanager
    async def _reloading(self, load: Load) -> AsyncIterator[None]:
        """Meanwhile SIGHUP means: read the settings anew. One that comes during that is not forgotten."""
        asked = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, asked.set)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})

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
        found = await asyncio.to_thread(reread, load, running)  # files, and perhaps an import of pydantic
        if found is None:
            return
        if changed := changes(running, found):
            await self._succession.renew(found)
            self._edge.gateway = self._succession.gateway
            self._door.bound(bounds_of(found))
        _LOG.info("the settings were read anew; changed: %s", ", ".join(changed) or "nothing")


class Stop:
    """`asked` is set by the first SIGINT or SIGTERM, and `hurry` by the second one.

    A worker leaves SIGINT to its parent, which has it from the terminal too, and ends when that is gone.
    """

    def __init__(self, parent: socket.socket | None) -> None:
        self.asked, self.hurry = asyncio.Event(), asyncio.Event()
        self.by_hand = False  # by Ctrl-C, not by a supervisor
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._note, signal.SIGTERM)
        if parent is None:
            loop.add_signal_handler(signal.SIGINT, self._note, signal.SIGINT)
        else:
            loop.add_reader(parent, self._orphaned, parent)

    def _note(self, number: signal.Signals) -> None:
        self.by_hand |= number == signal.SIGINT
        (self.hurry if self.asked.is_set() else self.asked).set()

    def _orphaned(self, parent: socket.socket) -> None:
        asyncio.get_running_loop().remove_reader(parent)
        self.asked.set()
