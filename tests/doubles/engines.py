"""What LMDeploy and SGLang answer, written after their own code: neither runs without a GPU, so none is recorded.

LMDeploy 0.16: `serve/openai/protocol.py`, `chat_completions/serving.py`, `endpoints/completions.py`. SGLang:
`srt/entrypoints/openai/protocol.py`, `serving_chat.py`, `serving_completions.py`, `sse_utils.py`. A token is a
character here, and its id the character's number.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

from tests.doubles.upstream import Reply

Json = dict[str, Any]
Answer = Callable[..., Reply]

STREAM = {"content-type": "text/event-stream; charset=utf-8"}
_NEXT = 0.5  # how much less probable the second token is, as a logprob
_USAGE = {"prompt_tokens": 5, "total_tokens": 8, "completion_tokens": 3}


def ids(text: str) -> list[int]:
    """The tokens of a text."""
    return [ord(letter) for letter in text]


def lmdeploy(content: str, *, told: bool = False, finish: str = "stop") -> Reply:
    """A chat completion; `told` with token ids and log-probabilities."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": content, "gen_tokens": None, "reasoning_content": None,
                    "tool_calls": None},
        "logprobs": _logprobs(content) if told else None,
        "output_token_logprobs": _pairs(content) if told else None,
        "finish_reason": finish,
        "output_ids": ids(content) if told else None,
        "routed_experts": None,
    }  # fmt: skip
    return _plain({"id": "chatcmpl-3vXb2", "object": "chat.completion", "choices": [choice], "usage": _USAGE})


def lmdeploy_stream(content: str, *, told: bool = False, finish: str = "stop") -> Reply:
    """The same streamed: what is null is left out, but the usage; each delta has the role."""

    def chunk(said: str, finish: str | None = None) -> Json:
        choice: Json = {"index": 0, "delta": {"role": "assistant", "content": said, "tool_calls": []}}
        if told and said:
            choice |= {"logprobs": _logprobs(said), "output_ids": ids(said)}
            choice |= {"output_token_logprobs": _pairs(said)}
        choice |= {"finish_reason": finish} if finish else {}
        return {"id": "chatcmpl-3vXb2", "object": "chat.completion.chunk", **_HEAD, "choices": [choice],
                "usage": None}  # fmt: skip

    if finish == "error":  # the text of the error comes with the end
        return _stream([chunk(content, finish), _last("chatcmpl-3vXb2")])
    return _stream([*map(chunk, content), chunk("", finish), _last("chatcmpl-3vXb2")])


def sglang(content: str, *, told: bool = False, finish: str = "stop") -> Reply:
    """A chat completion; `told` with token ids and log-probabilities."""
    choice: Json = {
        "index": 0,
        "message": {"role": "assistant", "content": content, "reasoning_content": None, "tool_calls": None},
        "logprobs": _logprobs(content) if told else None,
        "finish_reason": finish,
        "matched_stop": 151645,
    }
    if told:
        choice |= {"prompt_token_ids": ids("hello"), "token_ids": ids(content)}
    usage = _USAGE | {"prompt_tokens_details": None, "reasoning_tokens": 0}
    return _plain({"id": "5f2ac6ff0c", "object": "chat.completion", "choices": [choice], "usage": usage,
                   "metadata": {"weight_version": "default"}})  # fmt: skip


def sglang_stream(content: str, *, told: bool = False, finish: str = "stop") -> Reply:
    """The same streamed: each delta has its reasoning, null or not, and each chunk a time of its own."""

    def chunk(at: int, finish: str | None = None, **delta: str) -> Json:
        said = delta.get("content")
        choice: Json = {
            "index": 0,
            "delta": {"reasoning_content": None} | delta,
            "logprobs": _logprobs(said) if told and said else None,
            "finish_reason": finish,
            "matched_stop": 151645 if finish else None,
        }
        choice |= {"token_ids": ids(said)} if told and said else {}
        return {"id": "5f2ac6ff0c", "object": "chat.completion.chunk", **_HEAD, "created": 1764000000 + at,
                "choices": [choice]}  # fmt: skip

    said = [chunk(1 + at, content=letter) for at, letter in enumerate(content)]
    return _stream(
        [chunk(0, role="assistant", content=""), *said, chunk(len(said), finish), _last("5f2ac6ff0c")]
    )


ENGINES: dict[str, tuple[Answer, Answer]] = {
    "lmdeploy": (lmdeploy, lmdeploy_stream),
    "sglang": (sglang, sglang_stream),
}

_HEAD: Json = {"created": 1764000000, "model": "m"}


def _logprobs(text: str) -> Json:
    def token(letter: str, logprob: float) -> Json:
        return {"token": letter, "bytes": list(letter.encode()), "logprob": logprob}

    return {"content": [
        {**token(letter, -0.25), "top_logprobs": [token(letter, -0.25), token("x", -0.25 - _NEXT)]}
        for letter in text
    ]}  # fmt: skip


def _pairs(text: str) -> list[tuple[float, int]]:
    return [(-0.25, number) for number in ids(text)]


def _last(name: str) -> Json:
    return {"id": name, "object": "chat.completion.chunk", **_HEAD, "choices": [], "usage": _USAGE}


def _plain(made: Json) -> Reply:
    return Reply(body=json.dumps(made | _HEAD).encode())


def _stream(chunks: Iterable[Json]) -> Reply:
    events = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
    return Reply(body="".join([*events, "data: [DONE]\n\n"]).encode(), headers=STREAM)
