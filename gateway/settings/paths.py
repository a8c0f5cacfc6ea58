"""Paths to keys: found from the parts of a variable's name, followed in a tree, written into one."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from gateway.settings.schema import ConfigFile

Path = tuple[str | int, ...]


class UnknownKey(LookupError):
    """Nothing of this name at that place; `known` are the names that there are."""

    def __init__(self, path: Path, name: str, known: Iterable[str]) -> None:
        super().__init__(name)
        self.path = path
        self.name = name
        self.known = tuple(known)


class Gap(LookupError):
    """A position in a list that comes after one which nobody gave; `path` names that one."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path


def locate(parts: Iterable[str], file: Mapping[str, Any]) -> tuple[Path, bool]:
    """The path that these parts name, in any case, and whether a single value stands there.

    Variables cannot spell every name: a policy or header of the file is found by its letters alone.
    """
    kind: Any = ConfigFile
    beneath: Any = file
    path: Path = ()
    for part in parts:
        step, kind = _step(kind, part, beneath, path)
        beneath = child(beneath, step)
        path = (*path, step)
    return path, get_origin(_bare(kind)) is None and not _is_section(_bare(kind))


def _step(kind: Any, part: str, beneath: Any, path: Path) -> tuple[str | int, Any]:
    kind = _bare(kind)
    if _is_section(kind):
        name = part.lower()
        if name not in kind.model_fields:
            raise UnknownKey(path, name, kind.model_fields)
        return name, kind.model_fields[name].annotation
    if get_origin(kind) is list and part.isascii() and part.isdigit():
        return int(part), get_args(kind)[0]
    if get_origin(kind) is dict and part:
        return _own_name(part, beneath, dashes=path[-1] == "headers"), get_args(kind)[1]
    raise UnknownKey(path, part, ["0"] if get_origin(kind) is list else [])


def _own_name(part: str, beneath: Any, *, dashes: bool) -> str:
    """The file's spelling of a name that users made up, else a new one. Headers have dashes."""
    for name in beneath if isinstance(beneath, dict) else ():
        if _letters(name) == _letters(part):
            return str(name)
    return part.lower().replace("_", "-") if dashes else part.lower()


def _letters(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _bare(kind: Any) -> Any:
    """The type without its metadata and without None."""
    while get_origin(kind) in {Annotated, Union, UnionType}:
        kind = next(argument for argument in get_args(kind) if argument is not type(None))
    return kind


def child(tree: Any, part: str | int) -> Any:
    """What the tree has at this key or position; None where it has nothing."""
    if isinstance(tree, dict):
        return tree.get(part)
    return tree[part] if isinstance(tree, list) and isinstance(part, int) and part < len(tree) else None


def has_key(tree: Any, path: Path) -> bool:
    """Whether the tree says anything under this path."""
    for part in path:
        tree = child(tree, part)
    return tree is not None


def put(tree: dict[str, Any], path: Path, value: Any, file: Mapping[str, Any]) -> None:
    """Write a value into the tree. A list that is not there yet starts as a copy of the file's."""
    node: Any = tree
    beneath: Any = file
    for depth, part in enumerate(path):
        beneath = child(beneath, part)
        inner = child(node, part)
        if depth == len(path) - 1:
            inner = value
        elif not isinstance(inner, list if isinstance(path[depth + 1], int) else dict):
            inner = _container(path[depth + 1], beneath)
        if isinstance(node, list) and part == len(node):
            node.append(inner)
        elif isinstance(node, list) and isinstance(part, int) and part > len(node):
            raise Gap((*path[:depth], len(node)))
        else:
            node[part] = inner
        node = inner


def _container(part: str | int, beneath: Any) -> Any:
    if isinstance(part, int):
        return deepcopy(beneath) if isinstance(beneath, list) else []
    return {}
