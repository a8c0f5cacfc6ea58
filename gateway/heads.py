"""Heads that were read before need not be read again.

A peer sends the same head again and again, but for the length of the body or the second of the day, and llhttp
hands a head over field by field, each a call into Python. So a head that comes in one piece is recognised by its
bytes. What it says is a function of them, so nothing can go stale.
"""

from collections import OrderedDict  # a dict looks for its first entry past deleted ones
from typing import Generic, TypeVar

Head = TypeVar("Head")

_BOUND = 1 << 20  # bytes of heads that are kept; what is made of them takes some four times that
_LONGEST = 4 << 10
_END = b"\r\n\r\n"


class Heads(Generic[Head]):
    """The heads that came lately, by their bytes. The oldest go first; one that is in use is soon learnt again."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, Head] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return len(self._known)

    def find(self, data: bytes) -> tuple[Head, int] | None:
        """The head with which these bytes begin, if it is known, and where it ends."""
        end = data.find(_END) + 4
        head = self._known.get(data[:end])
        return None if head is None else (head, end)

    def keep(self, data: bytes, head: Head) -> None:
        """Remember a head with whose first byte these bytes begin."""
        end = data.find(_END) + 4
        raw = data[:end]
        # Empty lines may come before a head, and are not its end.
        if end > _LONGEST or raw[:1] in b"\r\n" or raw in self._known:
            return
        self._known[raw] = head
        self._size += end
        while self._size > _BOUND:
            forgotten, _ = self._known.popitem(last=False)
            self._size -= len(forgotten)
