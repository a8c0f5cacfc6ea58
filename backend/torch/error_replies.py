"""Whatever goes wrong in a handler, in OpenAI's shape."""

import logging
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from backend.errors import EngineError, RequestError

_log = logging.getLogger(__name__)

# Seconds until a slot may be free, or another server in this one's place.
_RETRY_AFTER = "1"
# Set on a request once its response is under way: then an error can only close the connection.
STARTED = web.RequestKey("started", bool)


def error_body(message: str, kind: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """`{"error": {...}}` as OpenAI's clients expect it."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def engine_error_body(error: EngineError) -> dict[str, Any]:
    """The same for what the engine could not do; a full queue is OpenAI's rate limit."""
    return error_body(str(error), "rate_limit_error" if error.status == 429 else "server_error")


@web.middleware
async def error_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The outermost layer: no exception passes it before the response has begun."""
    try:
        return await handler(request)
    except RequestError as error:
        return _reply(error.status, error_body(str(error), "invalid_request_error", error.param, error.code))
    except EngineError as error:
        headers = {"Retry-After": _RETRY_AFTER} if error.may_pass else None
        return _reply(error.status, engine_error_body(error), headers)
    except web.HTTPException as error:
        text = f"{request.method} {request.path}: {error.reason}"
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        return _reply(error.status, error_body(text, "invalid_request_error"), headers)
    except ConnectionError:
        raise
    except Exception:
        if request.get(STARTED, False):
            raise
        _log.exception("%s %s failed", request.method, request.path)
        return _reply(500, error_body("internal error", "server_error"))


def _reply(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status, body=msgspec.json.encode(body), content_type="application/json", headers=headers
    )
