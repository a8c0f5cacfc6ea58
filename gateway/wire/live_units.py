"""What responses and messages have in common while they come: each event belongs to a unit of the answer.

A unit is an item of a response's output, or a block of a message's content. Shown before the verdict are the units
of reasoning that an answer begins with, event by event, and the text that follows; everything else waits.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Generic, Protocol, TypeVar

import msgspec

from gateway.wire.chunks import Json
from gateway.wire.forms.exact import decode
from gateway.wire.forms.form import Events, Form
from gateway.wire.live_reader import TEXT, StreamReader
from gateway.wire.replies import UnreadableAnswer
from gateway.wire.sse import Event, EventDecoder, encode_event

_EVENTS = "events"  # reasoning is said in whole events, so that one sample's goes on as it came


class Begun(msgspec.Struct):
    """A unit that begins, or a part of one."""

    type: str = ""
    text: str | None = None


class Told(Protocol):
    """What an event tells."""

    type: str
    at: int | None  # the unit's place; None for what is not of one unit
    begun: Begun | None  # the unit, where the event has it
    answer: Json | None  # the whole answer, as far as it is known


_T = TypeVar("_T", bound=Told)


@dataclass(frozen=True, slots=True)
class Kinds:
    """What a form calls things."""

    start: str  # the type of the event that begins a unit
    ends: frozenset[str]  # of those after which nothing comes
    openings: frozenset[bytes]  # of those that say no more than that the answer is under way
    reasoning: frozenset[str]  # units that are shown and not voted on
    text: str  # the unit with the text


class UnitReader(StreamReader, Generic[_T]):
    """Reads one sample's events. After the first unit of text, whatever else begins waits for the verdict."""

    def __init__(self, kinds: Kinds, shape: msgspec.json.Decoder[_T]) -> None:
        super().__init__()
        self._kinds = kinds
        self._shape = shape
        self._units: dict[int, str] = {}  # the type of each by its place; "" for what waits

    def _take(self, event: Event, said: dict[str, str]) -> bool:
        told = self._shape.decode(event.data)
        kind = event.type.decode() or told.type
        if kind in self._kinds.ends:
            self._is_over = True
        elif told.answer is not None:
            self.opening = self.opening or _valid(event.data)
        elif told.at is not None:
            return self._take_inner(kind, told.at, told, event.data, said)
        return False

    def _take_inner(self, kind: str, at: int, told: _T, data: bytes, said: dict[str, str]) -> bool:
        """The same of an event of one unit."""
        kinds = self._kinds
        if not self.opening:
            raise ValueError("a unit of no answer")
        if kind == kinds.start and told.begun is not None:
            self._units[at] = "" if kinds.text in self._units.values() else told.begun.type
        unit = self._units.get(at)
        if unit in kinds.reasoning:
            whole = encode_event(data, kind.encode()).decode()
            said[_EVENTS] = said.get(_EVENTS, "") + whole
            return False
        text = self._text(kind, told) if unit == kinds.text else None
        if text:
            said[TEXT] = said.get(TEXT, "") + text
        return text is None

    @abstractmethod
    def _text(self, kind: str, told: _T) -> str | None:
        """What an event of the unit of text says; None for what waits for the verdict."""


class UnitWriter(ABC):
    """Writes one client's events, under the identity of the sample that leads.

    Reasoning ends where text begins: a unit that is closed takes no more. So what a winner has before its text
    is sent on only if no reasoning was shown, or if it goes on with that.
    """

    def __init__(self, form: Form, kinds: Kinds) -> None:
        self._form = form
        self._kinds = kinds
        self._has_begun = False
        self._has_text = False
        self._reasoned: list[Event] = []

    def begin(self, opening: bytes) -> bytes:
        """The events before the first unit."""
        self._has_begun = True
        return self._begin(decode(opening, UnreadableAnswer))

    def reasoning(self, said: tuple[tuple[str, str], ...]) -> bytes:
        """The events of the sample that leads."""
        events = EventDecoder().feed("".join(text for _, text in said).encode())
        self._reasoned += events
        return b"".join(map(self._pass_on, events))

    def text(self, text: str) -> bytes:
        """One delta; before the first, what begins the unit of text."""
        made = b"" if self._has_text else self._begin_text()
        self._has_text = True
        return made + self._delta(text)

    def rest(self, body: bytes, *, streamed: bool, shown: str) -> Events:
        """The winner's own events where they go on with those shown; else what it lacks, in as few as can be."""
        if not self._has_begun:
            return self._form.events(body, streamed=streamed)
        events = self._form.events(body, streamed=streamed)
        whole = EventDecoder().feed(b"".join([*events.frames, events.end]))
        left = None if shown else self._after_reasoning(whole)
        encoded = self._left(whole, shown) if left is None else self._encode(left)
        return Events(encoded[:-1], encoded[-1])

    def _after_reasoning(self, events: Sequence[Event]) -> Sequence[Event] | None:
        """The events after those that were shown; None if they are another sample's."""
        events = [event for event in events if event.type not in self._kinds.openings]
        count = len(self._reasoned)
        return events[count:] if events[:count] == self._reasoned else None

    def _apart(self, units: Sequence[Json]) -> tuple[list[Json], list[Json]]:
        """The reasoning that an answer begins with, as far as it may still be sent, and all else."""
        first = list(takewhile(lambda unit: unit.get("type") in self._kinds.reasoning, units))
        return [] if self._reasoned else first, list(units[len(first) :])

    @abstractmethod
    def _begin(self, opening: Json) -> bytes:
        """The same as `begin`."""

    @abstractmethod
    def _pass_on(self, event: Event) -> bytes:
        """An event of reasoning."""

    @abstractmethod
    def _begin_text(self) -> bytes:
        """What ends the reasoning and begins the text."""

    @abstractmethod
    def _delta(self, text: str) -> bytes:
        """More text."""

    @abstractmethod
    def _left(self, events: Sequence[Event], shown: str) -> tuple[bytes, ...]:
        """What the stream lacks to be the answer that these spell out."""

    @abstractmethod
    def _encode(self, events: Sequence[Event]) -> tuple[bytes, ...]:
        """The events as they follow in this stream."""


def _valid(data: bytes) -> bytes:
    """What can be parsed whole: the decoder does not look into what it skips."""
    decode(data, UnreadableAnswer)
    return data
