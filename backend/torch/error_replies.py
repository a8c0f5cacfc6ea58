"""Whatever goes wrong in a handler, in OpenAI's shape."""

import logging
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from backend.errors import EngineError, RequestError

_log = logging.getLogger(__name__)

# Set on a request once its response is under way: then an error can only close the connection.
STARTED = web.RequestKey("started", bool)


def error_body(message: str, kind: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """`{"error": {...}}` as OpenAI's clients expect it."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


@web.middleware
async def error_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The outermost layer: no exception passes it before the response has begun."""
    try:
        return await handler(request)
    except RequestError as error:
        return _reply(error.status, error_body(str(error), "invalid_request_error", error.param, error.code))
    except EngineError as error:
        return _reply(error.status, error_body(str(error), "server_error"))
    except web.HTTPException as error:
        text = f"{request.method} {request.path}: {error.reason}"
        return _reply(error.status, error_body(text, "invalid_request_error"), error)
    except ConnectionError:
        raise
    except Exception:
        if request.get(STARTED, False):
            raise
        _log.exception("%s %s failed", request.method, request.path)
        return _reply(500, error_body("internal error", "server_error"))


def _reply(status: int, body: dict[str, Any], cause: web.HTTPException | None = None) -> web.Response:
    headers = {"Allow": cause.headers["Allow"]} if cause and "Allow" in cause.headers else None
    return web.Response(
        status=status, body=msgspec.json.encode(body), content_type="application/json", headers=headers
    )
