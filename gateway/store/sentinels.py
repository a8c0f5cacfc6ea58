"""Sentinels, asked so that one which does not answer holds nobody up."""

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel

from gateway.store.away import Away, mapped

Address = tuple[str, int]


class Sentinels(Sentinel):
    """redis-py's, which asks one after the other and waits for each; a call of ours has one time-out in all.

    Here the next one is asked as well when the first has said nothing for `patience` seconds, and whoever
    answered is asked first the next time.
    """

    def __init__(self, hosts: Sequence[Address], *, patience: float, **options: Any) -> None:
        super().__init__(hosts, **options)  # type: ignore[no-untyped-call]
        self._patience = patience

    async def discover_master(self, service_name: str) -> Address:
        """The master's address; MasterNotFoundError if no sentinel knows of one that is up."""
        asked: dict[asyncio.Task[Address | None], Redis] = {}
        try:
            for sentinel in tuple(self.sentinels):
                asked[asyncio.create_task(self._ask(sentinel, service_name))] = sentinel
                if found := await self._first(asked, self._patience):
                    return found
            while not all(task.done() for task in asked):
                if found := await self._first(asked, None):
                    return found
        finally:
            for task in asked:
                task.cancel()
        raise MasterNotFoundError(f"no sentinel knows of a master {service_name!r} that is up")

    async def _first(
        self, asked: dict[asyncio.Task[Address | None], Redis], patience: float | None
    ) -> Address | None:
        """What the first one says that knows; None if none does, of those that were done in time."""
        waiting = {task for task in asked if not task.done()}
        while waiting:
            done, waiting = await asyncio.wait(waiting, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if found := task.result():
                    self.sentinels.remove(asked[task])
                    self.sentinels.insert(0, asked[task])
                    return found
            if not done:
                return None
        return None

    async def _ask(self, sentinel: Redis, service_name: str) -> Address | None:
        try:
            with mapped():
                masters: Any = await sentinel.sentinel_masters()
                state = masters.get(service_name)
        except Away:
            return None
        if not state or not self.check_master_state(state, service_name):
            return None
        return state["ip"], int(state["port"])
