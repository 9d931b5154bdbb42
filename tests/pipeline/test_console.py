"""What a person sees of a run."""

from __future__ import annotations

import io
import re

from rich.console import Console

from textmill.pipeline.api import console
from textmill.pipeline.job.progress import Counts


def test_lines_of_a_log(monkeypatch):
    now, said = [100.0], io.StringIO()
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(console, "stderr", lambda: Console(file=said, width=200))
    with console.generation_progress(quiet=False) as tell:
        tell(Counts(1000, 2000, 50_000, 10), 10_000)  # of a run before this one
        for _ in range(90):
            now[0] += 1
            tell(Counts(1000 + int(now[0] - 100) * 10, 4000, 50_000 + 600, 40), 10_000)
    lines = said.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[0] == (
        "generating: 1,340/10,000 prompts  4,000 texts  20 words/s  40 rejected  787 s left"
    )


def test_a_bar_in_a_terminal(monkeypatch):
    said = io.StringIO()
    screen = Console(file=said, force_terminal=True, width=160)
    monkeypatch.setattr(console, "stderr", lambda: screen)
    with console.generation_progress(quiet=False) as tell:
        tell(Counts(), 200)
        tell(Counts(90, 180, 3600, 10), 200)
    shown = re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", "", said.getvalue())
    assert "100/200 prompts 180 texts" in shown
    assert "10 rejected" in shown
    with console.generation_progress(quiet=True) as tell:
        assert tell is None


def test_the_bar_is_seen_while_texts_are_written_and_only_then(monkeypatch):
    """A training, which draws a bar of its own, may stand before a run and between two."""
    said = io.StringIO()
    screen = Console(file=said, force_terminal=True, width=160)
    monkeypatch.setattr(console, "stderr", lambda: screen)
    with console.generation_progress(quiet=False) as tell:
        assert said.getvalue() == ""
        for _ in range(2):
            tell(Counts(), 200)
            tell(Counts(200, 400, 3600, 0), 200)
            before = said.getvalue()
            assert "400 texts" in before
            tell(Counts(200, 400, 3600, 0), 200)  # the last look at a run that is over
            assert said.getvalue() == before
            said.seek(0)
            said.truncate()
    assert said.getvalue() == ""
