"""Fixtures of the tests of reports."""

from __future__ import annotations

import pytest
from outputs import CORPUS, TEXTS, generation, write_output

from textmill.model.text.corpus import CorpusSettings
from textmill.pipeline.prompts.planning import Rejected


@pytest.fixture
def output(tmp_path):
    made = [
        generation(f"p.txt:{i + 1}", n + 1, texts[i], t, finish="length" if t == 1.5 else "eos")
        for i in range(2)
        for n, (t, texts) in enumerate(TEXTS.items())
    ]
    return write_output(
        tmp_path / "out", made,
        rejected=[
            Rejected("p.txt", 3, "too long", ""),
            Rejected("p.txt", 4, "not valid UTF-8 at byte 3", "x"),
            Rejected("p.txt", 5, "too long", ""),
        ],
    )  # fmt: skip


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "corpus.txt").write_text(CORPUS)
    return CorpusSettings(paths=(str(tmp_path / "corpus.txt"),))
