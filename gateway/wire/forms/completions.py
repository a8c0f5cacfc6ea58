"""Chat completions and completions: OpenAI's first two forms, which differ in little."""

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from gateway.core.ballot import Reply
from gateway.wire.answers import read_sample
from gateway.wire.body import Body, parse_body
from gateway.wire.chunks import merge, read_stream, split
from gateway.wire.forms import members as of
from gateway.wire.forms.faults import has_error, openai_error
from gateway.wire.forms.form import Asking, Events, Fault, Json
from gateway.wire.splice import splice
from gateway.wire.sse import DONE, EventDecoder, encode_event

_DEFAULT_TOKENS = 16  # of OpenAI's completions, and so of vLLM's, SGLang's and LMDeploy's
_LOGPROBS = (("choices", None, "logprobs"), b"null")


class _Form:
    """What both have in common."""

    def stream_members(self, body: Body) -> dict[str, str]:
        """The client's stream options with `include_usage`, spliced like the body itself."""
        text = body.texts.get("stream_options")
        if text is None or not body.members["stream_options"]:
            return {"stream_options": '{"include_usage":true}'}
        options = parse_body(text.partition(":")[2].strip().encode())
        return {"stream_options": options.forwarded((), {"include_usage": "true"}).decode()}

    def reply(self, body: bytes, content_type: str) -> Reply:
        """The first choice."""
        return read_sample(body, content_type)

    def without_logprobs(self, body: bytes, *, streamed: bool) -> bytes:
        """Every choice's `logprobs` null, as vLLM has it where they were not asked for."""
        if not streamed:
            return splice(body, *_LOGPROBS)
        events = EventDecoder().feed(body)
        return b"".join(encode_event(_without(event.data), event.type) for event in events)

    def plain(self, streamed: bytes) -> bytes:
        """The chunks merged."""
        return msgspec.json.encode(merge(read_stream(streamed)))

    def events(self, body: bytes, *, streamed: bool) -> Events:
        """The chunks; `[DONE]` is the end."""
        stream = read_stream(body) if streamed else split(msgspec.json.decode(body))
        frames, with_usage = (tuple(map(encode_event, some)) for some in (stream.chunks, stream.with_usage))
        return Events(frames, encode_event(DONE), stream.usage, with_usage)

    def error_body(self, fault: Fault) -> bytes:
        """OpenAI's error object."""
        return openai_error(fault)

    def is_error(self, told: Json) -> bool:
        """Whether it is OpenAI's."""
        return has_error(told)

    def error_event(self, error: Json) -> bytes:
        """The same as an event without a type."""
        return encode_event(msgspec.json.encode(error))

    def _asks(self, members: of.Members, max_tokens: int | None, unvoted: str | None) -> Asking:
        options = of.table(members, "stream_options")
        has_tools = bool(of.items(members, "tools") or of.items(members, "functions"))
        return Asking(
            model=of.text(members, "model"),
            seed=of.seed(members),
            greedy=of.number(members, "temperature") == 0,
            streamed=of.flag(members, "stream"),
            include_usage=bool(options.get("include_usage")),
            usage_in_chunks=bool(options.get("continuous_usage_stats")),
            max_tokens=max_tokens,
            has_tools=has_tools and members.get("tool_choice") != "none",
            wants_json=of.is_json_format(members.get("response_format"))
            or of.asks_json(members.get("structured_outputs"))
            or bool(members.get("guided_json")),
            unvoted=_several(members) or unvoted,
        )


class ChatCompletions(_Form):
    """POST /v1/chat/completions."""

    path: ClassVar = "/v1/chat/completions"
    label: ClassVar = "chat_completions"

    def asks(self, members: Mapping[str, Any]) -> Asking:
        """Audio and a search of the web go through unvoted."""
        max_tokens = of.integer(members, "max_completion_tokens") or of.integer(members, "max_tokens")
        return self._asks(members, max_tokens, _beyond_text(members))

    def margin_members(self, body: Body) -> dict[str, str]:
        """`logprobs` is a switch, `top_logprobs` the number."""
        if any(body.members.get(name) is not None for name in ("logprobs", "top_logprobs")):
            return {}
        return {"logprobs": "true", "top_logprobs": "2"}


class Completions(_Form):
    """POST /v1/completions."""

    path: ClassVar = "/v1/completions"
    label: ClassVar = "completions"

    def asks(self, members: Mapping[str, Any]) -> Asking:
        """A list of prompts goes through unvoted; a list of tokens is one prompt. No length is the default."""
        prompt = members.get("prompt")
        is_several = isinstance(prompt, list) and not all(isinstance(token, int) for token in prompt)
        max_tokens = of.integer(members, "max_tokens") or _DEFAULT_TOKENS
        return self._asks(members, max_tokens, "prompt" if is_several else None)

    def margin_members(self, body: Body) -> dict[str, str]:
        """`logprobs` is the number."""
        return {} if body.members.get("logprobs") is not None else {"logprobs": "2"}


def _several(members: of.Members) -> str | None:
    for name in ("n", "best_of"):
        if (of.integer(members, name) or 1) > 1:
            return name
    return "use_beam_search" if members.get("use_beam_search") else None


def _beyond_text(members: of.Members) -> str | None:
    if members.get("audio") or "audio" in of.items(members, "modalities"):
        return "audio"
    return "web_search_options" if members.get("web_search_options") is not None else None


def _without(chunk: bytes) -> bytes:
    return splice(chunk, *_LOGPROBS) if b'"logprobs"' in chunk else chunk


CHAT = ChatCompletions()
COMPLETIONS = Completions()
