"""Rows written anew: what is done to a source, how much noise is taken, a whole augmentation."""

from __future__ import annotations

import collections
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textmill.pipeline.augment import rewriting
from textmill.pipeline.augment.rewriting import MOVED, measured_noise, noisy
from textmill.pipeline.augment.table import Rows
from textmill.pipeline.command.cli import main

WORDS = st.lists(st.text("abcdefgh", min_size=1, max_size=4), min_size=2, max_size=30)


@given(WORDS, st.integers(0, 9))
def test_a_noisy_row_has_the_words_of_the_row(words, seed):
    found = noisy(" ".join(words), seed, "x").split()
    assert found
    assert not collections.Counter(found) - collections.Counter(words)


def test_words_move_fewer_places_than_allowed():
    words = [f"w{i}" for i in range(200)]
    found = [noisy(" ".join(words), 0, f"{i}").split() for i in range(50)]
    for row in found:
        kept = [int(word[1:]) for word in row]
        ranks = sorted(kept)
        moves = [abs(ranks.index(word) - place) for place, word in enumerate(kept)]
        assert max(moves) <= MOVED
        assert any(moves)
    dropped = 1 - sum(map(len, found)) / (50 * 200)
    assert dropped == pytest.approx(rewriting.DROPPED, abs=0.01)
    assert noisy("a b c d", 0, "x") == noisy("a b c d", 0, "x")


def test_a_row_without_spaces_loses_characters():
    found = noisy("abcdefghijklmnopqrst", 0, "x")
    assert " " not in found
    assert set(found) <= set("abcdefghijklmnopqrst")


class _Writer:
    """Writes the label's word, and more and more often the other's."""

    def __init__(self, model):
        self.closed = False

    def generate(self, prompts, settings):
        for i, prompt in enumerate(prompts):
            wrong = i < len(prompts) * settings.state_noise / 2
            label = prompt.settings.label
            yield type("G", (), {"text": "ab"[label == "a"] if wrong else label, "label": label,
                                 "prompt": prompt})  # fmt: skip

    def close(self):
        self.closed = True


class _Judge:
    labels = ("a", "b")

    def probabilities(self, texts):
        return [[float(text == "a"), float(text == "b")] for text in texts]


@pytest.mark.parametrize(("lost", "level"), [(0.0, 0.0), (0.06, 0.1), (0.11, 0.2), (0.5, 0.8)])
def test_as_much_noise_as_leaves_the_label(monkeypatch, make_model, lost, level):
    monkeypatch.setattr(rewriting, "WriterProcess", _Writer)
    monkeypatch.setattr(rewriting, "LOST", lost)
    rows = Rows(["x y"] * 100, ["a", "b"] * 50, numbers=[])
    judges = [(_Judge(), list(range(100)))]
    model = make_model(["a", "b"], labels=("a", "b"), source=["x", "y"])
    assert measured_noise(model, rows, judges, 0) == level


@pytest.mark.long
def test_rows_are_written_anew(tmp_path, capsys):
    data = tmp_path / "d.jsonl"
    kinds = {"cats": "the cat sat on the {} mat", "dogs": "a dog ran in the {} park"}
    rows = [
        {"text": form.format(word), "label": label}
        for label, form in kinds.items()
        for word in ("old", "red", "wet", "big", "blue", "new", "dry", "long")
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "more.jsonl"
    arguments = [
        "augment", str(data), "--text", "text", "--label", "label", "--out", str(out), "--with",
        "rewritten", "--per-example", "2", "--minutes", "0.3", "--quiet", "--workers", "1",
        "--max-copied", "20", "--max-copied-share", "1", "--max-similarity", "0.95",
    ]  # fmt: skip
    assert main(arguments) in (0, None)
    made = [json.loads(line) for line in out.read_text().splitlines()]
    added = [row for row in made if row["origin"] == "rewritten"]
    assert added
    right = [("cat" in row["text"]) == (row["label"] == "cats") for row in added]
    assert sum(right) >= 0.8 * len(right), added
    assert all(1 <= row["source"] <= len(rows) for row in added)
