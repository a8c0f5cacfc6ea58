"""One sample beside the majority path: what it said ahead of it, or what it still has to say."""

from collections import deque


class _Tape:
    """Text in pieces, read from its start; no piece is copied, however little of it is read at once."""

    __slots__ = ("_at", "_pieces")

    def __init__(self) -> None:
        self._at = 0
        self._pieces: deque[str] = deque()

    def __bool__(self) -> bool:
        return bool(self._pieces)

    @property
    def ready(self) -> int:
        """How many characters can be read at once."""
        return len(self._pieces[0]) - self._at

    def add(self, text: str) -> None:
        if text:
            self._pieces.append(text)

    def peek(self, length: int) -> str:
        return self._pieces[0][self._at : self._at + length]

    def skip(self, length: int) -> None:
        self._at += length
        if self._at == len(self._pieces[0]):
            self._pieces.popleft()
            self._at = 0


class Trail:
    """One sample beside the path: ahead of what is shown, level with it, or behind."""

    __slots__ = ("ahead", "end", "owed", "symbol")

    def __init__(self, shown: str) -> None:
        self.ahead = _Tape()  # said, but not shown yet
        self.owed = _Tape()  # shown, but not said yet
        self.owed.add(shown)
        self.end: str | None = None  # how it ends, if nothing more comes
        self.symbol: str | None = None  # how it goes on after what is shown, if it has said so

    def say(self, text: str) -> bool:
        """Take what the sample says next; whether it still agrees with what is shown."""
        at = 0
        while at < len(text) and self.owed:
            length = min(self.owed.ready, len(text) - at)
            if self.owed.peek(length) != text[at : at + length]:
                return False
            self.owed.skip(length)
            at += length
        self.ahead.add(text[at:])
        if self.symbol is None and at < len(text):
            self.symbol = text[at]
        return True

    def pass_by(self, text: str) -> None:
        """This much more is shown, and a sample that is ahead has said it."""
        if self.symbol is None:
            self.owed.add(text)
            return
        self.ahead.skip(len(text))
        self.symbol = self.ahead.peek(1) if self.ahead else self.end
