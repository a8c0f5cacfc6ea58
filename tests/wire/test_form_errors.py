"""Errors of ours in each form, as bodies and inside streams, as the SDKs read them."""

import json

import pytest

from gateway.wire.forms.completions import CHAT, COMPLETIONS
from gateway.wire.forms.form import Fault, Form
from gateway.wire.forms.messages import MESSAGES
from gateway.wire.forms.responses import RESPONSES
from gateway.wire.sse import EventDecoder

FAULT = Fault(422, "é is not ü", "no_agreement", code="no_agreement")
OPENAI = {"message": "é is not ü", "type": "no_agreement", "param": None, "code": "no_agreement"}
FLAT = {"code": "no_agreement", "message": "é is not ü", "param": None, "sequence_number": 0}


@pytest.mark.parametrize("form", [CHAT, COMPLETIONS, RESPONSES])
def test_openais_error_object(form: Form) -> None:
    """One object `error` with four members, in ASCII."""
    body = form.error_body(FAULT)
    assert body.isascii()
    assert {"error": OPENAI} == json.loads(body)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"), (403, "permission_error"), (404, "not_found_error"),
        (405, "invalid_request_error"), (413, "request_too_large"), (422, "invalid_request_error"),
        (429, "rate_limit_error"), (500, "api_error"), (502, "api_error"), (503, "api_error"),
        (504, "timeout_error"),
    ],
)  # fmt: skip
def test_anthropics_error_object(status: int, kind: str) -> None:
    """The status has its word, and our own code is beside it."""
    made = json.loads(MESSAGES.error_body(Fault(status, "no", "x", code="y")))
    assert {"type": "error", "error": {"type": kind, "message": "no", "code": "y"}} == made


@pytest.mark.parametrize(
    ("form", "kind", "expected"),
    [
        (CHAT, b"", {"error": OPENAI}),
        (COMPLETIONS, b"", {"error": OPENAI}),
        (RESPONSES, b"error", {"type": "error", **FLAT, "error": OPENAI}),
        (MESSAGES, b"error", {"type": "error", "error": OPENAI}),
    ],
)
def test_an_error_as_an_event(form: Form, kind: bytes, expected: object) -> None:
    """In a stream the error is one event, with the type by which the SDK of the form knows it."""
    (event,) = EventDecoder().feed(form.error_event({"error": OPENAI}))
    assert (kind, expected) == (event.type, json.loads(event.data))
