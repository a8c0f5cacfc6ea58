"""The majority path: what may be shown of an answer while its samples are still being written.

Shown is the longest text on which the samples that are still to come can change nothing any more. It grows
by one symbol at a time, a character or an end: the symbol that more of the samples that agree with all that
is shown have next than any other could still reach; once all are there, a tie breaks by content, as in
`core.vote`. So a strict majority of the k samples is shown at once, and nothing is ever taken back.

A Round launches, a MajorityPath only says how many more it needs: `wants_more`. Tell it of every launch, of
every replacement by `widen` before the `lose` that caused it, and end the round with a sample in `agreeing`.
"""

from collections.abc import Set as AbstractSet

from gateway.core.divergence import divergence
from gateway.core.trail import Trail
from gateway.core.vote import tally

# Symbols that are no characters: the answer ends here, or goes on in what is not shown before the verdict,
# such as tool calls.
END = ""
HELD = "\0held"


class MajorityPath:
    """The path of `total` samples. Each call says what it adds to the text shown.

    Indices are those of the round. What comes of a sample after its end, its loss or its departure from the
    path is ignored.
    """

    def __init__(self, total: int, question: bytes) -> None:
        self.ending: str | None = None  # END or HELD once the path is at its end
        self._total = total
        self._question = question
        self._shown: list[str] = []
        self._trails: dict[int, Trail] = {}  # of the samples that agree so far
        self._gone: set[int] = set()  # departed or lost
        self._symbols: dict[str, int] = {}  # how many samples go on with each, of those that say how they do
        self._order: dict[str, int] = {}  # the symbols' places where votes are even

    @property
    def shown(self) -> str:
        """All text so far."""
        if len(self._shown) > 1:
            self._shown = ["".join(self._shown)]
        return self._shown[0] if self._shown else ""

    @property
    def agreeing(self) -> AbstractSet[int]:
        """The samples that agree with all that was shown, those included that have not said as much yet."""
        return self._trails.keys()

    @property
    def wants_more(self) -> int:
        """How many samples more than those launched it takes, at the very least, to go on."""
        if self.ending is not None:
            return 0
        under_way = len(self._trails) - sum(self._symbols.values())
        return max(0, self._missing() - under_way)

    def launch(self, index: int) -> None:
        """Sample `index` is under way."""
        self._trail(index)

    def widen(self, total: int) -> None:
        """So many samples may come in all, lost ones included."""
        self._total = total

    def feed(self, index: int, text: str) -> str:
        """Sample `index` goes on with `text`."""
        trail = self._trail(index)
        if trail is None or not text:
            return ""
        before = trail.symbol
        if not trail.say(text):
            self._drop(index)
        elif before is not None or trail.symbol is None:
            return ""  # nothing new where the path has come to
        else:
            self._count(trail.symbol)
        return self._advance()

    def end(self, index: int) -> str:
        """Sample `index` is complete."""
        return self._end(index, END)

    def hold(self, index: int) -> str:
        """Sample `index` goes on in what is not shown before the verdict."""
        return self._end(index, HELD)

    def lose(self, index: int) -> str:
        """Sample `index` does not count any more: abstained or cancelled."""
        self._drop(index)
        return self._advance()

    def _end(self, index: int, symbol: str) -> str:
        trail = self._trail(index)
        if trail is None:
            return ""
        trail.end = symbol
        if trail.owed:
            self._drop(index)
        elif trail.symbol is None:
            trail.symbol = symbol
            self._count(symbol)
        return self._advance()

    def _trail(self, index: int) -> Trail | None:
        """The trail of a sample that may still add to it."""
        trail = self._trails.get(index)
        if trail is not None:
            return trail if trail.end is None else None
        if index in self._gone:
            return None
        trail = self._trails[index] = Trail(self.shown)
        return trail

    def _drop(self, index: int) -> None:
        trail = self._trails.pop(index, None)
        self._gone.add(index)
        if trail is not None and trail.symbol is not None:
            self._recount()

    def _count(self, symbol: str) -> None:
        self._symbols[symbol] = self._symbols.get(symbol, 0) + 1

    def _recount(self) -> None:
        self._symbols = {}
        for trail in self._trails.values():
            if trail.symbol is not None:
                self._count(trail.symbol)

    @property
    def _unlaunched(self) -> int:
        return max(0, self._total - len(self._trails) - len(self._gone))

    def _advance(self) -> str:
        """Go as far as nothing that is still to come can change."""
        new: list[str] = []
        while self._symbols and not self._missing():
            symbol = self._leader() if self.ending is None else self.ending
            if len(self._symbols) > 1 or symbol not in self._symbols:
                self._follow(symbol)
            if symbol in (END, HELD):
                self.ending = symbol
                break
            new.append(self._shared())
            self._show(new[-1])
        return "".join(new)

    def _missing(self) -> int:
        """How many of the samples without a next symbol have to join the leading one to make it certain."""
        undecided = len(self._trails) - sum(self._symbols.values()) + self._unlaunched
        if not undecided or self.ending is not None:
            return 0
        if not self._symbols:
            return undecided // 2 + 1
        leader = self._leader()
        votes = self._symbols[leader]
        missing = (undecided - votes) // 2 + 1  # against a symbol that nobody has yet
        for rival, count in self._symbols.items():
            if rival != leader:
                wins_ties = self._order[leader] < self._order[rival]
                missing = max(missing, (count + undecided - votes + (1 if wins_ties else 2)) // 2)
        return min(undecided, max(0, missing))

    def _leader(self) -> str:
        """The symbol that most go on with; where several are even, the one that comes first by content."""
        symbols = self._symbols
        if len(symbols) == 1:
            return next(iter(symbols))
        if not symbols.keys() <= self._order.keys():
            shown = self.shown
            by_text = {shown + symbol: symbol for symbol in symbols}
            ordered = tally(list(by_text), self._question).counts
            self._order = {by_text[text]: place for place, (text, _) in enumerate(ordered)}
        return min(symbols, key=lambda symbol: (-symbols[symbol], self._order[symbol]))

    def _follow(self, symbol: str) -> None:
        """Part with the samples that go on differently."""
        for index, trail in list(self._trails.items()):
            if trail.symbol not in (None, symbol):
                self._drop(index)

    def _shared(self) -> str:
        """What the samples that lead share: of one or more characters, as many as are at hand."""
        ahead = [trail.ahead for trail in self._trails.values() if trail.symbol is not None]
        length = min(tape.ready for tape in ahead)
        texts = [tape.peek(length) for tape in ahead]
        return texts[0][: divergence(texts)]

    def _show(self, text: str) -> None:
        self._shown.append(text)
        self._order = {}
        for trail in self._trails.values():
            trail.pass_by(text)
        self._recount()
