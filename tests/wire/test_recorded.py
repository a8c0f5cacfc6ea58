"""What a real vLLM answered (tests/vllm/record.py), before our readers."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.core.ballot import Reply
from gateway.wire.answers import read_sample

RECORDED = Path(__file__).parent / "recorded"
INDEX: dict[str, dict[str, Any]] = json.loads((RECORDED / "index.json").read_text())

_CUT = Reply("3 + 2 = 5\n##", finish="length", tokens=12)
_CALL = (("add", '{"sum":"5"}'),)
SAYS = {
    "chat": _CUT,
    "chat_stream": Reply("3 + 2 = 5\n##", finish="length"),
    "chat_stream_usage": _CUT,
    "chat_end": Reply("3 + 2 = 5\n#### 5", finish="stop", tokens=17),
    "chat_tool": Reply("", calls=_CALL, finish="stop", tokens=12),
    "chat_tool_stream": Reply("", calls=_CALL, finish="stop", tokens=12),
    "chat_tool_required": Reply("", calls=(("add", '{"sum": "5"}'),), finish="tool_calls", tokens=42),
    "chat_schema": Reply('{"sum":"5"}', finish="stop", tokens=12),
    "chat_salt": Reply("3 ", finish="length", tokens=2),
    "completions": _CUT,
    "completions_stream": _CUT,
}


def recorded(name: str) -> bytes:
    """The body of a recorded answer."""
    suffix = "sse" if INDEX[name]["type"].startswith("text/event-stream") else "json"
    return (RECORDED / f"{name}.{suffix}").read_bytes()


@pytest.mark.parametrize("name", SAYS)
def test_what_vllm_said(name: str) -> None:
    """A real vLLM's completions, plain and streamed, are read for what they say."""
    reply = read_sample(recorded(name), INDEX[name]["type"])
    without_margin = Reply(reply.content, reply.refusal, reply.calls, reply.finish, reply.tokens)
    assert SAYS[name] == without_margin


@pytest.mark.parametrize("name", [name for name, answer in INDEX.items() if answer["status"] >= 400])
def test_what_vllm_refused(name: str) -> None:
    """Every refusal is JSON of one of three shapes: OpenAI's, Anthropic's, or FastAPI's for a path it does not have."""
    body = json.loads(recorded(name))
    assert body.keys() in ({"error"}, {"type", "error"}, {"detail"})
