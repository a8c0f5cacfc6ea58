"""A scripted OpenAI upstream: a real server on port 0 that answers as its list says.

Each entry of `answers` is taken by one request, in order, round the circle:

* a string: a completion with that content
* an int: that HTTP status with an OpenAI error
* `Reply(...)`: exact status, headers, body
* `Paced(...)`: a stream that stops in the middle until it is let go
* `HANG`, `RESET`, `HALF`, `ENDLESS`, `HTML`: what servers do when they break

`gates` holds answers back: each sample waits until its gate is opened, so that a test decides who arrives first.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.doubles import shapes

HANG, RESET, HALF, ENDLESS, HTML = "\0hang", "\0reset", "\0half", "\0endless", "\0html"

MODELS = {"object": "list", "data": [{"id": "m", "object": "model", "root": "m", "max_model_len": 4096}]}


@dataclass(frozen=True)
class Reply:
    """An answer to the letter."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    chunked: bool = False

    def response(self) -> web.Response:
        made = web.Response(status=self.status, body=self.body, headers=self.headers)
        if self.chunked:
            made.enable_chunked_encoding()
        return made


@dataclass(frozen=True)
class Paced:
    """A stream that stops after so many letters of its content until `go` is set; then it goes on, or breaks off."""

    content: str
    letters: int
    go: asyncio.Event = field(default_factory=asyncio.Event)
    breaks: bool = False


Answer = str | int | Reply | Paced


@dataclass
class Seen:
    """One request as the upstream saw it."""

    path: str
    headers: dict[str, str]
    raw: bytes
    names: list[str] = field(default_factory=list)  # of the header's fields, as often as they came
    closed: asyncio.Event = field(default_factory=asyncio.Event)  # the client left before the answer

    @property
    def body(self) -> Any:
        return json.loads(self.raw)


