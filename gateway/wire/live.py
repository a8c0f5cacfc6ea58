"""One stream for the client, made of the streams of a round's samples while they come in.

A form brings a reader of one sample's stream and a writer of the client's; between them lies the majority path.
Nobody here waits or launches: whoever drives the round hands in what came and sends on what comes back.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.core.ballot import Sample
from gateway.core.path import MajorityPath
from gateway.wire.forms.form import Events
from gateway.wire.telling import write_events


class NotAsShown(ValueError):
    """A winner that does not begin with what was shown: nothing can follow but an error."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a piece of a sample's stream adds, in this order."""

    reasoning: tuple[tuple[str, str], ...] = ()  # by name, as the form calls it; shown, never voted on
    text: str = ""  # voted on, shown as far as the majority shares it
    is_held: bool = False  # what comes from here on, such as tool calls, is shown with the verdict


class LiveReader(Protocol):
    """Reads one sample's stream as it comes, in whatever pieces. It keeps nothing but what is cut in two."""

    @property
    def opening(self) -> bytes:
        """The data of the first event that says whose answer this is; b"" before it."""

    def feed(self, piece: bytes) -> Said:
        """What these bytes complete. What is no stream of this form says nothing, from there on."""


class LiveWriter(Protocol):
    """Writes one client's stream: `begin`, then reasoning and text, then the rest of the winner."""

    def begin(self, opening: bytes) -> bytes:
        """The first events, under the identity of the answer that opens so: an event's data, or a plain body."""

    def reasoning(self, said: tuple[tuple[str, str], ...]) -> bytes:
        """More of the reasoning of the answer that opened the stream."""

    def text(self, text: str) -> bytes:
        """More text."""

    def rest(self, body: bytes, *, streamed: bool, shown: str) -> Events:
        """What the stream lacks to be this answer, `shown` being all its text so far; before `begin`, all of it.

        Changes nothing. Errors:
            NotAsShown: the answer's text does not begin so.
        """


class LiveForm(Protocol):
    """How one endpoint streams. Stateless."""

    def can_show(self, members: Mapping[str, Any]) -> bool:
        """Whether text alone is what a request with these members wants of each chunk; if not, hold the stream."""

    def reader(self) -> LiveReader:
        """A reader for one sample."""

    def writer(self) -> LiveWriter:
        """A writer for one client's stream."""


class LiveStream:
    """The stream of a round of `total` samples. Each call gives the bytes that it adds for the client, if any.

    The sample that is shown first leads: the stream has its identity, and its reasoning until text begins.

    A sample goes to `ended` before the round receives it, so that the verdict agrees with what that shows. An
    abstention goes to the round first, which may replace it. Once there is a result, only `finish` follows.
    """

    def __init__(self, form: LiveForm, total: int, question: bytes) -> None:
        self.path = MajorityPath(total, question)
        self._form = form
        self._writer = form.writer()
        self._readers: dict[int, LiveReader] = {}
        self._plain: dict[int, bytes] = {}  # bodies of samples that were no streams
        self._said: dict[int, int] = {}  # characters of text by sample
        self._leader: int | None = None
        self._has_text = False

    def agrees(self, sample: Sample) -> bool:
        """Whether a sample's text begins with all that was shown: what `Round` asks of a winner."""
        return sample.reply.content.startswith(self.path.shown)

    def launch(self, index: int) -> None:
        """Sample `index` is under way."""
        self.path.launch(index)

    def piece(self, index: int, piece: bytes) -> bytes:
        """The next bytes of sample `index`'s event stream."""
        reader = self._readers.get(index)
        if reader is None:
            reader = self._readers[index] = self._form.reader()
            self.path.launch(index)
        if index not in self.path.agreeing:
            return b""
        said = reader.feed(piece)
        made = self._reason(index, said, reader.opening) if said.reasoning else b""
        if said.text:
            self._said[index] = self._said.get(index, 0) + len(said.text)
            made += self._show(self.path.feed(index, said.text))
        if said.is_held:
            made += self._show(self.path.hold(index))
        return made

    def ended(self, sample: Sample) -> bytes:
        """A sample is whole: its stream, or all of it at once from an upstream that does not stream."""
        index, reply, new = sample.index, sample.reply, ""
        if not sample.streamed:
            self._plain[index] = sample.body
            self._said[index] = len(reply.content)
            new = self.path.feed(index, reply.content)
        is_text = self._said.get(index, 0) == len(reply.content) and not reply.calls and not reply.refusal
        new += (self.path.end if is_text else self.path.hold)(index)
        return self._show(new)

    def lost(self, index: int, total: int) -> bytes:
        """Sample `index` abstained; so many may come in all, with the one that replaces it."""
        self.path.widen(total)
        return self._show(self.path.lose(index))

    def finish(
        self, body: bytes, *, streamed: bool, include_usage: bool, told: Mapping[str, str] | None = None
    ) -> bytes:
        """What ends the stream of a client that got all of the above. Changes nothing: clients may want different ends.

        `told` goes into a comment and into the usage chunk's `consistency` member. NotAsShown if the answer
        is none that could follow.
        """
        rest = self._writer.rest(body, streamed=streamed, shown=self.path.shown)
        return write_events(rest, include_usage=include_usage, told=told)

    def _reason(self, index: int, said: Said, opening: bytes) -> bytes:
        if self._has_text or self._leader not in (None, index):
            return b""
        made = self._writer.begin(opening) if self._leader is None else b""
        self._leader = index
        return made + self._writer.reasoning(said.reasoning)

    def _show(self, text: str) -> bytes:
        if not text:
            return b""
        self._has_text = True
        made = b"" if self._leader is not None else self._open()
        return made + self._writer.text(text)

    def _open(self) -> bytes:
        """Let the first of the samples lead that agree with what is to be shown."""
        openings = {index: reader.opening for index, reader in self._readers.items()} | self._plain
        self._leader = min(index for index in self.path.agreeing if openings.get(index))
        return self._writer.begin(openings[self._leader])
