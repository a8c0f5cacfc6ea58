"""Traces, as a collector gets them from a gateway of its own process."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.telemetry.open import open_spans
from gateway.telemetry.spans import NoSpans
from tests.doubles.collector import Collector, open_collector
from tests.doubles.redis_server import free_port
from tests.doubles.upstream import HANG, Answer, Upstream, open_upstream
from tests.running.served import Served, serve

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADERS = {"traceparent": f"00-{TRACE}-{CALLER}-01", "x-request-id": "mine"}


@asynccontextmanager
async def traced(
    folder: Path, *answers: Answer, environ: dict[str, str] | None = None, **settings: Any
) -> AsyncIterator[tuple[Served, Upstream, Collector]]:
    async with open_upstream(*answers) as upstream, open_collector() as collector:
        settings = {"upstreams": [{"url": upstream.url}]} | settings
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url} | (environ or {})
        async with serve(folder, settings, variables) as served:
            yield served, upstream, collector


async def end(served: Served) -> None:
    """Let it end, and so send all that it has."""
    served.tell(signal.SIGTERM)
    assert 0 == await served.process.wait()


@pytest.mark.processes
async def test_a_request_its_round_and_its_samples(tmp_path: Path) -> None:
    """They hang together, within the client's trace; each upstream is told its sample's span; a hit is one span."""
    async with traced(tmp_path, "41", "42", "42") as (served, upstream, collector):
        secret = [{"role": "user", "content": "the client's own words"}]
        for _ in range(2):
            await served.chat(HEADERS, messages=secret)
        await end(served)
    vote, hit = collector.named("POST /v1/chat/completions")
    assert [(TRACE, CALLER, 2)] * 2 == [(each.trace, each.parent, each.kind) for each in (vote, hit)]
    assert ("vote", "cache") == (vote.about["scg.source"], hit.about["scg.source"])
    assert {"http.response.status_code": 200, "scg.request_id": "mine", "scg.policy": "majority"}.items() <= (
        vote.about.items()
    )
    (round_,) = collector.named("round")
    assert (TRACE, vote.id, "majority", 9) == (
        round_.trace, round_.parent, round_.about["scg.outcome"], round_.about["gen_ai.usage.output_tokens"],
    )  # fmt: skip
    samples = collector.named("chat m")
    assert [(round_.id, 3)] * 3 == [(each.parent, each.kind) for each in samples]
    assert {0, 1, 2} == {each.about["scg.sample"] for each in samples}
    expected = {
        "gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "scg.upstream": "upstream-1",
        "gen_ai.response.finish_reasons": ["stop"], "gen_ai.usage.output_tokens": 3,
    }  # fmt: skip
    assert all(expected.items() <= each.about.items() for each in samples)
    told = {each.headers["traceparent"] for each in upstream.seen}
    assert {f"00-{TRACE}-{each.id}-01" for each in samples} == told
    assert (6, {"scg"}) == (len(collector.spans), collector.services)
    assert not [span for span in collector.spans if "own words" in repr(span)]


@pytest.mark.processes
async def test_what_goes_wrong_is_an_error(tmp_path: Path) -> None:
    """A sample that fails and a request that ends in 5xx are marked; one that is refused is not, and has its code."""
    async with traced(tmp_path, 500, vote={"k": 1}) as (served, _, collector):
        await served.chat()
        await served.chat(n=-1, consistency={"k": 0})
        await end(served)
    failed, refused = collector.named("POST ")
    assert [(500, True), (400, False)] == [
        (each.about["http.response.status_code"], each.is_error) for each in (failed, refused)
    ]
    assert "invalid_value" == refused.about["error.type"]
    assert {("500", True)} == {
        (each.about["error.type"], each.is_error) for each in collector.named("chat m")
    }


@pytest.mark.processes
async def test_what_passes_through(tmp_path: Path) -> None:
    """One span for the request, under a name that does not depend on the path's end, and one for the call."""
    async with traced(tmp_path, "42") as (served, upstream, collector):
        await served.get("/v1/files/file-1")
        await served.chat(HEADERS, n=2)
        await end(served)
    (file,) = collector.named("GET ")
    assert ("GET /v1/*", "/v1/files/file-1") == (file.name, file.about["url.path"])
    chat = collector.named("POST ")[0]
    call = next(each for each in collector.named("pass through") if each.parent == chat.id)
    assert f"00-{TRACE}-{call.id}-01" == upstream.seen[0].headers["traceparent"]


@pytest.mark.processes
async def test_a_client_that_leaves(tmp_path: Path) -> None:
    """Its spans end, those of the samples that nobody wants any more say so, and none is an error."""
    async with traced(tmp_path, HANG) as (served, upstream, collector):
        asked = asyncio.create_task(served.chat())
        await upstream.asked(2)
        asked.cancel()
        await upstream.seen[0].closed.wait()
        await end(served)
    assert [499] == [each.about["http.response.status_code"] for each in collector.named("POST ")]
    assert [(True, False)] * 2 == [
        (each.about["scg.cancelled"], each.is_error) for each in collector.named("chat m")
    ]


@pytest.mark.processes
async def test_a_collector_that_is_away_costs_nothing(tmp_path: Path) -> None:
    """Requests are answered and the process ends as ever; a name given by the environment is the service's."""
    away = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}", "OTEL_SERVICE_NAME": "mine"}
    async with traced(tmp_path, "42", environ=away) as (served, _, collector):
        assert "42" == (await served.chat()).content
        await end(served)
        assert [] == collector.spans


def test_without_the_extra_it_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A collector is named and OpenTelemetry is not installed: one line says how to get it, and all goes on."""
    monkeypatch.delitem(sys.modules, "gateway.telemetry.tracing", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    assert isinstance(open_spans({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}), NoSpans)
    (line,) = caplog.messages
    assert line.startswith("OTEL_EXPORTER_OTLP_ENDPOINT is set, but no traces are sent: ")
    assert line.endswith("pip install '.[otel]' in a checkout")


ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.mark.parametrize(
    "environ", [{}, {ENDPOINT: ""}, {ENDPOINT: "http://a", "OTEL_TRACES_EXPORTER": "none"}]
)
def test_nobody_wants_traces(environ: dict[str, str]) -> None:
    """Without an endpoint, or with the exporter switched off, there are none."""
    assert isinstance(open_spans(environ), NoSpans)
