"""Remembering what a function gives for texts that clients choose."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar, cast

LONGEST = 1 << 10  # characters; a longer text is worked on each time, or a thousand of them would be kept

_Work = TypeVar("_Work", bound=Callable[..., Any])


def remembered(entries: int) -> Callable[[_Work], _Work]:
    """Keep what a function gives for the latest so many short texts. It takes nothing else than texts."""

    def decorate(work: _Work) -> _Work:
        kept = lru_cache(maxsize=entries)(work)

        @wraps(work)
        def give(*texts: str) -> Any:
            return kept(*texts) if sum(map(len, texts)) <= LONGEST else work(*texts)

        return cast("_Work", give)

    return decorate
