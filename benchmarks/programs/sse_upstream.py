"""Streams that say when each of their chunks was sent: `sse_upstream.py PORT`.

A prompt with "64 chunks 20 ms apart" in it gets just that: every chunk's text is "INDEX:NANOSECONDS ", by the
monotonic clock that all processes of a machine share.
"""

import asyncio
import re
import sys
import time

import uvloop
from aiohttp import web

_WANTED = re.compile(rb"(\d+) chunks (\d+) ms apart")
_HEAD = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1760000000,"model":"m","choices":'
)
_CHUNK = _HEAD + b'[{"index":0,"delta":{"content":"%d:%d "},"logprobs":null,"finish_reason":null}]}\n\n'
_END = _HEAD + b'[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
_WHOLE = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1760000000,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "42"},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}


async def complete(request: web.Request) -> web.StreamResponse:
    """The stream that the prompt asks for; a short whole answer to any other."""
    wanted = _WANTED.search(await request.read())
    if wanted is None:
        return web.json_response(_WHOLE)
    response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    began = time.monotonic()
    for index in range(int(wanted[1])):
        await asyncio.sleep(began + index * int(wanted[2]) / 1000 - time.monotonic())
        await response.write(_CHUNK % (index, time.monotonic_ns()))
    await response.write(_END)
    return response


async def models(_request: web.Request) -> web.Response:
    """One model."""
    model = {"id": "m", "object": "model", "created": 1760000000, "owned_by": "vllm", "max_model_len": 32768}
    return web.json_response({"object": "list", "data": [model]})


async def other(_request: web.Request) -> web.Response:
    """What peers look at before they use an upstream."""
    facts = {"version": "0.20.0", "model_id": "m", "model_path": "m", "is_generation": True}
    return web.json_response(facts)


if __name__ == "__main__":
    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/v1/chat/completions", complete)
    app.router.add_get("/v1/models", models)
    app.router.add_get("/{path:.*}", other)
    uvloop.install()
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
