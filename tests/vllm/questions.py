"""What is asked of a real vLLM to see the shapes of its answers: one table, each row one exchange."""

from dataclasses import dataclass
from typing import Any

SUM = "What is 2 + 3?"
USER = [{"role": "user", "content": SUM}]
CHAT = {"model": "demo", "messages": USER, "temperature": 0, "max_tokens": 12}
TEXT = {"model": "demo", "prompt": f"<|user|>{SUM}<|assistant|>", "temperature": 0, "max_tokens": 12}
RESPONSES = {"model": "demo", "input": SUM, "temperature": 0, "max_output_tokens": 12}
MESSAGES = {"model": "demo", "messages": USER, "temperature": 0, "max_tokens": 12}

_SCHEMA = {
    "type": "object",
    "properties": {"sum": {"type": "string", "enum": ["5"]}},
    "required": ["sum"],
    "additionalProperties": False,
}
_FUNCTION = {"name": "add", "description": "Adds.", "parameters": _SCHEMA, "strict": True}
TOOLS = [{"type": "function", "function": _FUNCTION}]
_NAMED = {"type": "function", "function": {"name": "add"}}
_FORMAT = {"type": "json_schema", "json_schema": {"name": "sum", "schema": _SCHEMA, "strict": True}}
_USAGE = {"stream": True, "stream_options": {"include_usage": True}}
_LONG = "2 + " * 2000
_MESSAGES_TOOLS = [{"name": "add", "description": "Adds.", "input_schema": _SCHEMA, "strict": True}]


@dataclass(frozen=True)
class Asked:
    """One request: a GET if it has no body."""

    path: str
    body: dict[str, Any] | None = None

    @property
    def is_stream(self) -> bool:
        return bool(self.body and self.body.get("stream"))


_CHAT, _COMPLETIONS = "/v1/chat/completions", "/v1/completions"
_RESPONSES, _MESSAGES = "/v1/responses", "/v1/messages"

