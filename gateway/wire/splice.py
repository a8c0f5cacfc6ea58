"""Values replaced inside a JSON text, with every other byte left as it is."""

import re
from collections.abc import Iterator
from json import JSONDecoder

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


def _find(text: str, at: int, path: Path) -> Iterator[tuple[int, int]]:
    """Where the values lie that the path leads to from the value at `at`."""
    if not path:
        yield at, _scan(text, at)[1]
    elif text[at] == ("[" if path[0] is None else "{"):
        for name, start in _parts(text, at):
            if name == path[0]:
                yield from _find(text, start, path[1:])


def _parts(text: str, at: int) -> Iterator[tuple[str | None, int]]:
    """The name and the beginning of each member's value, or of each item of a list, whose name is None."""
    is_object = text[at] == "{"
    at = _skip(text, at + 1)
    while text[at] not in "]}":
        name = None
        if is_object:
            name, at = _scan(text, at)
            at = _skip(text, _skip(text, at) + 1)  # past the colon
        yield name, at
        at = _skip(text, _scan(text, at)[1])
        if text[at] == ",":
            at = _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
