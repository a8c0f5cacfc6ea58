"""The HTTP edge: OpenAI's routes over an `Engine`."""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import msgspec
import torch
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from backend.errors import EngineError, RequestError
from backend.torch import replies
from backend.torch.config import EngineConfig
from backend.torch.engine import Engine
from backend.torch.error_replies import STARTED, error_body, error_middleware
from backend.torch.metrics import Metrics
from backend.torch.model import Model
from backend.torch.protocol import Call, read_chat, read_completion
from backend.torch.tokenizer import Tokenizer

_MAX_BODY = 16 * 2**20

_Reader = Callable[[bytes, Tokenizer, int], Call]


@dataclass(frozen=True, slots=True)
class Served:
    """What `/v1/models` says; `created` in Unix seconds, when the server started."""

    name: str
    model: Model
    created: int


SERVED = web.AppKey("served", Served)
ENGINE = web.AppKey("engine", Engine)
METRICS = web.AppKey("metrics", Metrics)


def create_app(model: Model, config: EngineConfig, name: str, *, grace: float = 0) -> web.Application:
    """Serve `model` under `name`; on shutdown running answers get `grace` seconds.

    Run it with `handler_cancellation=True`, or clients that leave go unnoticed.
    """

    async def drain(app: web.Application) -> None:
        await app[ENGINE].drain(grace)

    app = web.Application(middlewares=[error_middleware], client_max_size=_MAX_BODY)
    app[SERVED] = Served(name, model, int(time.time()))
    app[METRICS] = Metrics(CollectorRegistry(), name)
    app.cleanup_ctx.append(_running_engine(model, config))
    app.on_shutdown.append(drain)
    app.router.add_post("/v1/chat/completions", _chat)
    app.router.add_post("/v1/completions", _completion)
    app.router.add_get("/v1/models", _models)
    app.router.add_get("/health", _health)
    app.router.add_get("/version", _version)
    app.router.add_get("/metrics", _metrics)
    return app


def _running_engine(model: Model, config: EngineConfig) -> Callable[[web.Application], AsyncIterator[None]]:
    async def context(app: web.Application) -> AsyncIterator[None]:
        engine = Engine(
            model,
            app[METRICS],
            max_batch_size=config.max_batch_size,
            prefill_tokens=config.prefill_tokens,
        )
        async with engine:
            app[ENGINE] = engine
            yield

    return context


async def _chat(request: web.Request) -> web.StreamResponse:
    return await _answer(request, read_chat, replies.ChatShape(request.app[SERVED].model.tokenizer))


async def _completion(request: web.Request) -> web.StreamResponse:
    tokenizer = request.app[SERVED].model.tokenizer
    return await _answer(request, read_completion, replies.CompletionShape(tokenizer))


async def _answer(request: web.Request, read: _Reader, shape: replies.Shape) -> web.StreamResponse:
    served = request.app[SERVED]
    raw = await request.read()
    # A body may hold megabytes of prompt: tokenizing it must not stop the event loop.
    call = await asyncio.to_thread(read, raw, served.model.tokenizer, served.model.max_len)
    if call.model not in {None, served.name}:
        raise RequestError(
            f"the model `{call.model}` does not exist", param="model", code="model_not_found", status=404
        )
    head = replies.Head(shape.id_prefix + uuid.uuid4().hex, int(time.time()), served.name)
    if call.stream:
        return await _stream(request, head, shape, call)
    answers = [replies.Answer() for _ in call.requests]
    async with aclosing(request.app[ENGINE].generate(call.requests)) as updates:
        async for index, update in updates:
            answers[index].add(update)
    return _json(replies.whole_reply(head, shape, call, answers))


async def _stream(
    request: web.Request, head: replies.Head, shape: replies.Shape, call: Call
) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
    )
    await response.prepare(request)
    request[STARTED] = True
    try:
        async with aclosing(_chunks(request.app[ENGINE], head, shape, call)) as chunks:
            async for chunk in chunks:
                await response.write(_event(chunk))
    except EngineError as error:
        await response.write(_event(error_body(str(error), "server_error")))
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


async def _chunks(
    engine: Engine, head: replies.Head, shape: replies.Shape, call: Call
) -> AsyncGenerator[replies.Json]:
    answers = [replies.Answer() for _ in call.requests]
    async with aclosing(engine.generate(call.requests)) as updates:
        async for index, update in updates:
            answer = answers[index]
            opening = None if answer.tokens else replies.opening_chunk(head, shape, index)
            grown = replies.chunk(head, shape, call, index, update, len(answer.text))
            answer.add(update)
            for chunk in (opening, grown):
                if chunk is not None:
                    yield chunk
    if call.include_usage:
        yield replies.usage_chunk(head, shape, call, answers)


async def _models(request: web.Request) -> web.Response:
    served = request.app[SERVED]
    entry = {
        "id": served.name,
        "object": "model",
        "created": served.created,
        "owned_by": "torch",
        "root": served.model.root,
        "parent": None,
        "max_model_len": served.model.max_len,
    }
    return _json({"object": "list", "data": [entry]})


async def _health(request: web.Request) -> web.Response:
    return web.Response(status=200 if request.app[ENGINE].is_alive else 503)


async def _version(request: web.Request) -> web.Response:
    """All that can change an answer beside the weights, in one string: who compares it sees every change."""
    model = request.app[SERVED].model
    runtime = f"torch.{torch.__version__}.{model.dtype_name}.{model.device.type}"
    return _json({"version": f"{_own_version()}+{runtime.replace('+', '.')}", "engine": "torch"})


async def _metrics(request: web.Request) -> web.Response:
    text = generate_latest(request.app[METRICS].registry)
    return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})


def _own_version() -> str:
    try:
        return version("self-consistency-gateway")
    except PackageNotFoundError:
        return "0"


def _event(content: replies.Json) -> bytes:
    return b"data: " + msgspec.json.encode(content) + b"\n\n"


def _json(content: replies.Json) -> web.Response:
    return web.Response(body=msgspec.json.encode(content), content_type="application/json")
