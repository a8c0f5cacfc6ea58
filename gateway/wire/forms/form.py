"""What a voted endpoint's form is: the one seam through which the rest of the gateway reads and writes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from gateway.core.ballot import Reply
from gateway.wire.body import Body

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asking:
    """What a request asks for, whatever its form calls it."""

    model: str
    seed: int | None
    greedy: bool  # temperature 0
    streamed: bool
    include_usage: bool  # whether the stream's usage chunk is wanted; only where a client can choose
    usage_in_chunks: bool  # whether what the upstream tells of usage in other chunks is, likewise
    max_tokens: int | None
    has_tools: bool  # tools that the answer may call
    wants_json: bool
    unvoted: str | None  # the member for which it passes through: more than one run would make no sense


@dataclass(frozen=True, slots=True)
class Events:
    """A whole stream, event by event, encoded. Between `frames` and `end` there is room for what we add."""

    frames: tuple[bytes, ...]
    end: bytes
    usage: bytes = b""  # the JSON of a chunk that goes only to those who ask, after `frames`
    with_usage: tuple[bytes, ...] = ()  # `frames` as they came, where usage had to be cut out of them


@dataclass(frozen=True, slots=True)
class Fault:
    """An error in the words that OpenAI's error object has for it."""

    status: int
    message: str
    type: str
    param: str | None = None
    code: str | int | None = None  # a number only where an upstream said so


class Form(Protocol):
    """One voted endpoint. Stateless; there is one object of each."""

    path: ClassVar[str]
    label: ClassVar[str]  # its name in metrics

    def asks(self, members: Mapping[str, Any]) -> Asking:
        """What these members of a request's body ask for; BadRequest names one that cannot be taken."""

    def stream_members(self, body: Body, /) -> dict[str, str]:
        """Members to add to a streamed request, as JSON texts, so that its answer tells the usage."""

    def margin_members(self, body: Body, /) -> dict[str, str]:
        """Members to add, as JSON texts, so that the answer has each token's best two log-probabilities.

        None where the form has no such thing, or where the client asks for log-probabilities in its own way.
        """

    def reply(self, body: bytes, content_type: str) -> Reply:
        """What an upstream's whole answer says, plain or streamed; UnreadableAnswer if it is none."""

    def without_logprobs(self, body: bytes, *, streamed: bool) -> bytes:
        """The answer as if `margin_members` had not been sent. A member stays, empty; no other byte changes."""

    def plain(self, streamed: bytes) -> bytes:
        """The plain answer that a whole stream spells out."""

    def events(self, body: bytes, *, streamed: bool) -> Events:
        """The stream of an answer: its own events, or what a plain one would have been as events."""

    def error_body(self, fault: Fault) -> bytes:
        """The body of an error response, ASCII, whatever of the client's is quoted."""

    def is_error(self, told: Json, /) -> bool:
        """Whether clients can read this object as the body of an error response."""

    def error_event(self, error: Json) -> bytes:
        """An error, as the object of `error_body` or of an upstream's, as the last event of a stream."""
