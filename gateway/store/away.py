"""What all calls to Redis share: one error for everything that can fail, one time-out for the whole of a call."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from redis.exceptions import (
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
)

# Beside its own errors redis-py lets through what uvloop raises for a connection that was just reset
# (RuntimeError), and what it stumbles over itself when a server speaks something else than Redis does.
_FAILURES = (
    RedisError,
    RedisClusterException,  # which is none
    OSError,
    TimeoutError,
    RuntimeError,
    AttributeError,
    TypeError,
    ValueError,
    LookupError,
)


# redis-py has classes for two of them, and takes their word away; Redis 6 puts each into a sentence about the script.
_REFUSALS = re.compile("(?:^|-)(?:READONLY|OOM|MISCONF|NOREPLICAS) ")


class Away(Exception):
    """Redis did not do what it was asked, for whatever reason."""


class Refused(Away):
    """Redis takes no writes for the time being, and says so: it can still be read from."""


def is_refusal(error: ResponseError) -> bool:
    """Whether no write at all would be taken: by a replica, without memory, without its disk or its replicas."""
    return isinstance(error, ReadOnlyError | OutOfMemoryError) or bool(_REFUSALS.search(str(error)))


@contextmanager
def mapped() -> Iterator[None]:
    """Whatever fails inside is Away."""
    try:
        yield
    except _FAILURES as error:
        raise Away(f"{type(error).__name__}: {error}") from error


@asynccontextmanager
async def limit(seconds: float) -> AsyncIterator[None]:
    """One time-out for all that is done inside, in two halves; Away if it is reached, or anything fails.

    A process that was held up, by its own work or by its machine, finds answers waiting beside timers
    that are due. The second half starts when the first one is over for the process, too.
    """
    loop = asyncio.get_running_loop()
    with mapped():
        async with asyncio.timeout(None) as whole:
            first_half = loop.call_later(seconds / 2, lambda: whole.reschedule(loop.time() + seconds / 2))
            try:
                yield
            finally:
                first_half.cancel()
