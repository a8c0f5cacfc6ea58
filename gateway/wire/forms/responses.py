"""Responses: OpenAI's later form, a list of items instead of a message.

https://platform.openai.com/docs/api-reference/responses; vLLM's is entrypoints/openai/responses.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from gateway.core.ballot import Reply
from gateway.wire.answers import is_stream, unreadable
from gateway.wire.body import Body
from gateway.wire.chunks import BrokenStream
from gateway.wire.forms import members as of
from gateway.wire.forms.exact import decode, encode
from gateway.wire.forms.faults import has_error, openai_error
from gateway.wire.forms.form import Asking, Events, Fault, Json
from gateway.wire.forms.responses_reply import read_response
from gateway.wire.forms.responses_stream import ending, read_events, split_response
from gateway.wire.replies import UnreadableAnswer
from gateway.wire.splice import Path, splice
from gateway.wire.sse import encode_event

INCLUDE_LOGPROBS = "message.output_text.logprobs"

# What the client runs itself. Everything else runs on the server, and would run k times.
_CLIENT_TOOLS = frozenset({"function", "custom", "namespace"})

# Where log-probabilities are, by the type of the event; an item's are in each part of its content.
_Cuts = tuple[tuple[Path, bytes], ...]
_IN_ITEM: Path = ("content", None, "logprobs")
_EMPTY = b"[]"


def _in_response(*before: str) -> _Cuts:
    return (
        ((*before, "output", None, *_IN_ITEM), _EMPTY),
        ((*before, "top_logprobs"), b"null"),
    )


_LOGPROBS: Mapping[bytes, _Cuts] = {
    b"response.output_text.delta": ((("logprobs",), _EMPTY),),
    b"response.output_text.done": ((("logprobs",), _EMPTY),),
    b"response.content_part.added": ((("part", "logprobs"), _EMPTY),),
    b"response.content_part.done": ((("part", "logprobs"), _EMPTY),),
    b"response.output_item.added": ((("item", *_IN_ITEM), _EMPTY),),
    b"response.output_item.done": ((("item", *_IN_ITEM), _EMPTY),),
}


class Responses:
    """POST /v1/responses."""

    path: ClassVar = "/v1/responses"
    label: ClassVar = "responses"

    def asks(self, members: Mapping[str, Any]) -> Asking:
        """What is stored, goes on from something stored, or runs tools on the server goes through unvoted.

        `store` counts where it is asked for: left out, OpenAI stores and most engines do not.
        """
        tools = of.items(members, "tools")
        return Asking(
            model=of.text(members, "model"),
            seed=of.seed(members),
            greedy=of.number(members, "temperature") == 0,
            streamed=of.flag(members, "stream"),
            include_usage=False,  # it is always there
            usage_in_chunks=False,
            max_tokens=of.integer(members, "max_output_tokens"),
            has_tools=bool(tools) and members.get("tool_choice") != "none",
            wants_json=of.is_json_format(of.table(members, "text").get("format"))
            or of.asks_json(members.get("structured_outputs")),
            unvoted=_state(members) or _server_tool(tools),
        )

    def stream_members(self, _body: Body) -> dict[str, str]:
        """None: a response always tells its usage."""
        return {}

    def margin_members(self, body: Body) -> dict[str, str]:
        """`include` is the switch, `top_logprobs` the number."""
        included = body.members.get("include") or []
        if not isinstance(included, list) or INCLUDE_LOGPROBS in included or body.members.get("top_logprobs"):
            return {}
        return {"include": encode([*included, INCLUDE_LOGPROBS]).decode(), "top_logprobs": "2"}

    def reply(self, body: bytes, content_type: str) -> Reply:
        """Text and calls of all items; of a stream, those of the response in its last event."""
        if not is_stream(content_type):
            return read_response(body)
        try:
            return read_response(ending(read_events(body)))
        except BrokenStream as broken:
            raise unreadable(broken) from broken

    def without_logprobs(self, body: bytes, *, streamed: bool) -> bytes:
        """Every part's `logprobs` an empty list, and `top_logprobs` null."""
        if not streamed:
            return _cut(body, _in_response())
        events = read_events(body)
        return b"".join(encode_event(_cut(event.data, _cuts(event.type)), event.type) for event in events)

    def plain(self, streamed: bytes) -> bytes:
        """The response in the last event, byte for byte if it has its output."""
        return ending(read_events(streamed))

    def events(self, body: bytes, *, streamed: bool) -> Events:
        """The events; the one with the whole response is the end."""
        frames = read_events(body) if streamed else split_response(decode(body, UnreadableAnswer))
        encoded = tuple(encode_event(event.data, event.type) for event in frames)
        return Events(encoded[:-1], encoded[-1])

    def error_body(self, fault: Fault) -> bytes:
        """OpenAI's error object."""
        return openai_error(fault)

    def is_error(self, told: Json) -> bool:
        """Whether it is OpenAI's."""
        return has_error(told)

    def error_event(self, error: Json) -> bytes:
        """Both shapes in one: flat, as the reference has it, and nested, as OpenAI sends it.

        openai-python raises only for the nested one (openai-python#2487).
        """
        told = error.get("error")
        named = (
            {name: told.get(name) for name in ("code", "message", "param")} if isinstance(told, dict) else {}
        )
        event = {"type": "error", **named, "sequence_number": 0, "error": told}
        return encode_event(encode(event), b"error")


def _state(members: of.Members) -> str | None:
    for name in ("background", "conversation", "previous_response_id", "store"):
        if members.get(name):
            return name
    return None


def _server_tool(tools: Iterable[Any]) -> str | None:
    is_ours = (isinstance(tool, dict) and tool.get("type") in _CLIENT_TOOLS for tool in tools)
    return None if all(is_ours) else "tools"


def _cuts(kind: bytes) -> _Cuts:
    return _LOGPROBS.get(kind) or _in_response("response")


def _cut(payload: bytes, cuts: _Cuts) -> bytes:
    if b"logprobs" in payload:
        for path, value in cuts:
            payload = splice(payload, path, value)
    return payload


RESPONSES = Responses()
