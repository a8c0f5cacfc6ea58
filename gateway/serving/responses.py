"""Answers and errors as HTTP responses."""

import json

import msgspec

from gateway.door.answer import Answer
from gateway.errors import GatewayError, UpstreamAnswered
from gateway.serving.landing import Landing
from gateway.wire.headers import describe

JSON = "application/json"
EVENT_STREAM = "text/event-stream; charset=utf-8"


def landing_response(
    landing: Landing, request_id: str, content_type: str, body: bytes, seconds: float
) -> Answer:
    """The response of an answer. `seconds` is how long the request took in all."""
    upstream = min(landing.upstream_seconds, seconds)
    fields = describe(landing.pin, landing.source, landing.key)
    fields["content-type"] = content_type
    fields["x-request-id"] = request_id
    fields["cache-status"] = landing.cache_status
    fields["server-timing"] = (
        f"upstream;dur={upstream * 1e3:.2f}, gateway;dur={(seconds - upstream) * 1e3:.2f}"
    )
    for name, value in landing.headers:
        fields.setdefault(name, value)
    return Answer(200, fields.items(), body)


def error_body(error: GatewayError) -> bytes:
    """OpenAI's error object, or the upstream's own bytes."""
    if isinstance(error, UpstreamAnswered) and error.body:
        return error.body
    return json.dumps(_own_words(error)).encode()  # ASCII, whatever of the client's is quoted


def error_response(error: GatewayError, request_id: str) -> Answer:
    """The response that tells a client what went wrong."""
    fields = {"content-type": JSON, "x-request-id": request_id} | {
        name.lower(): value for name, value in error.headers
    }
    if error.should_retry is not None:
        fields["x-should-retry"] = "true" if error.should_retry else "false"
    status = error.upstream_status if isinstance(error, UpstreamAnswered) else error.status
    return Answer(status, fields.items(), error_body(error))


def error_event(error: GatewayError) -> bytes:
    """The same inside a stream that has begun: one object on one line, whatever the upstream sent."""
    try:
        parsed = msgspec.json.decode(error_body(error))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        parsed = None
    if not isinstance(parsed, dict) or "error" not in parsed:
        parsed = _own_words(error)
    return json.dumps(parsed).encode()


def _own_words(error: GatewayError) -> dict[str, dict[str, str | None]]:
    return {"error": {"message": error.message, "type": error.type, "param": error.param, "code": error.code}}
