"""The scheduler in a thread of its own, and asyncio on the other side.

A step runs in the thread while the event loop goes on serving; requests that come or go meanwhile wait for the
end of the step. So all state changes happen between steps, on one side, without locks.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Self

import torch

from backend.errors import EngineError, first_line
from backend.torch.generation import Generation, Request, Update
from backend.torch.metrics import Metrics
from backend.torch.model import Model
from backend.torch.scheduler import Progress, Scheduler

_log = logging.getLogger(__name__)

# Seconds that an idle engine waits for whoever else is coming: the samples of one vote arrive within a millisecond
# of each other, and the second one would otherwise begin a whole step after the first.
_GATHER = 0.002

# A caller's request by number, and how it went on: an error ends the whole call.
_News = tuple[int, Update | EngineError]


@dataclass(frozen=True, slots=True)
class _Ticket:
    """Where a generation's news go: the caller's queue, under the caller's number; `arrived` by time.monotonic."""

    index: int
    queue: asyncio.Queue[_News]
    arrived: float


class Engine:
    """Answers requests with one model, many at a time. An async context manager."""

    def __init__(self, model: Model, scheduler: Scheduler, metrics: Metrics, max_unfinished: int) -> None:
        self._model = model
        self._scheduler = scheduler
        self._metrics = metrics
        self._max_unfinished = max_unfinished
        self._tickets: dict[Generation, _Ticket] = {}
        self._arrived: list[Generation] = []
        self._departed: list[Generation] = []
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine")
        self._task: asyncio.Task[None] | None = None
        self._is_draining = self._is_stopping = False
        self._idle = asyncio.Event()
        self._idle.set()
        metrics.watch(scheduler, lambda: self.num_waiting)

    @property
    def num_waiting(self) -> int:
        """Requests that have not begun."""
        return len(self._arrived) + self._scheduler.num_waiting

    @property
    def is_alive(self) -> bool:
        """Whether requests are taken."""
        return self._task is not None and not self._task.done() and not self._is_draining

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="engine")
        self._task.add_done_callback(_report_death)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.drain(0)

    async def drain(self, seconds: float) -> None:
        """Take no more requests, give those under way `seconds`, then stop; who still waits gets an error."""
        self._is_draining = True
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        # A step cannot be interrupted; the process must not go before it has ended.
        self._is_stopping = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait([self._task])
        self._thread.shutdown()

    @asynccontextmanager
    async def generate(self, requests: Sequence[Request]) -> AsyncIterator[AsyncIterator[tuple[int, Update]]]:
        """Answer all `requests`: gives (position of the request, update) until each has finished.

        They are queued on entering, or refused; what is unfinished on leaving is aborted.

        Raises:
            EngineError: there are too many already, or the engine failed or has stopped.
        """
        if not self.is_alive:
            raise EngineError("the engine has stopped", status=503)
        if len(self._tickets) >= self._max_unfinished:
            raise EngineError(f"{self.num_waiting} requests are waiting already: try again later", status=429)
        queue: asyncio.Queue[_News] = asyncio.Queue()
        now = time.monotonic()
        generations = [self._submit(request, _Ticket(at, queue, now)) for at, request in enumerate(requests)]
        try:
            yield _updates(queue, len(generations))
        finally:
            for generation in generations:
                self._leave(generation)

    def _submit(self, request: Request, ticket: _Ticket) -> Generation:
        model = self._model
        generation = Generation(request, model.tokenizer, model.device, model.max_len)
        self._tickets[generation] = ticket
        self._arrived.append(generation)
        self._idle.clear()
        self._wake.set()
        return generation

    def _leave(self, generation: Generation) -> None:
        """Abort unless finished: a finished generation has no ticket any more."""
        if self._close(generation):
            self._departed.append(generation)
            self._metrics.record_abort()
            self._wake.set()

    def _close(self, generation: Generation) -> bool:
        """Nothing more will come for it; False if that was known."""
        was_open = self._tickets.pop(generation, None) is not None
        if not self._tickets:
            self._idle.set()
        return was_open

    async def _run(self) -> None:
        """Step while there is work, sleep while there is none."""
        loop = asyncio.get_running_loop()
        try:
            while not self._is_stopping:
                if not self._wake.is_set():
                    await self._wake.wait()
                    await asyncio.sleep(_GATHER)
                self._settle()
                if not self._scheduler.has_work:
                    self._wake.clear()
                    continue
                try:
                    progress = await loop.run_in_executor(self._thread, self._scheduler.step)
                except torch.AcceleratorError:
                    # After an error of the device itself, none of its operations works again in this process.
                    raise
                except RuntimeError as error:
                    _log.exception("a step failed")
                    self._fail(self._scheduler.drop_running(), _as_engine_error(error))
                else:
                    self._deliver(progress)
        finally:
            self._fail(list(self._tickets), EngineError("the engine has stopped", status=503))

    def _settle(self) -> None:
        """Tell the scheduler who came and who left during the last step."""
        for generation in self._arrived:
            self._scheduler.add(generation)
        for generation in self._departed:
            generation.abort()
        self._arrived, self._departed = [], []

    def _deliver(self, progress: Progress) -> None:
        self._metrics.record(progress)
        now = time.monotonic()
        for generation, update in progress.updates:
            ticket = self._tickets.get(generation)
            if ticket is None:
                continue
            ticket.queue.put_nowait((ticket.index, update))
            if len(generation.output) == 1:
                self._metrics.first_token.observe(now - ticket.arrived)
            if update.finish_reason is not None:
                self._metrics.whole.observe(now - ticket.arrived)
                self._close(generation)

    def _fail(self, generations: Iterable[Generation], error: EngineError) -> None:
        """Give up on these."""
        for generation in generations:
            ticket = self._tickets.get(generation)
            if ticket is not None:
                ticket.queue.put_nowait((ticket.index, error))
                self._close(generation)


async def _updates(queue: asyncio.Queue[_News], unfinished: int) -> AsyncIterator[tuple[int, Update]]:
    while unfinished:
        index, news = await queue.get()
        if isinstance(news, EngineError):
            raise news
        unfinished -= news.finish_reason is not None
        yield index, news


def _as_engine_error(error: RuntimeError) -> EngineError:
    """PyTorch's errors are RuntimeErrors; on a CPU, out of memory is told by its message alone."""
    reason = first_line(error)
    if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in reason:
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        return EngineError(f"the engine ran out of memory: {reason}", status=503)
    return EngineError(f"the engine failed: {reason}")


def _report_death(task: asyncio.Task[None]) -> None:
    """Whoever is left without an engine finds the reason in the log."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.critical("the engine died", exc_info=error)
