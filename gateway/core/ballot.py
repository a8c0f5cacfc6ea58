"""From what an upstream said to a vote: Sample -> Ballot or Spoiled."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from gateway.core.answer import regex, rules
from gateway.core.answer.boxed import last_boxed
from gateway.core.answer.calls import canonical_calls
from gateway.core.answer.choice import last_choice
from gateway.core.answer.json_value import canonical_json
from gateway.core.answer.normalized import folded
from gateway.core.answer.number import last_number
from gateway.core.answer.thinking import after_thinking


class Reply(NamedTuple):
    """The part of an answer that can be voted on, and how it ended. Reasoning is no part of it."""

    content: str
    refusal: str = ""
    calls: tuple[tuple[str, str], ...] = ()  # (function name, arguments as given); ids are the engine's
    finish: str = "stop"
    tokens: int = 0  # completion tokens, 0 where the upstream gave no usage
    prompt: int = 0  # prompt tokens, likewise
    margin: float | None = None  # smallest gap between the best two tokens in logprob, where it was asked for

    @property
    def shown(self) -> str:
        """Everything voted on, as one text for people to compare."""
        return (
            self.content + self.refusal + "".join(f"\n{name}({arguments})" for name, arguments in self.calls)
        )


@dataclass(frozen=True, slots=True)
class Extracted:
    """What was read out of a reply elsewhere, since it would have held everybody up; None for nothing."""

    answer: str | None


@dataclass(frozen=True, slots=True)
class Sample:
    """One completion: its index in the round, what it says, and the bytes in which it came."""

    index: int
    reply: Reply
    body: bytes = b""
    streamed: bool = False
    headers: tuple[tuple[str, str], ...] = ()  # those that pass back to the client
    upstream: str = ""
    extracted: Extracted | None = None  # where `is_costly` asked for it


@dataclass(frozen=True, slots=True)
class Abstention:
    """No sample came. `status` and `detail` are the upstream's own words where it had any."""

    index: int
    reason: str  # unreachable | timeout | broken | garbage | status | queue | reference (no lane is up and trusted)
    status: int | None = None
    detail: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    upstream: str = ""

    @property
    def is_final(self) -> bool:
        """A 4xx that no retry can mend: the request itself is at fault (RFC 9110, section 15.5)."""
        return self.status is not None and 400 <= self.status < 500 and self.status not in {408, 425, 429}


class Ballot(NamedTuple):
    """A sample's vote."""

    sample: Sample
    answer: str  # canonical: equal strings are the same answer
    text: str  # exact: equal strings are copies


class Spoiled(NamedTuple):
    """A sample without an answer that could be extracted: no vote, but counted in the denominator."""

    sample: Sample
    text: str


def cast(sample: Sample, answer: str) -> Ballot | Spoiled:
    """The vote of a sample under a rule: a policy's `answer`, or what `rules.resolve` made of it.

    An answer extracted elsewhere is taken as it is.
    """
    text = exact_text(sample.reply)
    canonical = sample.extracted.answer if sample.extracted else extract(sample.reply, answer)
    return Spoiled(sample, text) if canonical is None else Ballot(sample, canonical, text)


def extract(reply: Reply, answer: str) -> str | None:
    """The canonical answer of a reply, or None. LookupError for `math`, which no core can read."""
    if answer.startswith(rules.REGEX):
        return from_content(reply, lambda text: regex.last_match(answer.removeprefix(rules.REGEX), text))
    return _EXTRACT[answer](reply)


def is_costly(reply: Reply, answer: str) -> bool:
    """Whether `extract` is better called where it holds nobody up, and its result put into the sample."""
    size = len(reply.content) + len(reply.refusal) + sum(len(given) for _, given in reply.calls)
    return rules.is_costly(answer, size)


def exact_text(reply: Reply) -> str:
    """Content, refusal and calls as one string, delimited so that different replies never look alike."""
    if not reply.refusal and not reply.calls and not reply.content.startswith("\0"):
        return reply.content
    return "\0" + json.dumps([reply.content, reply.refusal, reply.calls], ensure_ascii=False)


def _normalized(reply: Reply) -> str:
    return exact_text(
        Reply(
            folded(reply.content),
            folded(reply.refusal),
            tuple((name, folded(arguments)) for name, arguments in reply.calls),
        )
    )


def from_content(reply: Reply, find: Callable[[str], str | None]) -> str | None:
    """What `find` reads in the content; a refusal and a call are no such answer, whatever they say beside."""
    if reply.refusal or reply.calls:
        return None
    text = after_thinking(reply.content)
    return None if text is None else find(text)


def _calls_or_text(reply: Reply) -> str:
    return canonical_calls(reply.calls) or exact_text(reply)


def _calls_or_json(reply: Reply) -> str | None:
    if reply.calls or reply.refusal:  # a refusal is an answer too, to somebody who asked for no kind of it
        return _calls_or_text(reply)
    return from_content(reply, canonical_json)


_EXTRACT: Mapping[str, Callable[[Reply], str | None]] = MappingProxyType({
    "auto": exact_text,
    "text": exact_text,
    "normalized": _normalized,
    "json": lambda reply: from_content(reply, canonical_json),
    "tool_calls": lambda reply: canonical_calls(reply.calls),
    "number": lambda reply: from_content(reply, last_number),
    "boxed": lambda reply: from_content(reply, last_boxed),
    "choice": lambda reply: from_content(reply, last_choice),
    rules.CALLS_OR_TEXT: _calls_or_text,
    rules.CALLS_OR_JSON: _calls_or_json,
})  # fmt: skip
