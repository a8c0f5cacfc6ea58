"""What a real vLLM answered, as `tests/vllm/record.py` kept it."""

import json
from pathlib import Path
from typing import Any

from gateway.wire.forms.completions import CHAT, COMPLETIONS
from gateway.wire.forms.form import Form
from gateway.wire.forms.messages import MESSAGES
from gateway.wire.forms.responses import RESPONSES

FOLDER = Path(__file__).parent / "recorded"
_CHANGING = frozenset({"id", "call_id", "created", "created_at"})
FORMS: dict[str, Form] = {
    "chat": CHAT,
    "completions": COMPLETIONS,
    "responses": RESPONSES,
    "messages": MESSAGES,
}


def recorded(name: str) -> bytes:
    """The body of one answer: NAME.json, or NAME.sse for one whose name says that it is a stream."""
    suffix = "sse" if (FOLDER / f"{name}.sse").exists() else "json"
    return (FOLDER / f"{name}.{suffix}").read_bytes()


def kind_of(name: str) -> str:
    """Its content type."""
    return "text/event-stream; charset=utf-8" if (FOLDER / f"{name}.sse").exists() else "application/json"


def form_of(name: str) -> Form:
    """The form that it is in, by the first word of its name."""
    return FORMS[name.partition("_")[0]]


def anonymous(body: bytes) -> Any:
    """The JSON value without nulls, and without what differs each time that it is asked for: ids and times."""
    return _anonymous(json.loads(body))


def _anonymous(value: Any) -> Any:
    if isinstance(value, dict):
        known = {name: inner for name, inner in value.items() if inner is not None and name not in _CHANGING}
        return {name: _anonymous(inner) for name, inner in known.items()}
    return [_anonymous(inner) for inner in value] if isinstance(value, list) else value
