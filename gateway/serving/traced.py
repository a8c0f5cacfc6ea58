"""The edge where traces are wanted: a span around each request that is counted."""

from collections.abc import Coroutine
from typing import Any

from opentelemetry import trace as api

from gateway.door.answer import Answer
from gateway.door.request import Reply, Request
from gateway.serving.edge import OURS, Edge
from gateway.serving.gateway import Gateway
from gateway.serving.trace import Trace
from gateway.telemetry.tracing import OPERATIONS, OtelSpans
from gateway.wire.forms.table import FORMS

# Others would make as many names of spans as there are files and batches.
_ROUTES = frozenset({*(form.path for form in FORMS), "/v1/models"})


class TracedEdge(Edge):
    """As `Edge`. What the handler does, in whichever task, is inside the request's span."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(gateway)
        assert isinstance(gateway.spans, OtelSpans)
        self._spans = gateway.spans

    def __call__(self, request: Request) -> Answer | Coroutine[Any, Any, Reply]:
        """Answer a request inside a span, which `_close` ends."""
        path = request.path
        if not path.startswith(OURS):
            return super().__call__(request)
        route = path if path in _ROUTES else "/v1/*"
        with self._spans.request(request.method, path, route, request.headers):
            return super().__call__(request)

    def _wait_for(
        self, coming: Coroutine[Any, Any, Reply], path: str, trace: Trace
    ) -> Coroutine[Any, Any, Reply]:
        return self._within(api.get_current_span(), super()._wait_for(coming, path, trace))

    async def _within(self, span: api.Span, coming: Coroutine[Any, Any, Reply]) -> Reply:
        """In the task that waits, which knows nothing of the context in which it was made."""
        with api.use_span(span, record_exception=False, set_status_on_exception=False):
            return await coming

    def _close(self, trace: Trace, reply: Reply | None) -> None:
        super()._close(trace, reply)
        if not trace.is_ours:
            return
        about = {
            "scg.request_id": trace.request_id,
            "scg.source": trace.source,
            "scg.policy": trace.policy,
            "gen_ai.operation.name": OPERATIONS.get(trace.endpoint, trace.endpoint),
            "gen_ai.request.model": trace.model,
            "error.type": trace.code,
        }
        self._spans.answered(trace.status, {name: value for name, value in about.items() if value})
