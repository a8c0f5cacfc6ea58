"""Errors in the shapes of the two families of SDKs: ours, and those that upstreams tell in other shapes."""

import json
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

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
_OPENAI: Mapping[int, str] = MappingProxyType({403: "permission_error", 429: "rate_limit_error"})


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


def has_error(told: Json) -> bool:
    """Whether there is an error object with a message in it, which both families look for."""
    error = told.get("error")
    return isinstance(error, dict) and isinstance(error.get("message"), str)


def type_of(status: int) -> str:
    """OpenAI's `type` for an error of which nothing but the status is known."""
    return _OPENAI.get(status) or ("invalid_request_error" if status < 500 else "server_error")


def retold(told: Json, otherwise: Fault) -> Fault:
    """An upstream's error in whatever shape: what it says of itself, and `otherwise` where it says nothing."""
    error = told.get("error")
    about = error if isinstance(error, dict) else told
    kind, param, code = about.get("type"), about.get("param"), about.get("code")
    return replace(
        otherwise,
        message=words_of(told) or otherwise.message,
        type=kind if kind and isinstance(kind, str) else otherwise.type,
        param=param if isinstance(param, str) else otherwise.param,
        code=code if isinstance(code, str | int) else otherwise.code,
    )


def words_of(told: Json) -> str:
    """What an upstream's error says, wherever servers put that; "" if it says nothing."""
    error = told.get("error")
    within = error if isinstance(error, dict) else {}
    said = (within.get("message"), told.get("message"), within.get("detail"), told.get("detail"), error)
    return next(filter(None, map(_words, said)), "")


def _words(said: Any) -> str:
    return "; ".join(filter(None, map(_complaint, said if isinstance(said, list) else [said])))


def _complaint(said: Any) -> str:
    """A text, or one of FastAPI's objects: what is wrong, and where."""
    if not isinstance(said, dict):
        return said if isinstance(said, str) else ""
    what, where = said.get("msg"), said.get("loc")
    if not isinstance(what, str):
        return ""
    steps = [str(step) for step in where if isinstance(step, str | int)] if isinstance(where, list) else []
    return f"{'.'.join(steps)}: {what}" if steps else what


def status_of(error: Json) -> int:
    """The HTTP status of an error that an upstream told under a 200, as inside a stream.

    vLLM puts it into `code`, Anthropic's `type` implies it; other words are taken for a server's failure.
    """
    code = error.get("code")
    if isinstance(code, int) and 400 <= code < 600:
        return code
    if error.get("code") == "rate_limit_exceeded":
        return 429
    return _STATUS.get(str(error.get("type")), 500)
