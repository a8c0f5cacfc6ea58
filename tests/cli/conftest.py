"""Commands see no settings but those that a test gives."""

import os

import pytest


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("SCG_"):
            monkeypatch.delenv(name)
