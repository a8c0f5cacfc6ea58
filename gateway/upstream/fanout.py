"""Performs a Round: launches samples as tasks, hands their outcomes back, cancels what is no longer wanted."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, Protocol

from gateway.core.ballot import Abstention, Sample
from gateway.core.round import Action, Launch, Round

Outcome = Sample | Abstention
Ask = Callable[[Launch], Awaitable[Outcome]]
_Running = dict[int, asyncio.Future[Outcome]]


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
    running: _Running = {}
    try:
        _perform(actions, running, ask)
        while vote.result is None:
            await asyncio.wait(running.values(), return_when=asyncio.FIRST_COMPLETED)
            for outcome in _arrived(running):
                _perform(vote.receive(outcome), running, ask)
    finally:
        await _cancel_all(running)


async def _perform_observed(vote: Round, ask: Ask, observer: Observer) -> None:
    """The same with somebody looking on."""
    running: _Running = {}

    def act(actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Launch):
                observer.launched(action.index)
        _perform(actions, running, ask)

    wants = asyncio.ensure_future(observer.wants())
    try:
        act(vote.start())
        act(observer.wanted())
        while vote.result is None:
            either: list[asyncio.Future[Any]] = [*running.values(), wants]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            for outcome in _arrived(running):
                observer.comes(outcome)
                act(vote.receive(outcome))
                observer.came(outcome)
            act(observer.wanted())
            if wants.done():
                wants = asyncio.ensure_future(observer.wants())
    finally:
        wants.cancel()
        await _cancel_all(running)


def _arrived(running: _Running) -> Iterator[Outcome]:
    """What is there, in sample order."""
    for index in sorted(index for index, task in running.items() if task.done()):
        task = running.pop(index)
        if not task.cancelled():
            yield task.result()


def _perform(actions: Iterable[Action], running: _Running, ask: Ask) -> None:
    for action in actions:
        if isinstance(action, Launch):
            running[action.index] = asyncio.ensure_future(ask(action))
        elif action.index in running:
            running[action.index].cancel()


async def _cancel_all(running: _Running) -> None:
    for task in running.values():
        task.cancel()
    if running:
        await asyncio.wait(running.values())
