"""Spans by OpenTelemetry's SDK, sent by OTLP over HTTP. Imported only where a collector is named.

Attributes follow the semantic conventions for generative AI where there is one, and are called `scg.…` otherwise.
No prompt and no answer is in one.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Thread
from typing import Any

from opentelemetry import context as contexts
from opentelemetry import trace as api
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway import __version__
from gateway.core.ballot import Abstention, Sample
from gateway.core.record import RoundRecord
from gateway.core.round import Launch
from gateway.telemetry.logs import round_said
from gateway.telemetry.spans import Ask, Coming, Headers, Made

_PATIENCE = 5.0  # seconds for the last spans to be sent
_LONGEST = 256  # characters of a model's name or a path
_TOO_LARGE = 1 << 63  # for an attribute
_W3C = TraceContextTextMapPropagator()
_FIELDS = _W3C.fields

# What the conventions call the endpoints' operations; others go by their own names.
OPERATIONS = {
    "chat_completions": "chat",
    "completions": "text_completion",
    "responses": "chat",
    "messages": "chat",
}


class OtelSpans:
    """Traces of this process."""

    is_on = True

    def __init__(self, environ: Mapping[str, str]) -> None:
        named = "OTEL_SERVICE_NAME" in environ or "service.name=" in environ.get(
            "OTEL_RESOURCE_ATTRIBUTES", ""
        )
        resource = Resource.create({} if named else {SERVICE_NAME: "scg"})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("gateway", __version__)

    @contextmanager
    def request(self, method: str, path: str, route: str, headers: Mapping[str, str]) -> Iterator[None]:
        """A client's request, within the trace that its `traceparent` names. It is ended by `answered`."""
        carried = {name: headers[name] for name in _FIELDS if name in headers}
        span = self._tracer.start_span(
            f"{method} {route}",
            _W3C.extract(carried) if carried else None,
            SpanKind.SERVER,
            {"http.request.method": method, "http.route": route, "url.path": _fit(path)},
        )
        with api.use_span(span):
            yield

    def answered(self, status: int, about: Mapping[str, str]) -> None:
        """End the span of the request that this is called for."""
        span = api.get_current_span()
        span.set_attribute("http.response.status_code", status)
        span.set_attributes({name: _fit(value) for name, value in about.items()})
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end()

    @contextmanager
    def round(self) -> Iterator[Span]:
        """A vote."""
        with self._span("round", SpanKind.INTERNAL, {}) as span:
            yield span

    def voted(self, record: RoundRecord) -> None:
        """What came of the round whose span this is."""
        about = round_said(record)
        tokens = about.pop("tokens")
        named = {f"scg.{name}": value for name, value in about.items() if not isinstance(value, dict)}
        api.get_current_span().set_attributes(named | {"gen_ai.usage.output_tokens": tokens})

    def sampled(self, ask: Ask, operation: str, model: str) -> Ask:
        """The same `ask`, with a span for each sample."""
        operation, model = OPERATIONS.get(operation, operation), _fit(model)
        about: dict[str, Any] = {"gen_ai.operation.name": operation, "gen_ai.request.model": model}

        async def traced(launch: Launch) -> Sample | Abstention:
            own: dict[str, Any] = {"scg.sample": launch.index, "scg.lane": launch.lane}
            if launch.seed < _TOO_LARGE:
                own["gen_ai.request.seed"] = launch.seed
            with self._span(f"{operation} {model}", SpanKind.CLIENT, about | own) as span:
                outcome = await ask(launch)
                _tell(span, outcome)
            return outcome

        return traced

    async def passed(self, coming: Coming[Made], model: str) -> Made:
        """The same `coming`, with a span: the answer to a request that is passed on to an upstream."""
        about = {"gen_ai.request.model": _fit(model)} if model else {}
        with self._span("pass through", SpanKind.CLIENT, about):
            return await coming

    def carry(self, headers: Headers) -> Headers:
        """The fields of a request that is made inside this span."""
        carried: dict[str, str] = {}
        _W3C.inject(carried)
        return [pair for pair in headers if pair[0] not in _FIELDS] + [*carried.items()]

    async def aclose(self) -> None:
        """Send what is there, if that can be done soon: in a thread that the process does not wait for."""
        closing = Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, _PATIENCE)

    @contextmanager
    def _span(self, name: str, kind: SpanKind, about: Mapping[str, Any]) -> Iterator[Span]:
        """A child of the span that we are in. One that is cancelled is no error: it is no longer wanted."""
        span = self._tracer.start_span(name, kind=kind, attributes=dict(about))
        token = contexts.attach(api.set_span_in_context(span))
        try:
            yield span
        except asyncio.CancelledError:
            span.set_attribute("scg.cancelled", value=True)
            raise
        except Exception as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(Status(StatusCode.ERROR))
            raise
        finally:
            contexts.detach(token)
            span.end()


def _fit(value: str) -> str:
    """What a client wrote, as a collector takes it: not too long, and UTF-8."""
    return value[:_LONGEST].encode(errors="replace").decode()


def _tell(span: Span, outcome: Sample | Abstention) -> None:
    span.set_attribute("scg.upstream", outcome.upstream)
    if isinstance(outcome, Sample):
        span.set_attribute("gen_ai.usage.output_tokens", outcome.reply.tokens)
        span.set_attribute("gen_ai.response.finish_reasons", [outcome.reply.finish])
    else:
        span.set_attribute("error.type", str(outcome.status or outcome.reason))
        span.set_status(Status(StatusCode.ERROR))
