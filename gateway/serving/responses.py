"""Answers and errors as HTTP responses."""

from dataclasses import replace
from functools import lru_cache
from operator import attrgetter
from typing import Any

import msgspec

from gateway.core.pin import Pin
from gateway.door.answer import Answer, field_lines
from gateway.errors import GatewayError, UpstreamAnswered
from gateway.serving.landing import Landing
from gateway.wire.forms.exact import read_object
from gateway.wire.forms.faults import retold, type_of
from gateway.wire.forms.form import Fault, Form
from gateway.wire.headers import describe, describe_shedding

JSON = "application/json"
# All that is said of a pin.
_FIGURES = attrgetter(*(name for name in Pin._fields if name not in {"body", "streamed"}))

EVENT_STREAM = "text/event-stream; charset=utf-8"


def landing_response(
    landing: Landing, request_id: str, content_type: str, body: bytes, seconds: float
) -> Answer:
    """The response of an answer. `seconds` is how long the request took in all."""
    lines = (
        f"{_verdict_lines(_FIGURES(landing.pin), landing.source, landing.key)}"
        f"content-type: {content_type}\r\nx-request-id: {request_id}\r\n"
        f"cache-status: {landing.cache_status}\r\nserver-timing: {landing.timing(seconds)}\r\n"
    )
    theirs = [pair for pair in landing.headers if pair[0] != "content-type"]
    if landing.asked:
        theirs += describe_shedding(landing.asked).items()
    return Answer(200, theirs, body, lines=lines)


@lru_cache(maxsize=1024)
def _verdict_lines(figures: tuple[Any, ...], source: str, key: str) -> str:
    """What is said of a verdict, as lines. The same is said each time that a pin is given out."""
    return field_lines(describe(Pin(b"", False, *figures), source, key).items())  # noqa: FBT003  no matter


def error_body(form: Form, error: GatewayError) -> bytes:
    """The form's error object: the upstream's own bytes where they are one."""
    fault = Fault(status_of(error), error.message, error.type, error.param, error.code)
    if not isinstance(error, UpstreamAnswered):
        return form.error_body(fault)
    told = read_object(error.body)
    if form.is_error(told):
        return error.body
    return form.error_body(retold(told, replace(fault, type=type_of(fault.status))))


def error_response(form: Form, error: GatewayError, request_id: str) -> Answer:
    """The response that tells a client what went wrong."""
    told = {"content-type": JSON, "x-request-id": request_id} | {
        name.lower(): value for name, value in error.headers
    }
    if error.should_retry is not None:
        told["x-should-retry"] = "true" if error.should_retry else "false"
    return Answer(status_of(error), told.items(), error_body(form, error))


def error_event(form: Form, error: GatewayError) -> bytes:
    """The same inside a stream that has begun: the last event."""
    return form.error_event(msgspec.json.decode(error_body(form, error)))


def status_of(error: GatewayError) -> int:
    """The HTTP status that tells of it."""
    return error.upstream_status if isinstance(error, UpstreamAnswered) else error.status
