"""What an upstream's answer says, in the form that can be voted on."""

from typing import Any

import msgspec

from gateway.core.ballot import Reply
from gateway.wire.margin import chat_margin, text_margin
from gateway.wire.pairs import encode

BROKEN_OFF = "error"  # the end of what is no answer: LMDeploy's 200 whose text is its error


class UnreadableAnswer(ValueError):
    """An answer that is no completion: HTML, half a body, no choices.

    One that told of an error has that error's `status` and `body`.
    """

    def __init__(self, message: str, status: int | None = None, body: bytes = b"") -> None:
        super().__init__(message)
        self.status = status
        self.body = body


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None  # some engines send the object itself


class _Custom(msgspec.Struct):
    name: str | None = None
    input: str | None = None


class _ToolCall(msgspec.Struct):
    function: _Function | None = None
    custom: _Custom | None = None


class _Message(msgspec.Struct):
    content: str | list[Any] | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _Function | None = None


class _Choice(msgspec.Struct):
    message: _Message | None = None
    text: str | None = None
    finish_reason: str | None = None
    logprobs: Any = None


class _Usage(msgspec.Struct):
    completion_tokens: int | None = None
    prompt_tokens: int | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    usage: _Usage | None = None


_DECODER = msgspec.json.Decoder(_Completion)
_TOO_LONG = "INPUT_LENGTH_ERROR"  # in that text, where the request is at fault
_SAID = 200  # characters of such a text


def read_reply(body: bytes) -> Reply:
    """The first choice of a chat completion or a completion; UnreadableAnswer if there is none."""
    try:
        body.decode()  # the decoder does not look into members that it skips
        return _reply(_DECODER.decode(body))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableAnswer(str(error)) from error


def convert_reply(plain: dict[str, Any]) -> Reply:
    """The same from a parsed answer, as `chunks.merge` makes it."""
    try:
        return _reply(msgspec.convert(plain, _Completion))
    except (msgspec.MsgspecError, RecursionError) as error:
        raise UnreadableAnswer(str(error)) from error


def spelt(given: Any) -> str:
    """The text that a call is given: as it came, or the shortest that spells a value that is no text."""
    return given if isinstance(given, str) else "" if given is None else encode(given).decode()


def _reply(completion: _Completion) -> Reply:
    if not completion.choices:
        raise UnreadableAnswer("no choices")
    choice = completion.choices[0]
    if choice.message is None and choice.text is None:
        raise UnreadableAnswer("neither message nor text")
    message = choice.message or _Message(content=choice.text)
    content = message.content or ""
    said = content if isinstance(content, str) else msgspec.json.encode(content).decode()
    if choice.finish_reason == BROKEN_OFF:
        raise _broken_off(said[:_SAID])
    return Reply(
        content=said,
        refusal=message.refusal or "",
        calls=_calls(message),
        finish=choice.finish_reason or "",
        tokens=(completion.usage.completion_tokens or 0) if completion.usage else 0,
        prompt=(completion.usage.prompt_tokens or 0) if completion.usage else 0,
        margin=chat_margin(choice.logprobs) if choice.message else text_margin(choice.logprobs),
    )


def _broken_off(said: str) -> UnreadableAnswer:
    """An engine's error in place of an answer, with the status that it should have had."""
    body = encode({"error": {"message": said or "the engine ended its answer in an error"}})
    return UnreadableAnswer(said, 400 if _TOO_LONG in said else 500, body)


def _calls(message: _Message) -> tuple[tuple[str, str], ...]:
    calls = [_call(call) for call in message.tool_calls or ()]
    if message.function_call:  # what tools were called before they were tools
        calls.append(_call(_ToolCall(function=message.function_call)))
    return tuple(call for call in calls if call is not None)


def _call(call: _ToolCall) -> tuple[str, str] | None:
    if call.function:
        return call.function.name or "", spelt(call.function.arguments)
    if call.custom:  # OpenAI's tools that take free text
        return call.custom.name or "", call.custom.input or ""
    return None
