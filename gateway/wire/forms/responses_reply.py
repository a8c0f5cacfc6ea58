"""A response, read for the vote."""

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.core.ballot import Reply
from gateway.wire.forms.exact import decode, encode
from gateway.wire.forms.faults import status_of
from gateway.wire.forms.form import Json
from gateway.wire.margin import token_margin
from gateway.wire.replies import UnreadableAnswer, spelt

# What an item is besides what it says: two that differ in these alone say the same.
_INCIDENTAL = frozenset({"id", "call_id", "status"})
_FINISHES = {"max_output_tokens": "length"}


class _Part(msgspec.Struct):
    text: str | None = None
    refusal: str | None = None
    logprobs: list[Any] | None = None


class _Item(msgspec.Struct):
    type: str = "message"
    content: list[_Part] | None = None
    summary: list[_Part] | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: Any = None
    input: Any = None


class _Details(msgspec.Struct):
    reason: str | None = None


class _Usage(msgspec.Struct):
    output_tokens: int | None = None
    input_tokens: int | None = None


class _Response(msgspec.Struct):
    """What a response must look like to be read and to be streamed."""

    output: list[_Item]
    status: str | None = None
    incomplete_details: _Details | None = None
    usage: _Usage | None = None


def read_response(body: bytes) -> Reply:
    """Text, refusal and calls of all items; UnreadableAnswer if it is no response or a failed one.

    Reasoning is shown and not voted on. An item of a kind that is not known is a call, so that two which
    differ are never taken for one.
    """
    parsed = decode(body, UnreadableAnswer)
    _refuse_failed(parsed)
    try:
        response = msgspec.convert(parsed, _Response)
    except msgspec.ValidationError as error:
        raise UnreadableAnswer(str(error)) from error
    parts = [part for item in response.output if item.type == "message" for part in item.content or ()]
    calls = [_call(item, raw) for item, raw in zip(response.output, parsed["output"], strict=True)]
    called = tuple(call for call in calls if call is not None)
    return Reply(
        content="".join(part.text or "" for part in parts),
        refusal="".join(part.refusal or "" for part in parts),
        calls=called,
        finish=_finish(response, "tool_calls" if called else "stop"),
        tokens=(response.usage.output_tokens or 0) if response.usage else 0,
        prompt=(response.usage.input_tokens or 0) if response.usage else 0,
        margin=token_margin([token for part in parts for token in part.logprobs or ()]),
    )


def _refuse_failed(response: Json) -> None:
    status, error = response.get("status"), response.get("error")
    if status == "failed" or error:
        told = error if isinstance(error, dict) else {"message": str(error or "the response failed")}
        body = encode({"error": told})
        raise UnreadableAnswer(str(told.get("message")), status_of(told), body)
    if status in {"queued", "in_progress"}:
        raise UnreadableAnswer(f"the response is {status}")


def _finish(response: _Response, finished: str) -> str:
    if response.status == "cancelled":
        return "abort"
    if response.status != "incomplete":
        return finished
    reason = (response.incomplete_details and response.incomplete_details.reason) or "length"
    return _FINISHES.get(reason, reason)


def _call(item: _Item, raw: Mapping[str, Any]) -> tuple[str, str] | None:
    if item.type in {"message", "reasoning"}:
        return None
    name = f"{item.namespace}.{item.name}" if item.namespace else item.name or ""
    if item.type == "function_call":
        return name, spelt(item.arguments)
    if item.type == "custom_tool_call":
        return name, spelt(item.input)
    said = {member: value for member, value in raw.items() if member not in _INCIDENTAL}
    return item.type, encode(said).decode()
