"""Heads that were read before need not be read again.

A client sends the same head with every request, but for the length of the body, and llhttp hands a head over
field by field, each a call into Python. So a request that came in one piece is recognised by the bytes of its
head. What a head says is a function of its bytes, so nothing can go stale.
"""

from collections import OrderedDict  # a dict looks for its first entry past deleted ones

from gateway.door.head import Head

_BOUND = 1 << 20  # bytes of heads that are kept; what is made of them takes some four times that
_LONGEST = 4 << 10
_END = b"\r\n\r\n"


class Heads:
    """The heads that came lately, by their bytes. The oldest go first; one that is in use is soon learnt again."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, Head] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return len(self._known)

    def find(self, data: bytes) -> tuple[Head, bytes] | None:
        """Head and body, if these bytes are one whole request and its head is known."""
        end = data.find(_END) + 4
        raw = data[:end]
        head = self._known.get(raw)
        if head is None or len(data) - end != head.length:
            return None
        return head, data[end:]

    def keep(self, data: bytes, head: Head) -> None:
        """Remember the head of a request that these bytes are, if they are no more than that."""
        end = data.find(_END) + 4
        raw = data[:end]
        if end > _LONGEST or len(data) - end != head.length or raw in self._known:
            return
        self._known[raw] = head
        self._size += end
        while self._size > _BOUND:
            forgotten, _ = self._known.popitem(last=False)
            self._size -= len(forgotten)
