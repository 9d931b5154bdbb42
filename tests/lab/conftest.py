"""What the tests of the lab share."""

from __future__ import annotations

import pytest

from lab import language


@pytest.fixture(autouse=True)
def english(monkeypatch):
    """Begins in English; a language that a test chooses is forgotten after it."""
    monkeypatch.setattr(language, "_chosen", None)
    monkeypatch.setenv(language.VARIABLE, "")  # so that one that a notebook sets is forgotten, too
    monkeypatch.delenv(language.VARIABLE)
