"""The pages that people read: their links lead somewhere, and the index leads to each of them."""

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from gateway.telemetry.metrics import Metrics
from gateway.wire.headers import TOLD

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
_LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def places(page: Path) -> list[tuple[str, str]]:
    """What the page's links lead to within the project: the file, and the heading in it."""
    found = _LINK.findall(page.read_text(encoding="utf-8"))
    return [(file, heading) for file, heading in found if "://" not in file]


def links(page: Path) -> list[str]:
    return [file for file, _ in places(page) if file]


def headings(page: Path) -> set[str]:
    """As GitHub spells them in links."""
    found = _HEADING.findall(page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Each link to a file of the project names one that is there."""
    assert [] == [link for link in links(page) if not (page.parent / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_headings(page: Path) -> None:
    """Each link to a heading of a page names one that is there."""
    assert [] == [
        (file, heading)
        for file, heading in places(page)
        if heading and heading not in headings(page.parent / file if file else page)
    ]


def test_every_field_of_an_answer_is_written_down() -> None:
    """The page on policies has a line for each `x-consistency-*` field, and for each value that a counter knows."""
    page = (DOCS / "voting.md").read_text(encoding="utf-8")
    assert [] == [name for name in sorted(TOLD) if f"| `x-consistency-{name}` |" not in page]
    counted = Metrics(CollectorRegistry(), ["majority"]).registry.collect()
    words = {
        sample.labels[label]
        for family in counted
        for sample in family.samples
        for label in ("source", "outcome")
        if label in sample.labels
    }
    assert {"cache", "unanimous"} < words
    assert [] == [word for word in sorted(words) if f"| `{word}` |" not in page]


def modules_drawn() -> tuple[set[str], set[str]]:
    """What the table of modules names: files, and whole folders (`settings/`)."""
    files, folders = set(), set()
    for line in (DOCS / "architecture.md").read_text(encoding="utf-8").splitlines():
        folder = ""  # the last one named holds for the names after it: `door/door`, `site`
        for name in re.findall(r"`([\w/]+)`", line) if line.startswith("| `") else ():
            path = name.removeprefix("gateway/")
            if path.endswith("/"):
                folders.add(f"{folder}/{path}".strip("/"))
                folder = folder or path.strip("/")
            elif "/" in path:
                folder = path.rpartition("/")[0]
                files.add(path)
            else:
                files.add(f"{folder}/{path}".strip("/"))
    return files, folders


def test_the_map_has_every_module() -> None:
    """No module is missing in the table of docs/architecture.md; of `core/` each is named, too."""
    files, folders = modules_drawn()
    gateway = ROOT / "gateway"
    paths = [file.relative_to(gateway).with_suffix("") for file in sorted(gateway.rglob("*.py"))]
    assert [] == [
        str(path)
        for path in paths
        if path.name != "__init__"
        and str(path) not in files
        and not any(str(folder) in folders - {"core"} for folder in path.parents)
    ]


def test_the_index_leads_to_every_page() -> None:
    """A page that the index does not name is one that nobody finds."""
    named = {(DOCS / link).resolve() for link in links(DOCS / "README.md")}
    assert [] == [page.name for page in DOCS.glob("*.md") if page.name != "README.md" and page not in named]
