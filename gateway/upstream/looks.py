"""Looking at an upstream: is it there, what does it serve, which engine and version is it."""

import asyncio
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from gateway.upstream.client import Call, Client, Headers, Unreachable, UpstreamFailure, read_all
from gateway.upstream.engines import named, routed
from gateway.wire.headers import passed_back

PATIENCE = 5.0
_HASTE = 1.0
_BOUND = 8 << 20
_NOT_WHAT_WAS_ASKED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class _Model(msgspec.Struct):
    id: str
    root: str | None = None
    parent: str | None = None
    max_model_len: int | None = None
    owned_by: Any = None


class _Models(msgspec.Struct):
    data: list[_Model]


class _Listed(msgspec.Struct):
    data: list[Any]


class _Version(msgspec.Struct):
    version: str | None = None


class _OpenApi(msgspec.Struct):
    paths: dict[str, msgspec.Raw]


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found. `models` maps each model to what tells it from another under the same name.

    `engine` is one of `engines.DIALECTS`, None while the server has not listed its models. A look that was
    `is_silent` met with a connection, and with no answer on it that could be used.
    """

    reachable: bool
    models: Mapping[str, str]
    engine: str | None = None
    is_silent: bool = field(default=False, compare=False)


DOWN = Look(reachable=False, models={})
SILENT = Look(reachable=False, models={}, is_silent=True)


async def look(
    client: Client, url: str, headers: Headers, engine: str | None = None, patience: float = PATIENCE
) -> Look:
    """Ask for the models and the version, and for the routes where nothing else tells the engine.

    `engine` is what an earlier look or the configuration said: it holds where the models are signed by nobody known.

    An upstream that answers anything below 500 is there; one that wants a key which only clients have lists
    no models. `created` and `permission` are left out: vLLM makes them anew for each answer.
    """
    try:
        async with asyncio.timeout(patience):
            status, body, _ = await _get(client, url + "/v1/models", headers)
            if status != 200:
                return Look(reachable=status < 500, models={})
            models = msgspec.json.decode(body, type=_Models).data
            version = await _version(client, url, headers)
            if models:
                engine = named(_owners(models)) or engine or routed(await _routes(client, url, headers))
    except Unreachable:
        return DOWN
    except (UpstreamFailure, TimeoutError):
        return SILENT
    except _NOT_WHAT_WAS_ASKED:
        return Look(reachable=True, models={})
    described = {model.id: _describe(model, version) for model in models}
    return Look(reachable=True, models=described, engine=engine if models else None)


def fingerprint(descriptions: Iterable[str]) -> str:
    """A pool's fingerprint: what its servers say of a model, whatever their number, order and addresses."""
    return sha256(json.dumps(sorted(set(descriptions))).encode()).hexdigest()[:32]


class _Seen(msgspec.Struct):
    models: dict[str, str]
    engine: str | None = None


def write_look(seen: Look) -> str:
    """What was seen as a text, for other processes."""
    return msgspec.json.encode(_Seen(dict(seen.models), seen.engine)).decode()


def read_look(text: str) -> Look | None:
    """What another process saw; None for what is no such text."""
    try:
        seen = msgspec.json.decode(text, type=_Seen)
    except _NOT_WHAT_WAS_ASKED:
        return None
    return Look(reachable=False, models=seen.models, engine=seen.engine)


def _describe(model: _Model, version: str | None) -> str:
    return json.dumps([model.id, model.root, model.parent, model.max_model_len, version])


class Listing(NamedTuple):
    """What a client is answered who asks for a server's models."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...]  # those that concern the client

    @property
    def models(self) -> list[dict[str, Any]]:
        """The models as the server lists them; none if it does not."""
        try:
            listed = msgspec.json.decode(self.body, type=_Listed).data if self.status == 200 else []
        except _NOT_WHAT_WAS_ASKED:
            return []
        return [model for model in listed if isinstance(model, dict) and "id" in model]


async def list_models(client: Client, url: str, headers: Headers) -> Listing:
    """Ask for the models as a client does."""
    status, body, told = await _get(client, url + "/v1/models", headers)
    return Listing(status, body, passed_back(told))


def _owners(models: Iterable[_Model]) -> set[str]:
    return {model.owned_by for model in models if isinstance(model.owned_by, str)}


async def _version(client: Client, url: str, headers: Headers) -> str | None:
    status, body, _ = await _get(client, url + "/version", headers)
    try:
        return msgspec.json.decode(body, type=_Version).version if status == 200 else None
    except _NOT_WHAT_WAS_ASKED:
        return None


async def _routes(client: Client, url: str, headers: Headers) -> Collection[str]:
    """The server's paths; none if it does not tell them at once, which makes it no worse a server."""
    try:
        async with asyncio.timeout(_HASTE):
            status, body, _ = await _get(client, url + "/openapi.json", headers)
        return msgspec.json.decode(body, type=_OpenApi).paths if status == 200 else ()
    except (UpstreamFailure, TimeoutError, *_NOT_WHAT_WAS_ASKED):
        return ()


async def _get(client: Client, url: str, headers: Headers) -> tuple[int, bytes, Headers]:
    exchange = await client.send(Call("GET", url, headers))
    try:
        return exchange.status, await read_all(exchange, _BOUND), exchange.headers
    finally:
        exchange.close()
