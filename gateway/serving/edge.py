"""What surrounds every request: its id, its errors in OpenAI's shape, its place in the metrics."""

import asyncio
import logging
import re
from itertools import count
from secrets import token_hex
from time import perf_counter

from aiohttp import HttpVersion11, web

from gateway.errors import BadRequest, Draining, GatewayError, Overloaded, TooLarge, UpstreamAnswered
from gateway.serving.gateway import Gateway
from gateway.serving.responses import error_response
from gateway.serving.routes import find_handler
from gateway.serving.trace import Trace

_LOG = logging.getLogger("gateway")
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_CLIENT_LEFT = 499  # nginx's word for it; no client ever sees it
_PROCESS, _NUMBERS = token_hex(10), count()


class Edge:
    """Takes every request of a server."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Give the request an id, count it, and turn whatever goes wrong into an error that clients understand."""
        gateway = self._gateway
        given = request.headers.get("x-request-id")
        trace = Trace(given if given and _REQUEST_ID.fullmatch(given) else _new_id(), perf_counter())
        is_ours = request.path.startswith("/v1/")
        gateway.in_flight += is_ours
        try:
            if is_ours:
                _admit(gateway)
            if "expect" in request.headers:
                _go_on(request)
            response = await find_handler(request.method, request.path)(gateway, request, trace)
            trace.status = trace.status or response.status
        except GatewayError as error:
            response = _failed(error, trace)
        except web.HTTPException as error:
            response = _failed(_translate(error), trace)
        except ConnectionError:  # the client left while it was written to
            trace.status = _CLIENT_LEFT
            response = web.Response(status=_CLIENT_LEFT)
        except asyncio.CancelledError:
            trace.status = _CLIENT_LEFT
            raise
        except Exception:  # noqa: BLE001  the outermost place: a bug must not become a broken connection
            _LOG.exception("a bug in the gateway, request %s", trace.request_id)
            response = _failed(GatewayError("internal error; the gateway's log has more"), trace)
        finally:
            gateway.in_flight -= is_ours
            if trace.endpoint:
                _count(gateway, trace)
        return response


def _new_id() -> str:
    """Unlike any other: random for the process, counted within it."""
    return f"{_PROCESS}{next(_NUMBERS):012x}"


def _go_on(request: web.BaseRequest) -> None:
    """Tell a client that waits for it to send its body (RFC 9110, section 10.1.1)."""
    if (
        request.headers["expect"].lower() == "100-continue"
        and request.version >= HttpVersion11
        and request.transport
    ):
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def _admit(gateway: Gateway) -> None:
    if gateway.is_draining:
        raise Draining("shutting down", headers=(("retry-after", "1"), ("connection", "close")))
    if gateway.in_flight > gateway.settings.limits.max_in_flight:
        raise Overloaded(
            f"more than limits.max_in_flight {gateway.settings.limits.max_in_flight} requests at once",
            headers=(("retry-after", "1"),),
        )


def _failed(error: GatewayError, trace: Trace) -> web.Response:
    trace.status = error.upstream_status if isinstance(error, UpstreamAnswered) else error.status
    return error_response(error, trace.request_id)


def _translate(error: web.HTTPException) -> GatewayError:
    """The framework's own refusals."""
    if error.status == 413:
        return TooLarge("the body is over limits.max_body", headers=(("connection", "close"),))
    return BadRequest(error.reason)


def _count(gateway: Gateway, trace: Trace) -> None:
    seconds = perf_counter() - trace.began
    labels = (trace.endpoint, gateway.label(trace.model), trace.policy, trace.source, trace.status)
    gateway.metrics.answered(labels, seconds, max(seconds - trace.upstream_seconds, 0))
