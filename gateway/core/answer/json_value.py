"""JSON answers by value: strict to parse, one spelling for each value."""

import re
from collections.abc import Callable, Mapping
from json import JSONDecodeError, JSONDecoder
from json.encoder import encode_basestring
from types import MappingProxyType
from typing import Any, NoReturn

from gateway.core.answer.decimals import WRITTEN_OUT, canonical_decimal

_DEEPEST = 64  # levels; nobody's schema goes further down, and bombs do
_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[ \t]*([^\s`]*)[ \t]*\r?$", re.MULTILINE)


class NotJson(ValueError):
    """A text that is no JSON value, or none that means the same to every reader."""


class Number(str):
    """A JSON number, spelt by its value."""

    __slots__ = ()


def canonical_json(text: str) -> str | None:
    """The one JSON text of the value that `text` holds, or None.

    The value is the whole text, or the whole of its only fenced block, tagged `json` or nothing. Members are
    sorted and white space is dropped; numbers are decimals by value, strings and arrays stay as they are.
    Duplicate members, NaN, Infinity and more than 64 levels make it no answer.
    """
    try:
        return encode(parse(text))
    except NotJson:
        block = _only_block(text)
    if block is None:
        return None
    try:
        return encode(parse(block))
    except NotJson:
        return None


def parse(text: str) -> Any:
    """A tree of dict, list, str, bool, None and Number; NotJson says why not."""
    try:
        return _DECODER.decode(text)
    except RecursionError as error:
        raise NotJson("too deep") from error
    except JSONDecodeError as error:
        raise NotJson(str(error)) from error


def encode(value: Any, depth: int = 0) -> str:
    """The canonical text of a tree that `parse` made; it is JSON itself. NotJson if it is too deep."""
    return _ENCODERS[type(value)](value, depth)


def _object(value: dict[str, Any], depth: int) -> str:
    if depth >= _DEEPEST:
        raise NotJson("too deep")
    members = (f"{encode_basestring(name)}:{encode(value[name], depth + 1)}" for name in sorted(value))
    return "{" + ",".join(members) + "}"


def _array(value: list[Any], depth: int) -> str:
    if depth >= _DEEPEST:
        raise NotJson("too deep")
    return "[" + ",".join([encode(item, depth + 1) for item in value]) + "]"


_ENCODERS: Mapping[type, Callable[[Any, int], str]] = MappingProxyType({
    str: lambda value, _: encode_basestring(value),
    Number: lambda value, _: str(value),
    dict: _object,
    list: _array,
    bool: lambda value, _: "true" if value else "false",
    type(None): lambda _value, _: "null",
})  # fmt: skip


def _integer(literal: str) -> Number:
    return Number(literal) if len(literal) <= WRITTEN_OUT and literal != "-0" else _decimal(literal)


def _decimal(literal: str) -> Number:
    if len(literal) <= WRITTEN_OUT and literal[-1] != "0" and "e" not in literal.lower():
        return Number(literal)
    canonical = canonical_decimal(literal)
    if canonical is None:
        raise NotJson(f"an exponent beyond reason: {literal[:40]}")
    return Number(canonical)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise NotJson("a duplicate member")
    return made


def _constant(name: str) -> NoReturn:
    raise NotJson(name)


_DECODER = JSONDecoder(
    parse_int=_integer, parse_float=_decimal, parse_constant=_constant, object_pairs_hook=_members
)


def _only_block(text: str) -> str | None:
    """What is in the only fenced block. JSON has no line break in a string, so no fence can hide in one."""
    fences = list(_FENCE.finditer(text))
    if len(fences) != 2 or fences[0][1] != fences[1][1] or fences[1][2]:
        return None
    return text[fences[0].end() : fences[1].start()] if fences[0][2].lower() in {"", "json"} else None
