"""A collector of traces: a real server that takes what OTLP/HTTP sends, and decodes it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from tests.doubles.upstream import open_server


@dataclass(frozen=True)
class Span:
    """One span as it was sent."""

    name: str
    kind: int  # 1 internal, 2 server, 3 client
    trace: str
    id: str
    parent: str
    is_error: bool
    about: dict[str, Any]


@dataclass
class Collector:
    """What was sent, and by which service."""

    url: str = ""
    services: set[str] = field(default_factory=set)
    spans: list[Span] = field(default_factory=list)

    def named(self, start: str) -> list[Span]:
        """The spans whose names begin so."""
        return [span for span in self.spans if span.name.startswith(start)]

    async def take(self, request: web.Request) -> web.Response:
        sent = ExportTraceServiceRequest.FromString(await request.read())
        for of_resource in sent.resource_spans:
            about = {each.key: _value(each.value) for each in of_resource.resource.attributes}
            self.services.add(about["service.name"])
            for of_scope in of_resource.scope_spans:
                self.spans += map(_span, of_scope.spans)
        return web.Response(content_type="application/x-protobuf")


@asynccontextmanager
async def open_collector() -> AsyncIterator[Collector]:
    """The double, serving."""
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    async with open_server(app) as collector.url:
        yield collector


def _span(sent: Any) -> Span:
    return Span(
        name=sent.name,
        kind=sent.kind,
        trace=sent.trace_id.hex(),
        id=sent.span_id.hex(),
        parent=sent.parent_span_id.hex(),
        is_error=sent.status.code == sent.status.STATUS_CODE_ERROR,
        about={each.key: _value(each.value) for each in sent.attributes},
    )


def _value(sent: AnyValue) -> Any:
    kind = sent.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in sent.array_value.values]
    return getattr(sent, str(kind))
