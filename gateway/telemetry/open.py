"""Whether traces are wanted, and whether they can be had."""

import logging
import os
from collections.abc import Mapping

from gateway.telemetry.spans import NoSpans, Spans

_LOG = logging.getLogger(__name__)

# What OpenTelemetry's exporters read; whichever is set says that traces are wanted.
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def open_spans(environ: Mapping[str, str] = os.environ) -> Spans:
    """Spans for the collector that the environment names; none where it names none."""
    named = next((name for name in _ENDPOINTS if environ.get(name)), None)
    if named is None or environ.get("OTEL_TRACES_EXPORTER", "otlp") == "none":
        return NoSpans()
    try:
        from gateway.telemetry.tracing import OtelSpans
    except ImportError as error:
        needed = "pip install '.[otel]' in a checkout"
        _LOG.warning("%s is set, but no traces are sent: %s; %s", named, error, needed)
        return NoSpans()
    return OtelSpans(environ)
