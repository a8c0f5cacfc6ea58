"""Performs a Round: launches samples as tasks, hands their outcomes back, cancels what is no longer wanted."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from gateway.core.ballot import Abstention, Sample
from gateway.core.round import Action, Launch, Round

Outcome = Sample | Abstention
Ask = Callable[[Launch], Awaitable[Outcome]]
_Running = dict[int, asyncio.Future[Outcome]]


async def perform(vote: Round, ask: Ask) -> None:
    """Drive a round to its result. `ask` never raises for a failing upstream: that is an Abstention.

    Cancelling this coroutine cancels every sample, and so closes their connections.
    """
    actions = vote.start()
    if len(actions) == 1 and isinstance(actions[0], Launch):
        actions = vote.receive(await ask(actions[0]))  # k=1 needs no task
    running: _Running = {}
    try:
        _perform(actions, running, ask)
        while vote.result is None:
            await asyncio.wait(running.values(), return_when=asyncio.FIRST_COMPLETED)
            for index in sorted(index for index, task in running.items() if task.done()):
                task = running.pop(index)
                if not task.cancelled():
                    _perform(vote.receive(task.result()), running, ask)
    finally:
        await _cancel_all(running)


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
