"""What is done when its client has long been served."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Coroutine
from time import monotonic

_LOG = logging.getLogger(__name__)

_MOST = 256  # tasks at once; what comes on top is left out
_REMEMBERED = 4096


class Background:
    """Tasks that nobody waits for. `apart` is how far from each other in time what is compared should be."""

    def __init__(self, apart: tuple[float, float] = (2.0, 10.0)) -> None:
        self.apart = apart  # seconds, at least and at most
        self._tasks: set[asyncio.Task[None]] = set()
        self._done: OrderedDict[str, float] = OrderedDict()
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[None, None, None]) -> None:
        """Do this, unless too much is being done already, or the process is about to end."""
        if self._is_closed or len(self._tasks) >= _MOST:
            work.close()
            return
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def is_due(self, name: str, every: float) -> bool:
        """Whether this was not due within so many seconds; notes that it is now."""
        now = monotonic()
        last = self._done.get(name)
        if last is not None and now - last < every:
            return False
        self._done[name] = now
        self._done.move_to_end(name)
        if len(self._done) > _REMEMBERED:
            self._done.popitem(last=False)
        return True

    async def aclose(self) -> None:
        """Stop, and start nothing any more."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _LOG.error("a bug in what is done in the background", exc_info=error)
