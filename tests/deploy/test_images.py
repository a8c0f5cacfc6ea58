"""The Dockerfiles, as far as they can be checked without building them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

DOCKERFILES = sorted(Path("deploy").glob("*.Dockerfile"))
each_dockerfile = pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)


def copied(dockerfile: Path) -> list[str]:
    """What a Dockerfile takes from the repository."""
    lines = re.findall(r"^COPY (?!--from)(.*)$", dockerfile.read_text(encoding="utf-8"), re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


@each_dockerfile
def test_copies_only_what_is_there(dockerfile: Path) -> None:
    """Every path that is copied exists, and .dockerignore lets it through."""
    let_through = Path(".dockerignore").read_text(encoding="utf-8").split()
    for source in copied(dockerfile):
        assert Path(source).exists()
        assert f"!{source}" in let_through


@each_dockerfile
def test_an_image_has_what_its_code_imports(dockerfile: Path) -> None:
    """Whichever of our packages the copied ones import is copied, too."""
    ours = {"gateway", "backend"}
    packages = ours & set(copied(dockerfile))
    imported = {
        name for package in packages for file in Path(package).rglob("*.py") for name in imports(file)
    }
    assert packages
    assert ours & imported <= packages


def imports(file: Path) -> Iterator[str]:
    """The top-level packages that a module imports."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def test_nothing_is_sent_to_the_builder_in_vain() -> None:
    """.dockerignore lets through what some image copies, and nothing else."""
    let_through = re.findall(r"^!(.*)$", Path(".dockerignore").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(let_through) == {source for dockerfile in DOCKERFILES for source in copied(dockerfile)}


@each_dockerfile
def test_runs_as_nobody_in_particular(dockerfile: Path) -> None:
    """The image's user is not root, and is a number, so that Kubernetes can tell."""
    [user] = re.findall(r"^USER (.*)$", dockerfile.read_text(encoding="utf-8"), re.MULTILINE)
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