class Upstream:
    """The double. `seen` grows with each completion asked for; `arrived` is notified of it."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.answers: list[Answer] = list(answers)
        self.seen: list[Seen] = []
        self.arrived = asyncio.Condition()
        self.gates: dict[int, asyncio.Event] = {}
        self.models: Reply = Reply(body=json.dumps(MODELS).encode())
        self.version: Reply = Reply(body=b'{"version":"0.32.0"}')
        self.openapi: Reply = Reply(404, b'{"detail":"Not Found"}')
        self.others: dict[str, Reply] = {}  # answers to what is no completion, by path
        self.looks = 0  # requests for the models
        self.passed: list[str] = []  # method and path of what is no completion and no look
        self.hidden_from: set[str] = set()  # gateways whose looks find nothing here, by their `x-gateway`
        self.url = ""

    async def asked(self, number: int) -> Sequence[Seen]:
        """Wait until this many completions were asked for."""
        async with self.arrived:
            await self.arrived.wait_for(lambda: len(self.seen) >= number)
        return self.seen

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        seen = Seen(
            request.path_qs,
            {k.lower(): v for k, v in request.headers.items()},
            await request.read(),
            [name.lower() for name in request.headers],
        )
        async with self.arrived:
            index = len(self.seen)
            self.seen.append(seen)
            self.arrived.notify_all()
        try:
            if index in self.gates:
                await self.gates[index].wait()
            return await self._answer(request, seen, self.answers[index % len(self.answers)], index)
        except (asyncio.CancelledError, ConnectionError):  # told by the loop, or by a write that failed
            seen.closed.set()
            raise

    async def _answer(
        self, request: web.Request, seen: Seen, answer: Answer, index: int
    ) -> web.StreamResponse:
        if isinstance(answer, str) and answer in {HANG, RESET, HALF, ENDLESS}:
            return await _break(request, str(answer))
        if answer == HTML:
            return web.Response(text="<html>502 Bad Gateway</html>", content_type="text/html")
        if isinstance(answer, Reply):
            return answer.response()
        if isinstance(answer, Paced):
            return await _pace(request, answer, index)
        if isinstance(answer, int):
            error = {"message": f"scripted {answer}", "type": "scripted", "param": None, "code": answer}
            return web.json_response({"error": error}, status=answer, headers={"retry-after": "7"})
        return await _say(request, seen.body, answer, index)

    async def _other(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("x-gateway") in self.hidden_from:
            return web.Response(status=503)
        self.looks += request.path == "/v1/models"
        known = {
            "/v1/models": self.models,
            "/version": self.version,
            "/openapi.json": self.openapi,
        }.get(request.path)
        if known is not None:
            return known.response()
        self.passed.append(f"{request.method} {request.path_qs}")
        if (other := self.others.get(request.path)) is not None:
            return other.response()
        return web.json_response(
            {"path": request.path_qs, "method": request.method, "body": await request.text()}
        )


def plain(content: str, index: int, *, is_chat: bool = True) -> bytes:
    """A whole answer as vLLM writes it, with members that nobody but the client knows."""
    choice: dict[str, Any] = {"index": 0, "logprobs": None, "finish_reason": "stop", "stop_reason": None}
    choice |= {"message": {"role": "assistant", "content": content}} if is_chat else {"text": content}
    return json.dumps({
        "id": f"cmpl-{index}", "object": "chat.completion" if is_chat else "text_completion", "created": 1764000000,
        "model": "m", "choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8},
        "kv_transfer_params": {"é": 1.50},
    }, ensure_ascii=False).encode()  # fmt: skip


def chunks(content: str, index: int, *, is_chat: bool = True) -> list[bytes]:
    """The same answer as the payloads of a stream, one chunk a character."""
    head = {"id": f"cmpl-{index}", "object": "chat.completion.chunk" if is_chat else "text_completion",
            "created": 1764000000, "model": "m"}  # fmt: skip

    def chunk(said: str | None, finish: str | None = None, role: str | None = None) -> bytes:
        delta = {name: value for name, value in (("role", role), ("content", said)) if value is not None}
        choice: dict[str, Any] = {"index": 0, "logprobs": None, "finish_reason": finish}
        choice |= {"delta": delta} if is_chat else {"text": said or ""}
        return json.dumps({**head, "choices": [choice]}).encode()

    usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    first = [chunk("", role="assistant")] if is_chat else []
    return [*first, *(chunk(letter) for letter in content), chunk(None, finish="stop"),
            json.dumps({**head, "choices": [], "usage": usage}).encode(), b"[DONE]"]  # fmt: skip


async def _say(request: web.Request, body: Any, content: str, index: int) -> web.StreamResponse:
    """This content, in the form of the path, plain or streamed."""
    path, is_chat = request.path, "messages" in body
    if path in {shapes.RESPONSES, shapes.MESSAGES}:
        if body.get("stream"):
            return web.Response(body=shapes.stream(path, content, index), content_type="text/event-stream")
        return web.Response(body=shapes.plain(path, content, index), content_type="application/json")
    if body.get("stream"):
        return await _stream(request, chunks(content, index, is_chat=is_chat))
    return web.Response(body=plain(content, index, is_chat=is_chat), content_type="application/json")


async def _stream(request: web.Request, payloads: Sequence[bytes]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    for payload in payloads:
        await response.write(b"data: " + payload + b"\n\n")
    await response.write_eof()
    return response


async def _pace(request: web.Request, paced: Paced, index: int) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    before, frames = _frames(request.path, paced.content, index)
    for at, frame in enumerate(frames):
        if at == paced.letters + before:
            await paced.go.wait()
            if paced.breaks:
                assert request.transport is not None
                request.transport.abort()
        await response.write(frame)
    await response.write_eof()
    return response


def _frames(path: str, content: str, index: int) -> tuple[int, Sequence[bytes]]:
    """A stream's events, and how many of them come before the first letter."""
    if path in {shapes.RESPONSES, shapes.MESSAGES}:
        frames = shapes.stream(path, content, index).split(b"\n\n")[:-1]
        return 4 if path == shapes.RESPONSES else 2, [frame + b"\n\n" for frame in frames]
    return 1, [b"data: " + payload + b"\n\n" for payload in chunks(content, index)]


async def _break(request: web.Request, how: str) -> web.StreamResponse:
    """Hang before the head; reset; promise more than is sent; never end."""
    assert request.transport is not None
    if how == RESET:
        request.transport.abort()
    if how in {HANG, RESET}:
        await asyncio.Event().wait()
    response = web.StreamResponse(headers={"content-type": "application/json"})
    if how == HALF:
        response.content_length = 1000
    await response.prepare(request)
    await response.write(b'{"choices":[')
    while how == ENDLESS:
        await response.write(b" " * 65536)
    request.transport.close()
    return response


@asynccontextmanager
async def open_upstream(*answers: Answer) -> AsyncIterator[Upstream]:
    """The double, serving; with no answers it says "ok"."""
    upstream = Upstream(answers or ("ok",))
    app = web.Application(client_max_size=1 << 30)
    app.router.add_post("/v1/chat/completions", upstream._complete)
    app.router.add_post("/v1/completions", upstream._complete)
    app.router.add_post(shapes.RESPONSES, upstream._complete)
    app.router.add_post(shapes.MESSAGES, upstream._complete)
    app.router.add_route("*", "/{path:.*}", upstream._other)
    async with open_server(app) as upstream.url:
        yield upstream


@asynccontextmanager
async def open_server(app: web.Application, **options: Any) -> AsyncIterator[str]:
    """Serve an application on a free port; its URL."""
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1, **options)
    async with open_site(runner) as url:
        yield url


@asynccontextmanager
async def open_site(runner: web.BaseRunner) -> AsyncIterator[str]:
    """Let a runner serve on a free port; its URL."""
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
