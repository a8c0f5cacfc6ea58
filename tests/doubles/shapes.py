"""A scripted answer as vLLM writes it in the later two forms: a response, a message, and their event streams."""

import json
from typing import Any

Json = dict[str, Any]

RESPONSES, MESSAGES = "/v1/responses", "/v1/messages"


def plain(path: str, content: str, index: int) -> bytes:
    """The whole answer, with members that nobody but the client knows."""
    answer = response(content, index) if path == RESPONSES else message(content, index)
    return json.dumps(answer, ensure_ascii=False).encode()


def stream(path: str, content: str, index: int) -> bytes:
    """The same as a stream, one event a character."""
    events = response_events(content, index) if path == RESPONSES else message_events(content, index)
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps(event).encode()) for event in events
    )


def response(content: str, index: int, **members: Any) -> Json:
    part: Json = {"annotations": [], "text": content, "type": "output_text", "logprobs": None}
    item = {
        "id": f"msg_{index}",
        "content": [part],
        "role": "assistant",
        "status": "completed",
        "type": "message",
    }
    usage = {
        "input_tokens": 5, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 3, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 8,
    }  # fmt: skip
    return {
        "id": f"resp_{index}", "created_at": 1764000000, "incomplete_details": None, "model": "m", "object": "response",
        "output": [item], "parallel_tool_calls": True, "temperature": 0.0, "tool_choice": "none", "tools": [],
        "status": "completed", "usage": usage, "kv_transfer_params": {"é": 1.50},
    } | members  # fmt: skip


def response_events(content: str, index: int) -> list[Json]:
    whole = response(content, index)
    item = whole["output"][0]
    begun = whole | {"status": "in_progress", "output": [], "usage": None}
    part, blank = item["content"][0], {"text": "", "logprobs": []}
    empty = {"content": [], "status": "in_progress"}
    at = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    events: list[Json] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": item | empty},
        {"type": "response.content_part.added", **at, "part": part | blank},
        *({"type": "response.output_text.delta", **at, "delta": letter, "logprobs": []} for letter in content),
        {"type": "response.output_text.done", **at, "text": content, "logprobs": []},
        {"type": "response.content_part.done", **at, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": whole},
    ]  # fmt: skip
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


def message(text: str, index: int, **members: Any) -> Json:
    return {
        "id": f"chatcmpl-{index}", "type": "message", "role": "assistant",
        "content": [{"type": "text", "text": text}],
        "model": "m", "stop_reason": "end_turn", "usage": {"input_tokens": 5, "output_tokens": 3},
    } | members  # fmt: skip


def message_events(content: str, index: int) -> list[Json]:
    nothing: Json = {"content": [], "stop_reason": None, "stop_sequence": None}
    begun = message(content, index) | nothing | {"usage": {"input_tokens": 5, "output_tokens": 0}}
    return [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": one}} for one in content),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
         "usage": {"input_tokens": 5, "output_tokens": 3}},
        {"type": "message_stop"},
    ]  # fmt: skip
