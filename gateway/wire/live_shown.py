"""What is left of an answer of which a client has already got the beginning."""

from collections.abc import Iterable

from gateway.wire.chunks import Json
from gateway.wire.live import NotAsShown

_TEXTS = frozenset({"text", "output_text"})


class Shown:
    """Takes from an answer's texts, one after the other, what was shown of them together."""

    def __init__(self, shown: str) -> None:
        self._shown = shown
        self._done = 0  # characters of it that have been taken away

    def less(self, text: str) -> str:
        """What is new in the next text; NotAsShown if it is another one."""
        length = min(len(text), len(self._shown) - self._done)
        if length and not self._shown.startswith(text[:length], self._done):
            raise NotAsShown("the answer parts from what was shown")
        self._done += length
        return text[length:]

    def less_parts(self, parts: Iterable[Json]) -> list[Json]:
        """The next parts of which something is new, each with what is; others than texts are new."""
        made = []
        for part in parts:
            text = (part.get("text") or "") if is_text(part) else ""
            left = self.less(text)
            if left or not text:
                made.append({**part, "text": left} if text else part)
        return made

    def end(self) -> None:
        """There is no more; NotAsShown if more was shown."""
        if self._done < len(self._shown):
            raise NotAsShown("the answer is shorter than what was shown")


def is_text(part: Json) -> bool:
    """Whether a block of a message, or a part of a response's item, is of the text that is voted on."""
    return part.get("type") in _TEXTS
