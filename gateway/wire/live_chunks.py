"""The live form of chat completions and completions: chunks in, chunks out."""

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.wire.chunks import IDENTITY, Json, Stream, read_stream, split
from gateway.wire.forms.form import Events
from gateway.wire.live_reader import EMPTY, REASONING, TEXT, ChunkReader, first_choice
from gateway.wire.live_shown import Shown
from gateway.wire.pairs import Joiner, encode, parse
from gateway.wire.sse import DONE, encode_event

# Members of a chunk that alone are no reason to send it.
_OF_EVERY_CHUNK = frozenset({*IDENTITY, "choices", "usage", "obfuscation"})
_PER_TOKEN = ("logprobs", "top_logprobs", "return_token_ids", "return_logprob")


class LiveChunks:
    """Chat completions, or completions, while they are being written."""

    def __init__(self, *, is_chat: bool) -> None:
        self._is_chat = is_chat

    def can_show(self, members: Mapping[str, Any]) -> bool:
        """Not what has something to say of each token, nor usage in each chunk."""
        options = members.get("stream_options") or {}
        return not options.get("continuous_usage_stats") and all(
            members.get(name) is None or members[name] is False for name in _PER_TOKEN
        )

    def reader(self) -> "ChunkReader":
        """A reader; it takes both forms."""
        return ChunkReader()

    def writer(self) -> "ChunkWriter":
        """A writer of this form."""
        return ChunkWriter(is_chat=self._is_chat)


class ChunkWriter:
    """Writes one client's chunks, all of them under the identity of the sample that leads."""

    def __init__(self, *, is_chat: bool) -> None:
        self._is_chat = is_chat
        self._has_begun = False
        self._head: Json = {}
        self._reasoned: dict[str, int] = {}  # characters of reasoning so far, by the name of their member
        self._around = (b"", b"")  # what encloses the text in a chunk

    def begin(self, opening: bytes) -> bytes:
        """The role in a chat, nothing otherwise."""
        first: Json = parse(opening)
        self._has_begun = True
        self._head = {name: first[name] for name in IDENTITY if first.get(name) is not None}
        self._head["object"] = "chat.completion.chunk" if self._is_chat else "text_completion"
        before, _, after = self._chunk({TEXT: ""}).rpartition(b'""')
        self._around = (b"data: " + before, after + b"\n\n")
        if not self._is_chat:
            return b""
        choice = first_choice(first) or {}
        role = (choice.get("delta") or choice.get("message") or {}).get("role") or "assistant"
        return encode_event(self._chunk({"role": role, TEXT: ""}))

    def reasoning(self, said: tuple[tuple[str, str], ...]) -> bytes:
        """A delta with the members that the sample has it in; completions have none."""
        if not self._is_chat:
            return b""
        for name, text in said:
            self._reasoned[name] = self._reasoned.get(name, 0) + len(text)
        return encode_event(self._chunk(dict(said)))

    def text(self, text: str) -> bytes:
        """One chunk."""
        before, after = self._around
        return before + msgspec.json.encode(text) + after

    def rest(self, body: bytes, *, streamed: bool, shown: str) -> Events:
        """The winner's own chunks, less what was said, and less the reasoning of another sample than began."""
        stream = read_stream(body) if streamed else split(msgspec.json.decode(body))
        if not self._has_begun:
            return Events(tuple(map(encode_event, stream.chunks)), encode_event(DONE), stream.usage)
        cut = _Cut(shown, self._reasoned, is_own=self._is_own(stream))
        chunks = [chunk for data in stream.chunks if (chunk := cut.less(parse(data))) is not None]
        cut.shown.end()
        usage = encode({**parse(stream.usage), **self._head}) if stream.usage else b""
        frames = tuple(encode_event(encode({**chunk, **self._head})) for chunk in chunks)
        return Events(frames, encode_event(DONE), usage)

    def _is_own(self, stream: Stream) -> bool:
        """Whether the answer is the one that opened the stream, as its id says."""
        name = self._head.get("id")
        return name is not None and any(parse(data).get("id") == name for data in stream.chunks[:1])

    def _chunk(self, delta: Json) -> bytes:
        said = {"delta": delta} if self._is_chat else {"text": delta[TEXT]}
        choice = {"index": 0, **said, "logprobs": None, "finish_reason": None}
        return encode({**self._head, "choices": [choice]})


class _Cut:
    """Takes from an answer's chunks, one after the other, what a client has already got."""

    def __init__(self, shown: str, reasoned: Mapping[str, int], *, is_own: bool) -> None:
        self.shown = Shown(shown)
        self._reasoned = dict(reasoned)  # characters still to be cut
        self._goes_on = is_own or not reasoned  # whether reasoning may follow: never that of two samples
        self._joiners: dict[str, Joiner] = {}

    def less(self, chunk: Json) -> Json | None:
        """What is new in a chunk; None if there is nothing."""
        choices = [self._choice(choice) for choice in chunk.get("choices") or ()]
        is_new = any(_says(choice, {"index"}) for choice in choices) or _says(chunk, _OF_EVERY_CHUNK)
        return {**chunk, "choices": choices} if is_new else None

    def _choice(self, choice: Json) -> Json:
        if choice.get("index"):
            return choice
        if isinstance(choice.get("text"), str):
            return {**choice, "text": self._member(TEXT, choice["text"])}
        delta = {name: self._member(name, value) for name, value in (choice.get("delta") or {}).items()}
        return {**choice, "delta": {name: value for name, value in delta.items() if value not in EMPTY}}

    def _member(self, name: str, value: Any) -> Any:
        if name == "role":
            return None  # a stream says it once
        if not isinstance(value, str) or not (name == TEXT or name in REASONING):
            return value
        whole = self._joiners.setdefault(name, Joiner()).add(value)
        return self.shown.less(whole) if name == TEXT else self._reasoning(name, whole)

    def _reasoning(self, name: str, text: str) -> str:
        if not self._goes_on:
            return ""
        length = min(len(text), self._reasoned.get(name, 0))
        if length:
            self._reasoned[name] -= length
        return text[length:]


def _says(members: Json, besides: frozenset[str] | set[str]) -> bool:
    """Whether there is anything in these members, apart from some."""
    return any(name not in besides and value not in EMPTY for name, value in members.items())


CHAT_LIVE = LiveChunks(is_chat=True)
COMPLETIONS_LIVE = LiveChunks(is_chat=False)
