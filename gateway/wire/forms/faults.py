"""Errors of ours in the shapes of the two families of SDKs."""

import json
from collections.abc import Mapping
from types import MappingProxyType

from gateway.wire.forms.form import Fault, Json

# Anthropic's words by status (its API's page on errors); what is not here is the client's or the server's fault.
_ANTHROPIC: Mapping[int, str] = MappingProxyType({
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
})  # fmt: skip
_STATUS = {word: status for status, word in _ANTHROPIC.items()}


def openai_error(fault: Fault) -> bytes:
    """OpenAI's error object."""
    error = {"message": fault.message, "type": fault.type, "param": fault.param, "code": fault.code}
    return json.dumps({"error": error}).encode()


def anthropic_error(fault: Fault) -> bytes:
    """Anthropic's, with OpenAI's `code` as one member more: several errors of ours share a status."""
    kind = _ANTHROPIC.get(fault.status) or _ANTHROPIC[400 if fault.status < 500 else 500]
    return json.dumps({
        "type": "error",
        "error": {"type": kind, "message": fault.message, "code": fault.code},
    }).encode()  # fmt: skip


def status_of(error: Json) -> int:
    """The HTTP status of an error that an upstream told inside a stream.

    vLLM puts it into `code`, Anthropic's `type` implies it; other words are taken for a server's failure.
    """
    code = error.get("code")
    if isinstance(code, int) and 400 <= code < 600:
        return code
    if error.get("code") == "rate_limit_exceeded":
        return 429
    return _STATUS.get(str(error.get("type")), 500)
