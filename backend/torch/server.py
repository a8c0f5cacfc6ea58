"""The HTTP edge: OpenAI's routes over an `Engine`."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry

from backend.errors import EngineError, RequestError
from backend.torch import replies
from backend.torch.build import new_scheduler
from backend.torch.config import EngineConfig
from backend.torch.engine import Engine
from backend.torch.error_replies import STARTED, engine_error_body, error_middleware
from backend.torch.generation import Update
from backend.torch.metrics import Metrics
from backend.torch.model import Model
from backend.torch.operations import ENGINE, METRICS, SERVED, Served, add_operations, json_response
from backend.torch.protocol import Call, read_chat, read_completion
from backend.torch.tokenizer import Tokenizer

_MAX_BODY = 16 * 2**20

_Reader = Callable[[bytes, Tokenizer, int], Call]


def create_app(model: Model, config: EngineConfig, name: str, *, grace: float = 0) -> web.Application:
    """Serve `model` under `name`; on shutdown running answers get `grace` seconds.

    Run it with `handler_cancellation=True`, or clients that leave go unnoticed.

    Raises:
        UsageError: there is too little memory, or the model cannot be run.
    """

    async def drain(app: web.Application) -> None:
        await app[ENGINE].drain(grace)

    app = web.Application(middlewares=[error_middleware], client_max_size=_MAX_BODY)
    app[SERVED] = Served(name, model, int(time.time()), config.batch_invariant)
    app[METRICS] = Metrics(CollectorRegistry(), name)
    app.cleanup_ctx.append(_running_engine(model, config))
    app.on_shutdown.append(drain)
    app.router.add_post("/v1/chat/completions", _chat)
    app.router.add_post("/v1/completions", _completion)
    add_operations(app)
    return app


def _running_engine(model: Model, config: EngineConfig) -> Callable[[web.Application], AsyncIterator[None]]:
    scheduler = new_scheduler(model, config)

    async def context(app: web.Application) -> AsyncIterator[None]:
        max_unfinished = config.max_batch_size + config.max_waiting
        async with Engine(model, scheduler, app[METRICS], max_unfinished) as engine:
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
    async with request.app[ENGINE].generate(call.requests) as updates:
        async for index, update in updates:
            answers[index].add(update)
    return json_response(replies.whole_reply(head, shape, call, answers))


async def _stream(
    request: web.Request, head: replies.Head, shape: replies.Shape, call: Call
) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
    )
    # Queued first: a full queue must still become a status.
    async with request.app[ENGINE].generate(call.requests) as updates:
        await response.prepare(request)
        request[STARTED] = True
        try:
            async for chunk in _chunks(updates, head, shape, call):
                await response.write(_event(chunk))
        except EngineError as error:
            await response.write(_event(engine_error_body(error)))
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


async def _chunks(
    updates: AsyncIterator[tuple[int, Update]], head: replies.Head, shape: replies.Shape, call: Call
) -> AsyncIterator[replies.Json]:
    answers = [replies.Answer() for _ in call.requests]
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


def _event(content: replies.Json) -> bytes:
    return b"data: " + msgspec.json.encode(content) + b"\n\n"
