"""Errors of ours in each form, as bodies and inside streams, as the SDKs read them."""

import json
from dataclasses import replace

import pytest

from gateway.wire.forms.completions import CHAT, COMPLETIONS
from gateway.wire.forms.faults import retold
from gateway.wire.forms.form import Fault, Form, Json
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


@pytest.mark.parametrize(
    ("told", "openai", "anthropic"),
    [
        ({"error": {"message": "x"}}, True, False),
        ({"type": "error", "error": {"message": "x"}}, True, True),
        ({"type": "error", "message": "x"}, False, False),
        ({"error": {"code": 400}}, False, False),
        ({"error": {"message": ["x"]}}, False, False),
        ({"error": "x"}, False, False),
        ({"detail": "x"}, False, False),
        ({}, False, False),
    ],
)
def test_what_clients_can_read(told: Json, openai: bool, anthropic: bool) -> None:  # noqa: FBT001  of the table
    """An error object with a message, for Anthropic's in an object that calls itself an error."""
    assert [openai] * 3 + [anthropic] == [
        form.is_error(told) for form in (CHAT, COMPLETIONS, RESPONSES, MESSAGES)
    ]


OTHERWISE = Fault(400, "otherwise", "invalid_request_error", code="upstream_error")
FOREIGN: list[tuple[Json, Json]] = [
    ({"error": {"message": "x", "type": "t", "param": "p", "code": "c"}},
     {"message": "x", "type": "t", "param": "p", "code": "c"}),
    ({"object": "error", "message": "x", "type": "BadRequestError", "param": None, "code": 400},
     {"message": "x", "type": "BadRequestError", "code": 400}),
    ({"detail": "Not Found"}, {"message": "Not Found"}),
    ({"detail": [{"type": "missing", "loc": ["body", "messages", 0], "msg": "Field required"}, "and so on"]},
     {"message": "body.messages.0: Field required; and so on"}),
    ({"detail": [{"msg": "x", "loc": "body"}, {"loc": []}, 1]}, {"message": "x"}),
    ({"error": "x", "type": ""}, {"message": "x"}),
    ({"error": "Not Found", "message": "no such route", "statusCode": 404}, {"message": "no such route"}),
    ({"error": {"code": "c", "param": 1}, "message": "x", "type": "t"}, {"message": "x", "code": "c"}),
    ({"error": {"message": None, "type": ["t"], "code": 1.5}, "detail": {}}, {}),
    ({}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("told", "expected"), FOREIGN)
def test_an_error_in_another_shape(told: Json, expected: Json) -> None:
    """Whatever an upstream says of message, type, param and code is kept; the rest is told in our words."""
    assert replace(OTHERWISE, **expected) == retold(told, OTHERWISE)
