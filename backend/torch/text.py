"""Tokens to text as it may be shown: whole characters only, nothing of a stop string."""

from collections.abc import Callable, Sequence

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# A character has at most four bytes, and a token at least one.
_CHARACTER_TOKENS = 4


class Detokenizer:
    """Text of a growing list of tokens, released when no later token can change it.

    The text so far ends in U+FFFD while a character's bytes are incomplete. It is held back until it ends in a
    whole character, or until there are more tokens than one character can need: then all but the last three
    replacement characters are bytes that never will be text. Decoding starts one clean boundary back, because
    some tokenizers write a token differently at the start (the windows of vLLM's `detokenize_incrementally`).
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._window: list[int] = []
        self._boundary = 0
        self._shown = 0

    def push(self, token: int) -> str:
        """Take one more token; returns the text that it settles."""
        self._window.append(token)
        text = self._decode(self._window)
        settled = self._settled(text)
        delta = text[self._shown : settled]
        self._shown = max(self._shown, settled)
        if settled == len(text):
            self._move_window()
        return delta

    def flush(self) -> str:
        """What is left when no more tokens come, broken characters included."""
        return self._decode(self._window)[self._shown :]

    def _settled(self, text: str) -> int:
        if not text.endswith(REPLACEMENT):
            return len(text)
        if len(self._window) - self._boundary <= _CHARACTER_TOKENS:
            return self._shown
        whole = len(text.rstrip(REPLACEMENT))
        return max(whole, len(text) - (_CHARACTER_TOKENS - 1))

    def _move_window(self) -> None:
        self._window = self._window[self._boundary :]
        self._boundary = len(self._window)
        self._shown = len(self._decode(self._window))


class StopScanner:
    """Cuts text at the first stop string to be completed, and holds back what may become one.

    The first to be completed wins, the longest of those; so the result is the same however the text is cut
    into pieces.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held = ""

    def push(self, text: str) -> tuple[str, str | None]:
        """Take more text; returns what may be shown, and the stop string if one was met."""
        text = self._held + text
        found = [(at + len(stop), at, stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            _, at, stop = min(found)
            self._held = ""
            return text[:at], stop
        hold = self._may_begin(text)
        self._held = text[len(text) - hold :]
        return text[: len(text) - hold], None

    def flush(self) -> str:
        """What was held back, once no more text comes."""
        held, self._held = self._held, ""
        return held

    def _may_begin(self, text: str) -> int:
        """How many characters at the end of `text` are the beginning of a stop string."""
        longest = min(len(text), max(map(len, self._stops), default=1) - 1)
        for size in range(longest, 0, -1):
            if any(stop.startswith(text[-size:]) for stop in self._stops):
                return size
        return 0
