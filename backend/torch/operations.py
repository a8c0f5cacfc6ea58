"""What the server says of itself, and its tokenizer."""

import asyncio
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec
import torch
from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from backend.torch.engine import Engine
from backend.torch.metrics import Metrics
from backend.torch.model import Model
from backend.torch.tokens import read_detokenize, read_tokenize


@dataclass(frozen=True, slots=True)
class Served:
    """What `/v1/models` and `/version` say; `created` in Unix seconds, when the server started."""

    name: str
    model: Model
    created: int
    is_invariant: bool


SERVED = web.AppKey("served", Served)
ENGINE = web.AppKey("engine", Engine)
METRICS = web.AppKey("metrics", Metrics)


def add_operations(app: web.Application) -> None:
    """Everything but the answers themselves."""
    app.router.add_get("/v1/models", _models)
    app.router.add_get("/health", _health)
    app.router.add_get("/version", _version)
    app.router.add_get("/metrics", _metrics)
    app.router.add_post("/tokenize", _tokenize)
    app.router.add_post("/detokenize", _detokenize)


def json_response(content: dict[str, Any]) -> web.Response:
    """200 with this body."""
    return web.Response(body=msgspec.json.encode(content), content_type="application/json")


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
    return json_response({"object": "list", "data": [entry]})


async def _health(request: web.Request) -> web.Response:
    return web.Response(status=200 if request.app[ENGINE].is_alive else 503)


async def _version(request: web.Request) -> web.Response:
    """All that can change an answer beside the weights, in one string: who compares it sees every change."""
    served = request.app[SERVED]
    parts = [f"torch.{torch.__version__}", served.model.dtype_name, served.model.device.type]
    if served.is_invariant:
        parts.append("invariant")
    return json_response(
        {"version": f"{_own_version()}+{'.'.join(parts).replace('+', '.')}", "engine": "torch"}
    )


async def _metrics(request: web.Request) -> web.Response:
    text = generate_latest(request.app[METRICS].registry)
    return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _tokenize(request: web.Request) -> web.Response:
    """In vLLM's shape."""
    model = request.app[SERVED].model
    tokens, strings = await asyncio.to_thread(read_tokenize, await request.read(), model.tokenizer)
    return json_response(
        {"count": len(tokens), "max_model_len": model.max_len, "tokens": tokens, "token_strs": strings}
    )


async def _detokenize(request: web.Request) -> web.Response:
    tokenizer = request.app[SERVED].model.tokenizer
    return json_response(
        {"prompt": await asyncio.to_thread(read_detokenize, await request.read(), tokenizer)}
    )


def _own_version() -> str:
    try:
        return version("self-consistency-gateway")
    except PackageNotFoundError:
        return "0"
