"""JSON objects in and out, with integers of any size: msgspec would write long ones as strings."""

import json
from typing import Any

import msgspec

from gateway.wire.forms.form import Json


def encode(value: Any) -> bytes:
    """The shortest text, in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def read_object(payload: bytes) -> Json:
    """An object; an empty one for a payload that is none."""
    try:
        return decode(payload, ValueError)
    except ValueError:
        return {}


def decode(payload: bytes, failure: type[ValueError]) -> Json:
    """An object; `failure` says what is wrong with a payload that is none."""
    try:
        payload.decode()  # the decoder does not look into what needs no decoding
        made = msgspec.json.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise failure(str(error)) from error
    if not isinstance(made, dict):
        raise failure("no object")
    return made
