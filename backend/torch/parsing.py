"""A body's bytes to a struct, or an error that names the member at fault."""

import re
from typing import Any, Generic, TypeVar

import msgspec

from backend.errors import RequestError

_T = TypeVar("_T")


class Shape(Generic[_T]):
    """What a body is read as. Made where the struct is, at import.

    Bodies are read in threads, and msgspec takes a type apart when it first meets it: two threads that do so at once
    can crash the process. A decoder has it done before there are any.
    """

    def __init__(self, kind: type[_T]) -> None:
        self.kind = kind
        self._decoder = msgspec.json.Decoder(kind)


def parsed(raw: bytes, shape: Shape[_T]) -> tuple[dict[str, Any], _T]:
    """All members as they came, and those that the shape knows, checked.

    Raises:
        RequestError: 400 naming the member at fault.
    """
    try:
        members = msgspec.json.decode(raw, type=dict[str, Any])
        return members, msgspec.convert(members, shape.kind)
    except msgspec.ValidationError as error:
        raise _named(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RequestError(f"the body is not JSON: {error}") from error


def _named(message: str) -> RequestError:
    """Msgspec's message with the member first: "max_tokens: expected `int`, got `str`"."""
    place = re.search(r" - at `\$\.?(.*)`$", message)
    if place is None or not place[1]:
        missing = re.search(r"missing required field `(\w+)`", message)
        return RequestError(message[:1].lower() + message[1:], param=missing[1] if missing else None)
    text = message[: place.start()]
    return RequestError(f"{place[1]}: {text[:1].lower()}{text[1:]}", param=place[1])
