"""A message of Anthropic's form, read for the vote."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from gateway.core.ballot import Reply
from gateway.wire.answers import error_instead
from gateway.wire.forms.exact import decode, encode
from gateway.wire.forms.form import Json
from gateway.wire.replies import UnreadableAnswer

SHOWN = frozenset({"thinking", "redacted_thinking"})
_INCIDENTAL = frozenset({"id", "tool_use_id"})

# In the words of a choice's `finish_reason`. vLLM gives no reason where it was cut off from outside.
_FINISHES: Mapping[str | None, str] = MappingProxyType({
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
    "pause_turn": "abort",
    None: "abort",
})  # fmt: skip


class _Block(msgspec.Struct):
    type: str
    text: str | None = None
    name: str | None = None
    input: Any = None
    citations: list[Any] | None = None


class _Usage(msgspec.Struct):
    output_tokens: int | None = None
    input_tokens: int | None = None  # without those that a prompt cache had, which are the next two
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None

    @property
    def prompt(self) -> int:
        """All tokens of the prompt."""
        return (
            (self.input_tokens or 0)
            + (self.cache_read_input_tokens or 0)
            + (self.cache_creation_input_tokens or 0)
        )


class _Message(msgspec.Struct):
    """What a message must look like to be read and to be streamed."""

    content: list[_Block]
    stop_reason: str | None = None
    usage: _Usage | None = None


def read_message(body: bytes) -> Reply:
    """Text and calls of all blocks; UnreadableAnswer if it is no message."""
    message = decode(body, UnreadableAnswer)
    error = error_instead(message, body)
    if error is not None:
        raise error
    return convert_message(message)


def convert_message(parsed: Json) -> Reply:
    """The same from a parsed message.

    Thinking is shown and not voted on. A block of a kind that is not known is a call, so that two which
    differ are never taken for one.
    """
    try:
        message = msgspec.convert(parsed, _Message)
    except msgspec.ValidationError as error:
        raise UnreadableAnswer(str(error)) from error
    calls = [_call(block, raw) for block, raw in zip(message.content, parsed["content"], strict=True)]
    return Reply(
        content="".join(block.text or "" for block in message.content if block.type == "text"),
        calls=tuple(call for call in calls if call is not None),
        finish=_FINISHES.get(message.stop_reason, str(message.stop_reason)),
        tokens=(message.usage.output_tokens or 0) if message.usage else 0,
        prompt=message.usage.prompt if message.usage else 0,
    )


def _call(block: _Block, raw: Mapping[str, Any]) -> tuple[str, str] | None:
    if block.type == "text" or block.type in SHOWN:
        return None
    if block.type == "tool_use":  # arguments are an object here, so their text is the shortest that spells it
        return block.name or "", encode(block.input).decode()
    said = {member: value for member, value in raw.items() if member not in _INCIDENTAL}
    return block.type, encode(said).decode()
