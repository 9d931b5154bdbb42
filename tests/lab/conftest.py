"""What the tests of the lab share."""

from __future__ import annotations

import pytest

from lab import language


@pytest.fixture(autouse=True)
def english(monkeypatch):
    """Begins in English; a language that a test chooses is forgotten after it."""
    monkeypatch.setattr(language, "_chosen", None)
    monkeypatch.delenv(language.VARIABLE, raising=False)
