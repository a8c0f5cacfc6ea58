"""Performs a Round: launches samples as tasks, hands their outcomes back, cancels what is no longer wanted."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, Protocol, TypeVar

from gateway.core.ballot import Abstention, Sample
from gateway.core.round import Action, Launch, Round

Outcome = Sample | Abstention
Ask = Callable[[Launch], Coroutine[Any, Any, Outcome]]
Made = TypeVar("Made")


class Observer(Protocol):
    """Sees a round from the side, and may want samples that the vote does not need yet."""

    def launched(self, index: int) -> None:
        """Sample `index` is asked for."""

    def comes(self, outcome: Outcome) -> None:
        """The round is about to be told of this."""

    def came(self, outcome: Outcome) -> None:
        """It was told."""

    def wanted(self) -> list[Action]:
        """What else is to be launched now."""

    async def wants(self) -> None:
        """Wait until there is such."""


async def perform(vote: Round, ask: Ask, observer: Observer | None = None) -> None:
    """Drive a round to its result. `ask` never raises for a failing upstream: that is an Abstention.

    Cancelling this coroutine cancels every sample, and so closes their connections.
    """
    if observer is not None:
        await _perform_observed(vote, ask, observer)
        return
    actions = vote.start()
    if len(actions) == 1 and isinstance(actions[0], Launch):
        actions = vote.receive(await ask(actions[0]))  # k=1 needs no task
        if vote.result is not None:
            return
    samples = _Samples(ask)
    try:
        samples.act(actions)
        while vote.result is None:
            await samples.news()
            for outcome in samples.arrived():
                samples.act(vote.receive(outcome))
    finally:
        await samples.cancel()


async def _perform_observed(vote: Round, ask: Ask, observer: Observer) -> None:
    """The same with somebody looking on."""
    samples = _Samples(ask)

    def act(actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Launch):
                observer.launched(action.index)
        samples.act(actions)

    wants = samples.also(observer.wants())
    try:
        act(vote.start())
        act(observer.wanted())
        while vote.result is None:
            await samples.news()
            for outcome in samples.arrived():
                observer.comes(outcome)
                act(vote.receive(outcome))
                observer.came(outcome)
            act(observer.wanted())
            if wants.done():
                wants = samples.also(observer.wants())
    finally:
        wants.cancel()
        await samples.cancel()


class _Samples:
    """Samples under way, each in a task. One future is waited for, however many they are."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._loop = asyncio.get_running_loop()
        self._running: dict[int, asyncio.Task[Outcome]] = {}
        self._news: asyncio.Future[None] = self._loop.create_future()

    def act(self, actions: Iterable[Action]) -> None:
        """Launch some, cancel others."""
        for action in actions:
            if isinstance(action, Launch):
                self._running[action.index] = self.also(self._ask(action))
            elif action.index in self._running:
                self._running[action.index].cancel()

    def also(self, work: Coroutine[Any, Any, Made]) -> asyncio.Task[Made]:
        """Start something else whose end is news."""
        task = self._loop.create_task(work)
        task.add_done_callback(self._wake)
        return task

    async def news(self) -> None:
        """Wait until something has ended since the last time."""
        await self._news
        self._news = self._loop.create_future()

    def arrived(self) -> Iterator[Outcome]:
        """What is there, in sample order."""
        for index in sorted([index for index, task in self._running.items() if task.done()]):
            task = self._running.pop(index)
            if not task.cancelled():
                yield task.result()

    async def cancel(self) -> None:
        """Cancel all, and wait until they have ended."""
        for task in self._running.values():
            task.cancel()
        if self._running:
            await asyncio.wait(self._running.values())

    def _wake(self, _: asyncio.Task[Any]) -> None:
        if not self._news.done():
            self._news.set_result(None)
