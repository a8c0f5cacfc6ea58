"""From what an upstream said to a vote: Sample -> Ballot or Spoiled."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from unicodedata import normalize


@dataclass(frozen=True, slots=True)
class Reply:
    """The part of an answer that can be voted on, and how it ended. Reasoning is no part of it."""

    content: str
    refusal: str = ""
    calls: tuple[tuple[str, str], ...] = ()  # (function name, arguments as given); ids are the engine's
    finish: str = "stop"
    tokens: int = 0  # completion tokens, 0 where the upstream gave no usage
    margin: float | None = None  # smallest gap between the best two tokens in logprob, where it was asked for

    @property
    def shown(self) -> str:
        """Everything voted on, as one text for people to compare."""
        return (
            self.content + self.refusal + "".join(f"\n{name}({arguments})" for name, arguments in self.calls)
        )


@dataclass(frozen=True, slots=True)
class Sample:
    """One completion: its index in the round, what it says, and the bytes in which it came."""

    index: int
    reply: Reply
    body: bytes = b""
    streamed: bool = False
    headers: tuple[tuple[str, str], ...] = ()  # those that pass back to the client
    upstream: str = ""


@dataclass(frozen=True, slots=True)
class Abstention:
    """No sample came. `status` and `detail` are the upstream's own words where it had any."""

    index: int
    reason: str  # unreachable | timeout | broken | garbage | status
    status: int | None = None
    detail: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    upstream: str = ""

    @property
    def is_final(self) -> bool:
        """A 4xx that no retry can mend: the request itself is at fault (RFC 9110, section 15.5)."""
        return self.status is not None and 400 <= self.status < 500 and self.status not in {408, 425, 429}


@dataclass(frozen=True, slots=True)
class Ballot:
    """A sample's vote."""

    sample: Sample
    answer: str  # canonical: equal strings are the same answer
    text: str  # exact: equal strings are copies


@dataclass(frozen=True, slots=True)
class Spoiled:
    """A sample without an answer that could be extracted: no vote, but counted in the denominator."""

    sample: Sample
    text: str


def cast(sample: Sample, answer: str) -> Ballot | Spoiled:
    """The vote of a sample under a policy's `answer` field."""
    text = exact_text(sample.reply)
    extracted = _EXTRACT[answer](sample.reply, text)
    return Spoiled(sample, text) if extracted is None else Ballot(sample, extracted, text)


def exact_text(reply: Reply) -> str:
    """Content, refusal and calls as one string, delimited so that different replies never look alike."""
    if not reply.refusal and not reply.calls and not reply.content.startswith("\0"):
        return reply.content
    return "\0" + json.dumps([reply.content, reply.refusal, reply.calls], ensure_ascii=False)


def _text(_reply: Reply, text: str) -> str | None:
    return text


def _normalized(reply: Reply, _text: str) -> str | None:
    def fold(text: str) -> str:
        return " ".join(normalize("NFC", text).split())

    return exact_text(
        Reply(
            fold(reply.content),
            fold(reply.refusal),
            tuple((name, fold(arguments)) for name, arguments in reply.calls),
        )
    )


_EXTRACT: Mapping[str, Callable[[Reply, str], str | None]] = MappingProxyType({
    "auto": _text,
    "text": _text,
    "normalized": _normalized,
})  # fmt: skip
