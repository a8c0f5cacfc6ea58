"""Messages: Anthropic's form, a list of content blocks.

https://docs.anthropic.com/en/api/messages; vLLM's is entrypoints/anthropic.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from gateway.core.ballot import Reply
from gateway.wire.answers import is_stream, unreadable
from gateway.wire.body import Body
from gateway.wire.chunks import BrokenStream
from gateway.wire.forms import members as of
from gateway.wire.forms.exact import decode, encode
from gateway.wire.forms.faults import anthropic_error, has_error
from gateway.wire.forms.form import Asking, Events, Fault, Json
from gateway.wire.forms.messages_reply import convert_message, read_message
from gateway.wire.forms.messages_stream import merge_message, read_events, split_message
from gateway.wire.replies import UnreadableAnswer
from gateway.wire.sse import encode_event

# What the client runs itself; a tool without a type is its own. Everything else runs on the server, k times.
_CLIENT_TOOLS = ("custom", "bash_2", "text_editor_2", "memory_2", "computer_2")


class Messages:
    """POST /v1/messages."""

    path: ClassVar = "/v1/messages"
    label: ClassVar = "messages"

    def asks(self, members: Mapping[str, Any]) -> Asking:
        """What runs tools on the server, or keeps a container there, goes through unvoted."""
        tools = of.items(members, "tools")
        formats = (of.table(members, "output_config").get("format"), members.get("output_format"))
        return Asking(
            model=of.text(members, "model"),
            seed=of.seed(members),
            greedy=of.number(members, "temperature") == 0,
            streamed=of.flag(members, "stream"),
            include_usage=False,  # it is always there
            usage_in_chunks=False,
            max_tokens=of.integer(members, "max_tokens"),
            has_tools=bool(tools) and of.table(members, "tool_choice").get("type") != "none",
            wants_json=any(map(of.is_json_format, formats)),
            unvoted=_state(members) or _server_tool(tools),
        )

    def stream_members(self, _body: Body) -> dict[str, str]:
        """None: a message always tells its usage."""
        return {}

    def margin_members(self, _body: Body) -> dict[str, str]:
        """None: there are no log-probabilities in this form."""
        return {}

    def reply(self, body: bytes, content_type: str) -> Reply:
        """Text and calls of all blocks."""
        if not is_stream(content_type):
            return read_message(body)
        try:
            return convert_message(merge_message(read_events(body)))
        except BrokenStream as broken:
            raise unreadable(broken, type="error") from broken

    def without_logprobs(self, body: bytes, *, streamed: bool) -> bytes:  # noqa: ARG002  the protocol's
        """The answer as it is."""
        return body

    def plain(self, streamed: bytes) -> bytes:
        """The blocks put together; a tool's input that was cut is empty, since it has to be an object."""
        message = merge_message(read_events(streamed))
        for block in message["content"]:
            if isinstance(block.get("input"), str):
                block["input"] = {}
        return encode(message)

    def events(self, body: bytes, *, streamed: bool) -> Events:
        """The events; `message_stop` is the end."""
        frames = read_events(body) if streamed else split_message(decode(body, UnreadableAnswer))
        encoded = tuple(encode_event(event.data, event.type) for event in frames)
        return Events(encoded[:-1], encoded[-1])

    def error_body(self, fault: Fault) -> bytes:
        """Anthropic's error object."""
        return anthropic_error(fault)

    def is_error(self, told: Json) -> bool:
        """Whether it is Anthropic's."""
        return told.get("type") == "error" and has_error(told)

    def error_event(self, error: Json) -> bytes:
        """The same as an event of type `error`, an upstream's in OpenAI's shape included."""
        return encode_event(encode({"type": "error", **error}), b"error")


def _state(members: of.Members) -> str | None:
    return next((name for name in ("container", "mcp_servers") if members.get(name)), None)


def _server_tool(tools: Iterable[Any]) -> str | None:
    kinds = (tool.get("type") or "custom" if isinstance(tool, dict) else "" for tool in tools)
    return None if all(str(kind).startswith(_CLIENT_TOOLS) for kind in kinds) else "tools"


MESSAGES = Messages()
