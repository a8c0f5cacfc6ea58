"""Reads streams while they come: what all forms have in common, and chat completions and completions in one way."""

from abc import ABC, abstractmethod
from itertools import chain
from typing import Any

import msgspec

from gateway.wire.chunks import Json
from gateway.wire.live import Said
from gateway.wire.pairs import Joiner, parse
from gateway.wire.replies import BROKEN_OFF
from gateway.wire.sse import DONE, Event, EventDecoder

TEXT, REASONING = "content", frozenset({"reasoning", "reasoning_content"})
EMPTY: tuple[Any, ...] = (None, "", [], {})
_NOTHING = Said()


class _Delta(msgspec.Struct, forbid_unknown_fields=True):
    """A delta of nothing but text and reasoning, as nearly all are."""

    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    role: str | None = None
    tool_calls: None = None
    function_call: None = None
    refusal: None = None


class _Choice(msgspec.Struct):
    index: int | None = None
    delta: _Delta | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    choices: tuple[_Choice]
    error: None = None


_PLAIN = msgspec.json.Decoder(_Chunk)


class StreamReader(ABC):
    """Reads one sample's stream event by event, as far as it may be shown."""

    def __init__(self) -> None:
        self.opening = b""
        self._decoder = EventDecoder()
        self._is_over = False  # nothing more of this sample is shown before the verdict

    def feed(self, piece: bytes) -> Said:
        """What the events say that these bytes complete."""
        if self._is_over:
            return _NOTHING
        said: dict[str, str] = {}
        is_held = False
        for event in self._decoder.feed(piece):
            try:
                is_held = self._take(event, said)
            except (ValueError, RecursionError):  # whoever reads the whole stream says what is wrong with it
                self._is_over = True
            if is_held or self._is_over:
                self._is_over = True
                break
        if not said and not is_held:
            return _NOTHING
        text = said.pop(TEXT, "")
        return Said(tuple(said.items()), text, is_held)

    @abstractmethod
    def _take(self, event: Event, said: dict[str, str]) -> bool:
        """Add what an event says; whether it also has what is not shown before the verdict.

        Sets `opening`, and `_is_over` at the end of the answer. ValueError for what is no event of this form.
        """


class ChunkReader(StreamReader):
    """Reads one sample's chunks. Members that nobody here knows are left to the verdict."""

    def __init__(self) -> None:
        super().__init__()
        self._joiners: dict[str, Joiner] = {}

    def _take(self, event: Event, said: dict[str, str]) -> bool:
        data = event.data
        if data == DONE:
            self._is_over = True
            return False
        try:
            choice = _PLAIN.decode(data).choices[0]
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self._take_any(data, said)
        if choice.finish_reason == BROKEN_OFF:  # its text is no answer's
            self._is_over = True
        elif not choice.index:
            self.opening = self.opening or data
            delta = choice.delta
            if delta is not None:
                self._say(TEXT, delta.content, said)
                self._say("reasoning", delta.reasoning, said)
                self._say("reasoning_content", delta.reasoning_content, said)
            self._say(TEXT, choice.text, said)
        return False

    def _take_any(self, data: bytes, said: dict[str, str]) -> bool:
        """The same of any chunk; ValueError for what is none."""
        choice = first_choice(parse(data))
        if choice is None:
            return False
        if choice.get("finish_reason") == BROKEN_OFF:
            self._is_over = True
            return False
        self.opening = self.opening or data
        is_held = False
        for name, value in chain((choice.get("delta") or {}).items(), ((TEXT, choice.get("text")),)):
            if name == "role" or value in EMPTY:
                continue
            if isinstance(value, str) and (name == TEXT or name in REASONING):
                self._joiners.setdefault(name, Joiner())
                self._say(name, value, said)
            else:
                is_held = True
        return is_held

    def _say(self, name: str, text: str | None, said: dict[str, str]) -> None:
        if text and self._joiners and name in self._joiners:
            text = self._joiners[name].add(text)
        if text:
            said[name] = said.get(name, "") + text


def first_choice(chunk: Any) -> Json | None:
    """The choice that is voted on; ValueError for what is no chunk."""
    choices = (chunk.get("choices") or []) if isinstance(chunk, dict) and not chunk.get("error") else None
    if not isinstance(choices, list) or not all(map(_is_choice, choices)):
        raise ValueError("no chunk")
    return next((choice for choice in choices if not choice.get("index")), None)


def _is_choice(choice: Any) -> bool:
    return isinstance(choice, dict) and isinstance(choice.get("delta") or {}, dict)
