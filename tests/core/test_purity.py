"""The core is pure, and imports point one way: a walk over the sources."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import gateway

ROOT = Path(gateway.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

# The parts of the standard library that neither wait, nor look at a clock, a file or a dice.
PURE = frozenset({
    "abc", "bisect", "collections", "dataclasses", "decimal", "enum", "fractions", "functools", "hashlib",
    "heapq", "itertools", "json", "math", "operator", "re", "string", "types", "typing", "unicodedata",
})  # fmt: skip

# Of libraries only this: a regular expression is a pure function, and RE2's time is linear in the text.
PURE_LIBRARIES = frozenset({"re2"})

# Named one by one as well, so that whoever widens the list above meets them here.
IMPURE = frozenset({
    "aiohttp", "asyncio", "concurrent", "contextvars", "datetime", "hiredis", "http", "importlib", "io",
    "logging", "msgspec", "multiprocessing", "os", "pathlib", "prometheus_client", "pydantic",
    "pydantic_settings", "queue", "random", "redis", "secrets", "select", "selectors", "shutil", "signal",
    "socket", "sqlite3", "ssl", "subprocess", "sys", "tempfile", "threading", "time", "urllib", "uuid",
    "uvloop", "warnings", "yaml",
})  # fmt: skip

IMPURE_CALLS = frozenset(
    {"__import__", "breakpoint", "compile", "eval", "exec", "hash", "id", "input", "open", "print"}
)

# What a package may not import, by the first name below `gateway`. `core` has a rule of its own.
EDGES = frozenset({"app", "cli", "serving", "__main__"})
NOT_FOR = {
    "audit": EDGES | {"bulk", "door", "store", "telemetry"},
    "bulk": EDGES | {"audit", "door", "store", "telemetry"},
    "calling": EDGES | {"audit", "bulk", "door", "store", "telemetry"},
    "door": EDGES | {"core", "settings", "store", "telemetry", "upstream", "wire"},
    "errors": EDGES,
    "extraction": EDGES,
    "settings": EDGES,
    "store": EDGES,
    "telemetry": EDGES,
    "upstream": EDGES,
    "web": EDGES | {"core", "door", "settings", "store", "telemetry", "upstream", "wire"},
    "wire": EDGES,
    "serving": frozenset({"cli", "__main__"}),
}


def part(path: Path) -> str:
    """The package or module just below `gateway` to which a file belongs."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def module_name(path: Path) -> str:
    """As it is imported; a package by its own name."""
    return ".".join(["gateway", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__")


def imported(path: Path) -> set[str]:
    """Full names of all that a module imports, wherever it does; names taken from a module included."""
    return imported_in(ast.parse(path.read_text(encoding="utf-8")), path)


def for_types(path: Path) -> set[str]:
    """Those that are never made: only types need them."""
    guards = [
        node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.If)
    ]
    guards = [node for node in guards if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"]
    return {name for guard in guards for name in imported_in(guard, path)}


def imported_in(tree: ast.AST, path: Path) -> set[str]:
    """Those in a part of a module."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = ["gateway", *path.relative_to(ROOT).parent.parts]
                base = ".".join([*package[: len(package) - node.level + 1], *([base] if base else [])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def called(path: Path) -> set[str]:
    """The plain names that a module calls."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {function.id for function in calls if isinstance(function, ast.Name)}


CORE = [path for path in MODULES if part(path) == "core"]


def test_the_walk_finds_the_core() -> None:
    """The lists that the other tests walk are not empty, and hold the module that matters most."""
    assert ROOT / "core" / "round.py" in CORE
    assert not PURE & IMPURE


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.name)
def test_the_core_is_pure(path: Path) -> None:
    """A module of the core imports the core and pure parts of the standard library, and nothing else."""
    names = imported(path)
    assert set() == {name for name in names if name.partition(".")[0] in IMPURE}
    assert set() == {
        name
        for name in names
        if name.partition(".")[0] not in PURE | PURE_LIBRARIES and not name.startswith("gateway.core.")
    }


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.name)
def test_the_core_does_no_io(path: Path) -> None:
    """A module of the core calls no built-in that does I/O, runs code or differs between processes."""
    assert set() == called(path) & IMPURE_CALLS
    waits = ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith | ast.Global
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert [node for node in ast.walk(tree) if isinstance(node, waits)] == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    """Serving may import door, store, upstream, telemetry, wire and core, and none of those imports back."""
    ours = {name.split(".")[1] for name in imported(path) if name.startswith("gateway.")}
    assert set() == ours & NOT_FOR.get(part(path), frozenset())


def test_imports_never_go_in_a_circle() -> None:
    """A module can be read knowing what it imports, wherever it does: nothing of that imports it back."""
    names = {module_name(path): path for path in MODULES}
    found = {name: imported(path) - for_types(path) for name, path in names.items()}
    ours = {
        name: {each if each in names else each.rpartition(".")[0] for each in wanted} & names.keys() - {name}
        for name, wanted in found.items()
    }
    assert len(names) == len([*TopologicalSorter(ours).static_order()])


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import os.path", {"os.path"}),
        ("from time import sleep", {"time.sleep"}),
        ("def f():\n    from gateway.serving import app", {"gateway.serving.app"}),
        ("from gateway import serving", {"gateway.serving"}),
        ("from . import vote", {"gateway.core.vote"}),
        ("from .vote import decide", {"gateway.core.vote.decide"}),
        ("from ..serving import app", {"gateway.serving.app"}),
        ("if TYPE_CHECKING:\n    import redis", {"redis"}),
    ],
)
def test_the_walk_sees_every_form_of_import(
    source: str, names: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Imports inside functions, relative ones and those for types only are seen as well."""
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    path = tmp_path / "core" / "module.py"
    path.parent.mkdir()
    path.write_text(source, encoding="utf-8")
    assert names == imported(path)
