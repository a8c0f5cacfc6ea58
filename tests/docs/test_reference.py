"""The reference pages say what the code does."""

import json
from pathlib import Path

import pytest

from docs.reference import HERE, PAGES
from gateway.settings.schema import json_schema

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", PAGES)
def test_reference_pages_are_up_to_date(name: str) -> None:
    """`python docs/reference.py` would change nothing."""
    assert PAGES[name]() == (HERE / name).read_text(encoding="utf-8")


def test_every_setting_says_what_it_is_for() -> None:
    """No key is left to guess, but for the sections, which have a heading."""
    schema = json.loads(json_schema())
    silent = [
        f"{section}.{key}"
        for section, about in schema["$defs"].items()
        for key, value in about["properties"].items()
        if not value.get("description")
    ]
    assert [] == silent
