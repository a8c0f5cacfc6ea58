"""What surrounds every request: its id, its errors in the endpoint's shape, its place in the metrics."""

import asyncio
import logging
import re
from collections.abc import Coroutine
from itertools import count
from secrets import token_hex
from time import perf_counter
from typing import Any

from gateway.door.answer import Answer
from gateway.door.head import Headers
from gateway.door.request import Reply, Request
from gateway.errors import GatewayError
from gateway.serving.admission import admit
from gateway.serving.gateway import Gateway
from gateway.serving.responses import error_response, status_of
from gateway.serving.routes import find_handler
from gateway.serving.trace import Trace
from gateway.telemetry.logs import REQUEST_ID, said
from gateway.wire.forms.completions import CHAT
from gateway.wire.forms.table import form_at

_LOG = logging.getLogger("gateway")
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_CLIENT_LEFT = 499  # nginx's word for it; no client ever sees it
# What costs something, or tells something: all paths but health, readiness, metrics and the page.
OURS = ("/v1/", "/tokenize", "/detokenize")


class Edge:
    """Takes every request of a door."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway  # what new requests meet; those under way keep the one that they met
        self._traffic = gateway.traffic
        # Ids unlike any others: random for the process, of which a fork makes another one, and counted within it.
        self._process, self._numbers = token_hex(10), count()

    def __call__(self, request: Request) -> Answer | Coroutine[Any, Any, Reply]:
        """Give the request an id, count it, and turn whatever goes wrong into an error that clients understand.

        What needs no waiting is answered at once, without a task.
        """
        gateway = self.gateway
        trace = Trace(request.headers.once(_given_id) or self._new_id(), perf_counter())
        trace.is_ours = request.path.startswith(OURS)
        self._traffic.in_flight += trace.is_ours
        reply: Answer | Coroutine[Any, Any, Reply]
        try:
            if trace.is_ours:
                admit(gateway, request, trace)
            reply = find_handler(request.method, request.path)(gateway, request, trace)
        except Exception as error:  # noqa: BLE001  the outermost place, see _failed
            reply = _failed(error, request.path, trace)
        if not isinstance(reply, Answer):
            return self._wait_for(reply, request.path, trace)
        self._close(trace, reply)
        return reply

    def refuse(self, error: GatewayError) -> Answer:
        """The answer to what is no request."""
        return error_response(CHAT, error, self._new_id())

    def _new_id(self) -> str:
        return f"{self._process}{next(self._numbers):012x}"

    async def _wait_for(self, coming: Coroutine[Any, Any, Reply], path: str, trace: Trace) -> Reply:
        REQUEST_ID.set(trace.request_id)  # for lines logged in this task and those that it starts
        reply: Reply | None = None
        quota = trace.quota
        try:
            reply = await (coming if quota is None else quota.around(coming))
        except asyncio.CancelledError:
            trace.status = _CLIENT_LEFT
            raise
        except Exception as error:  # noqa: BLE001  likewise
            reply = _failed(error, path, trace)
        finally:
            self._close(trace, reply)
        if quota is not None and isinstance(reply, Answer):
            quota.tell(reply)
        return reply

    def _close(self, trace: Trace, reply: Reply | None) -> None:
        """Count the request."""
        self._traffic.in_flight -= trace.is_ours
        gateway = self.gateway
        if reply is not None and not trace.status:
            trace.status = reply.status
        if trace.tenant:
            gateway.metrics.tenant(trace.tenant, trace.status)
            if trace.is_ours and trace.key is not None:
                self._traffic.of_tenant[trace.tenant] -= 1
        if not trace.endpoint:
            return
        seconds = perf_counter() - trace.began
        labels = (trace.endpoint, gateway.label(trace.model), trace.policy, trace.source, trace.status)
        gateway.metrics.answered(labels, seconds, max(seconds - trace.upstream_seconds, 0))
        if trace.status >= 400:
            _log_failed(labels, trace, seconds)


def _log_failed(labels: tuple[str, str, str, str, int], trace: Trace, seconds: float) -> None:
    """A line for a request that was not answered as asked. The message may quote the prompt, so the code has to do."""
    about = dict(zip(("endpoint", "model", "policy", "source", "status"), labels, strict=True))
    about |= {"tenant": trace.tenant} if trace.tenant else {}
    _LOG.log(
        logging.WARNING if trace.status >= 500 else logging.INFO,
        "request failed",
        extra=said(request_id=trace.request_id, **about, code=trace.code, seconds=round(seconds, 4)),
    )


def _given_id(headers: Headers) -> str:
    """The client's own id for the request, "" for none that can be taken."""
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else ""


def _failed(error: Exception, path: str, trace: Trace) -> Answer:
    """What the client is told. A bug must not become a broken connection, so nothing is raised any more."""
    if isinstance(error, ConnectionError):  # the client left while it was written to
        trace.status = _CLIENT_LEFT
        return Answer(_CLIENT_LEFT)
    if not isinstance(error, GatewayError):
        _LOG.error("a bug in the gateway", exc_info=error, extra=said(request_id=trace.request_id))
        error = GatewayError("internal error; the gateway's log has more")
    trace.status, trace.code = status_of(error), error.code or ""
    return error_response(form_at(path), error, trace.request_id)