QUESTIONS = {
    "models": Asked("/v1/models"),
    "version": Asked("/version"),
    "not_found": Asked("/server_info"),
    "chat": Asked(_CHAT, CHAT),
    "chat_stream": Asked(_CHAT, CHAT | {"stream": True}),
    "chat_stream_usage": Asked(_CHAT, CHAT | _USAGE),
    "chat_end": Asked(_CHAT, CHAT | {"max_tokens": 40}),
    "chat_logprobs": Asked(
        _CHAT, CHAT | {"max_tokens": 2, "logprobs": True, "top_logprobs": 2, "return_token_ids": True}
    ),
    "chat_tool": Asked(_CHAT, CHAT | {"tools": TOOLS, "tool_choice": _NAMED, "max_tokens": 90}),
    "chat_tool_stream": Asked(
        _CHAT, CHAT | {"tools": TOOLS, "tool_choice": _NAMED, "max_tokens": 90} | _USAGE
    ),
    "chat_tool_required": Asked(
        _CHAT,
        CHAT | {"tools": TOOLS, "tool_choice": "required", "parallel_tool_calls": False, "max_tokens": 90},
    ),
    "chat_schema": Asked(_CHAT, CHAT | {"response_format": _FORMAT, "max_tokens": 40}),
    "chat_salt": Asked(_CHAT, CHAT | {"cache_salt": "one", "top_k": 1, "seed": 1, "max_tokens": 2}),
    "chat_unknown_model": Asked(_CHAT, CHAT | {"model": "nobody"}),
    "chat_bad_temperature": Asked(_CHAT, CHAT | {"temperature": -1}),
    "chat_bad_type": Asked(_CHAT, CHAT | {"max_tokens": "many"}),
    "chat_too_long": Asked(_CHAT, CHAT | {"messages": [{"role": "user", "content": _LONG}]}),
    "chat_greedy_n": Asked(_CHAT, CHAT | {"n": 3}),
    "chat_bad_salt": Asked(_CHAT, CHAT | {"cache_salt": ""}),
    "completions": Asked(_COMPLETIONS, TEXT),
    "completions_stream": Asked(_COMPLETIONS, TEXT | _USAGE),
    "completions_logprobs": Asked(
        _COMPLETIONS, TEXT | {"max_tokens": 2, "logprobs": 2, "return_token_ids": True}
    ),
    "responses": Asked(_RESPONSES, RESPONSES),
    "responses_end": Asked(_RESPONSES, RESPONSES | {"max_output_tokens": 40}),
    "responses_stream": Asked(_RESPONSES, RESPONSES | {"stream": True}),
    "responses_schema": Asked(
        _RESPONSES,
        RESPONSES
        | {
            "max_output_tokens": 40,
            "text": {"format": {"type": "json_schema", "name": "sum", "schema": _SCHEMA, "strict": True}},
        },
    ),
    "responses_tool": Asked(
        _RESPONSES,
        RESPONSES
        | {
            "max_output_tokens": 90,
            "tools": [{"type": "function"} | _FUNCTION],
            "tool_choice": {"type": "function", "name": "add"},
        },
    ),
    "responses_tool_stream": Asked(
        _RESPONSES,
        RESPONSES
        | {
            "max_output_tokens": 90,
            "tools": [{"type": "function"} | _FUNCTION],
            "tool_choice": {"type": "function", "name": "add"},
            "stream": True,
        },
    ),
    "responses_seed": Asked(_RESPONSES, RESPONSES | {"seed": 1, "max_output_tokens": 2}),
    "responses_salt": Asked(_RESPONSES, RESPONSES | {"cache_salt": "one", "max_output_tokens": 2}),
    "responses_logprobs": Asked(
        _RESPONSES,
        RESPONSES | {"include": ["message.output_text.logprobs"], "top_logprobs": 2, "max_output_tokens": 2},
    ),
    "responses_unknown_model": Asked(_RESPONSES, RESPONSES | {"model": "nobody"}),
    "responses_unknown_model_stream": Asked(_RESPONSES, RESPONSES | {"model": "nobody", "stream": True}),
    "responses_bad_type": Asked(_RESPONSES, RESPONSES | {"max_output_tokens": "many"}),
    "responses_too_long": Asked(_RESPONSES, RESPONSES | {"input": _LONG}),
    "responses_previous": Asked(_RESPONSES, RESPONSES | {"previous_response_id": "resp_none"}),
    "messages": Asked(_MESSAGES, MESSAGES),
    "messages_end": Asked(_MESSAGES, MESSAGES | {"max_tokens": 40}),
    "messages_stream": Asked(_MESSAGES, MESSAGES | {"stream": True}),
    "messages_stop": Asked(_MESSAGES, MESSAGES | {"stop_sequences": ["="]}),
    "messages_tool": Asked(
        _MESSAGES,
        MESSAGES
        | {"max_tokens": 90, "tools": _MESSAGES_TOOLS, "tool_choice": {"type": "tool", "name": "add"}},
    ),
    "messages_tool_stream": Asked(
        _MESSAGES,
        MESSAGES
        | {
            "max_tokens": 90,
            "tools": _MESSAGES_TOOLS,
            "tool_choice": {"type": "tool", "name": "add"},
            "stream": True,
        },
    ),
    "messages_seed": Asked(_MESSAGES, MESSAGES | {"seed": 1, "max_tokens": 2}),
    "messages_salt": Asked(_MESSAGES, MESSAGES | {"cache_salt": "one", "max_tokens": 2}),
    "messages_unknown_model": Asked(_MESSAGES, MESSAGES | {"model": "nobody"}),
    "messages_unknown_model_stream": Asked(_MESSAGES, MESSAGES | {"model": "nobody", "stream": True}),
    "messages_bad_type": Asked(_MESSAGES, MESSAGES | {"max_tokens": "many"}),
    "messages_without_max_tokens": Asked(
        _MESSAGES, {name: value for name, value in MESSAGES.items() if name != "max_tokens"}
    ),
    "messages_too_long": Asked(_MESSAGES, MESSAGES | {"messages": [{"role": "user", "content": _LONG}]}),
    "count_tokens": Asked("/v1/messages/count_tokens", {"model": "demo", "messages": USER}),
}
