"""A request's JSON body: parsed once, forwarded as it was written.

The members that the gateway adds or takes away are spliced at the top level; every other byte goes upstream
as the client sent it, unknown fields, number forms and escapes included.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from json import JSONDecodeError, JSONDecoder
from typing import Any, NoReturn

from gateway.errors import BadRequest

_SPACE = re.compile(r"[ \t\n\r]*")


@dataclass(frozen=True, slots=True)
class Body:
    """A JSON object: its values by name, and the text of each `"name": value` as given."""

    members: Mapping[str, Any]
    texts: Mapping[str, str]

    def forwarded(self, without: Collection[str], added: Mapping[str, str]) -> bytes:
        """The object without some members and with others, given as JSON text, at its end."""
        parts = [text for name, text in self.texts.items() if name not in without and name not in added]
        parts += [f'"{name}":{text}' for name, text in added.items()]
        return ("{" + ",".join(parts) + "}").encode()


def parse_body(raw: bytes) -> Body:
    """Parse an object of strict JSON (RFC 8259); BadRequest names a duplicate member or the first bad place."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body is not UTF-8: {error.reason} at byte {error.start}") from error
    try:
        return _parse_object(text)
    except JSONDecodeError as error:
        raise BadRequest(
            f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from error
    except RecursionError:
        raise BadRequest("the body is nested too deeply") from None
    except _DuplicateMemberError as error:
        name = error.name.encode(
            errors="backslashreplace"
        ).decode()  # half a surrogate pair cannot be sent back
        raise BadRequest(f"duplicate member {error.name!r}", param=name) from None
    except ValueError as error:  # a NaN, or an integer of more digits than Python takes
        raise BadRequest(f"the body is not JSON: {error}") from error


class _DuplicateMemberError(Exception):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _parse_object(text: str) -> Body:
    """Walk the top level, so that each member's text is known; the standard decoder does the rest."""
    members: dict[str, Any] = {}
    texts: dict[str, str] = {}
    at = _skip(text, 0)
    if text[at : at + 1] != "{":
        _DECODER.decode(text)  # a better message, if it is not JSON at all
        raise BadRequest("the body must be a JSON object")
    at = _skip(text, at + 1)
    while text[at : at + 1] != "}" or members:
        start = at
        name, at = _DECODER.raw_decode(text, at)
        if not isinstance(name, str):
            raise JSONDecodeError("Expecting property name enclosed in double quotes", text, start)
        at = _skip(text, _expect(text, _skip(text, at), ":"))
        value, at = _DECODER.raw_decode(text, at)
        if name in members:
            raise _DuplicateMemberError(name)
        members[name], texts[name] = value, text[start:at]
        at = _skip(text, at)
        if text[at : at + 1] != ",":
            break
        at = _skip(text, at + 1)
    end = _skip(text, _expect(text, at, "}"))
    if end != len(text):
        raise JSONDecodeError("Extra data", text, end)
    return Body(members, texts)


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _expect(text: str, at: int, mark: str) -> int:
    if text[at : at + 1] != mark:
        raise JSONDecodeError(f"Expecting {mark!r}", text, at)
    return at + 1


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _DuplicateMemberError(name)
            seen.add(name)
    return made


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


_DECODER = JSONDecoder(object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
