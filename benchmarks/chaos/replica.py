"""A replica that breaks when it is told to: `python -m benchmarks.chaos.replica PORT`.

It answers chat completions, plain and streamed. What it says to one question differs from call to call, so that two
votes on it would come to two answers: whoever sees only one has the gateway to thank for it. POST /fault sets what
goes wrong: none, hang (after the head of an answer), reset (in the middle of it) or garbage.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

_PAUSE = 0.02  # seconds before an answer, and between the chunks of a stream
_WORDS = 6


class Replica:
    """One server and what is wrong with it."""

    def __init__(self) -> None:
        self._fault = "none"
        self._calls = 0

    def application(self) -> web.Application:
        """What it serves."""
        app = web.Application(client_max_size=1 << 26)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/version", self._version)
        app.router.add_post("/fault", self._set_fault)
        app.router.add_post("/v1/chat/completions", self._complete)
        return app

    async def _models(self, _request: web.Request) -> web.Response:
        model = {"id": "m", "object": "model", "root": "m", "max_model_len": 4096}
        return web.json_response({"object": "list", "data": [model]})

    async def _version(self, _request: web.Request) -> web.Response:
        return web.json_response({"version": "0.32.0"})

    async def _set_fault(self, request: web.Request) -> web.Response:
        self._fault = await request.text()
        return web.Response(text=self._fault)

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self._calls += 1
        await asyncio.sleep(_PAUSE)
        if self._fault == "garbage":
            return web.Response(body=b"\x00\xff<html>{]", content_type="application/json")
        question = body["messages"][-1]["content"]
        answer = f"{question} is answered by number {self._calls % 3}"
        if self._fault in {"hang", "reset"}:
            return await self._break(request, answer)
        return await (_stream(request, answer) if body.get("stream") else _plain(answer))

    async def _break(self, request: web.Request, answer: str) -> web.StreamResponse:
        """The head, and half of the body."""
        response = web.StreamResponse(headers={"content-type": "application/json"})
        response.content_length = 4 * len(answer)
        await response.prepare(request)
        if self._fault == "reset" and request.transport is not None:
            await response.write(answer.encode())
            request.transport.abort()
        await asyncio.Event().wait()
        return response


async def _plain(answer: str) -> web.Response:
    message = {"role": "assistant", "content": answer}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return web.json_response(_head("chat.completion") | {"choices": [choice], "usage": _usage()})


async def _stream(request: web.Request, answer: str) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    async for chunk in _chunks(answer):
        await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
    await response.write(b"data: [DONE]\n\n")
    return response


async def _chunks(answer: str) -> AsyncIterator[dict[str, Any]]:
    head = _head("chat.completion.chunk")
    words = answer.split(" ")
    pieces = [" ".join(words[:-_WORDS]), *(f" {word}" for word in words[-_WORDS:])]
    for piece in pieces:
        delta = {"role": "assistant", "content": piece}
        yield head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        await asyncio.sleep(_PAUSE)
    yield head | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    yield head | {"choices": [], "usage": _usage()}


def _head(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1764000000, "model": "m"}


def _usage() -> dict[str, int]:
    return {"prompt_tokens": 5, "completion_tokens": _WORDS, "total_tokens": 5 + _WORDS}


if __name__ == "__main__":
    web.run_app(
        Replica().application(),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        print=None,
        handler_cancellation=True,
    )
