"""The pages that people read: their links lead somewhere, and the index leads to each of them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def links(page: Path) -> list[str]:
    return [link for link in _LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Each link to a file of the project names one that is there."""
    assert [] == [link for link in links(page) if not (page.parent / link).exists()]


def test_the_index_leads_to_every_page() -> None:
    """A page that the index does not name is one that nobody finds."""
    named = {(DOCS / link).resolve() for link in links(DOCS / "README.md")}
    assert [] == [page.name for page in DOCS.glob("*.md") if page.name != "README.md" and page not in named]
