"""Values replaced, and members cut out, inside a JSON text, with every other byte left as it is."""

import re
from collections.abc import Iterator
from json import JSONDecoder

import msgspec

# Names of members from the outside in; None stands for every item of a list.
Path = tuple[str | None, ...]

_SPACE = re.compile(r"[ \t\n\r]*")
_scan = JSONDecoder().raw_decode


def splice(payload: bytes, path: Path, value: bytes) -> bytes:
    """Replace each value at this path. `payload` is JSON; what is not there is not added."""
    text = payload.decode()
    parts, done = [], 0
    for start, end in _find(text, _skip(text, 0), path):
        parts += [text[done:start].encode(), value]
        done = end
    return b"".join(parts) + text[done:].encode() if parts else payload


def cut(payload: bytes, name: str) -> bytes:
    """Cut the members of this name out of an object, each with the comma that parts it from those left.

    `payload` is JSON, and the name needs no escapes.
    """
    return _cut_last(payload, b'"%b"' % name.encode()) or _cut_any(payload, name)


def _cut_last(payload: bytes, name: bytes) -> bytes:
    """The same where the only such member is the last one, as servers have it; b"" where it is not: in a stream
    there is one to cut for every token.
    """
    before, _, after = payload.rpartition(name)
    before, value = before.rstrip(), after.rstrip().removesuffix(b"}").rstrip()
    if not before.endswith(b",") or name in before or not _is_value(value.removeprefix(b":")):
        return b""
    return before[:-1].rstrip() + after[len(value) :]


def _is_value(text: bytes) -> bool:
    """Whether this is one JSON value, and so neither part of one nor more."""
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _cut_any(payload: bytes, name: str) -> bytes:
    text = payload.decode()
    members = [(found, begin, _scan(text, start)[1]) for found, begin, start in _parts(text, _skip(text, 0))]
    left: list[str] = []
    for at, (found, begin, end) in enumerate(members):
        if found != name:
            left.append(text[members[at - 1][2] if left else begin : end])
    if len(left) == len(members):
        return payload
    return f"{text[: members[0][1]]}{''.join(left)}{text[members[-1][2] :]}".encode()


def _find(text: str, at: int, path: Path) -> Iterator[tuple[int, int]]:
    """Where the values lie that the path leads to from the value at `at`."""
    if not path:
        yield at, _scan(text, at)[1]
    elif text[at] == ("[" if path[0] is None else "{"):
        for name, _, start in _parts(text, at):
            if name == path[0]:
                yield from _find(text, start, path[1:])


def _parts(text: str, at: int) -> Iterator[tuple[str | None, int, int]]:
    """Of each member its name, its beginning and its value's; of each item of a list, whose name is None, its own."""
    is_object = text[at] == "{"
    at = _skip(text, at + 1)
    while text[at] not in "]}":
        name, begin = None, at
        if is_object:
            name, at = _scan(text, at)
            at = _skip(text, _skip(text, at) + 1)  # past the colon
        yield name, begin, at
        at = _skip(text, _scan(text, at)[1])
        if text[at] == ",":
            at = _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
