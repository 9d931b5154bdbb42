"""Edits of rows: what each may change, and what a variant depends on."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textmill.model.errors import UsageError
from textmill.pipeline.augment.edits import (
    AUGMENTERS,
    MARKS,
    Candidate,
    punctuated,
    swapped,
    thinned,
)

WORDS = st.lists(st.text("abcdé漢", min_size=1, max_size=4), min_size=1, max_size=30)
SEEDS = st.integers(0, 2**32)
ROWS = ["the old cat sat on the mat", "a dog runs in the park today", "birds sing songs loudly"]
KINDS = ["cats", "dogs", "birds"]
EDITS = ("swap", "delete", "aeda")


def is_subsequence(some, whole):
    rest = iter(whole)
    return all(word in rest for word in some)


@given(WORDS, SEEDS)
def test_swap_keeps_the_words(words, seed):
    found = swapped(words, np.random.default_rng(seed))
    assert Counter(found) == Counter(words)
    moved = sum(a != b for a, b in zip(found, words, strict=True))
    assert moved <= 2 * max(1, len(words) // 10)


def test_swap_moves_something():
    assert swapped(["a", "b"], np.random.default_rng(0)) == ["b", "a"]


@given(WORDS, SEEDS)
def test_delete_gives_a_subsequence_that_is_not_empty(words, seed):
    found = thinned(words, np.random.default_rng(seed))
    assert found
    assert is_subsequence(found, words)


def test_delete_deletes_a_tenth():
    random = np.random.default_rng(0)
    left = [len(thinned(["w"] * 50, random)) for _ in range(400)]
    assert np.mean(left) == pytest.approx(45, abs=4 * np.sqrt(50 * 0.09 / 400))


@given(WORDS, SEEDS)
def test_aeda_adds_marks_and_nothing_else(words, seed):
    found = punctuated(words, np.random.default_rng(seed))
    assert [word for word in found if word not in MARKS] == words
    assert 1 <= len(found) - len(words) <= max(1, len(words) / 3)


def test_aeda_uses_all_marks_and_counts():
    random = np.random.default_rng(0)
    found = [punctuated(["w"] * 12, random) for _ in range(200)]
    assert {len(each) - 12 for each in found} == {1, 2, 3, 4}
    assert {mark for each in found for mark in each} == {"w", *MARKS}


@pytest.mark.parametrize("method", EDITS)
def test_variants_are_new_and_say_where_they_come_from(method):
    found = AUGMENTERS[method](ROWS, KINDS, {"cats": 5, "dogs": 3}, seed=1)
    assert Counter(each.label for each in found) == {"cats": 5, "dogs": 3}
    assert len({each.text for each in found}) == 8
    for each in found:
        assert isinstance(each, Candidate)
        assert each.origin == method
        assert KINDS[each.source] == each.label
        assert each.text != ROWS[each.source]


@pytest.mark.parametrize("method", EDITS)
def test_the_seed_decides(method):
    def run(seed):
        return AUGMENTERS[method](ROWS, KINDS, dict.fromkeys(KINDS, 4), seed=seed)

    assert run(0) == run(0)
    assert {each.text for each in run(0)} != {each.text for each in run(1)}


@pytest.mark.parametrize("method", EDITS)
@settings(max_examples=20)
@given(others=st.lists(st.text("xyz ", min_size=1).filter(str.strip), max_size=5, unique=True))
def test_a_row_s_variants_do_not_hang_on_the_others(method, others):
    alone = AUGMENTERS[method](ROWS[:1], KINDS[:1], {"cats": 3}, seed=7)
    count = {"cats": 3 * (len(others) + 1), "dogs": 2}
    rows, kinds = [*others, "a dog runs", ROWS[0]], ["cats"] * len(others) + ["dogs", "cats"]
    found = AUGMENTERS[method](rows, kinds, count, seed=7)
    assert [e.text for e in found if e.source == len(rows) - 1] == [e.text for e in alone]


def test_rows_are_used_evenly_and_repeated_rows_once():
    rows, kinds = ["one two three four five", "six seven eight nine ten"], ["a", "a"]
    found = AUGMENTERS["swap"](rows * 2, kinds * 2, {"a": 7}, seed=0)
    assert Counter(each.source for each in found) == {0: 4, 1: 3}


def test_a_row_without_variants_gives_none():
    assert AUGMENTERS["swap"](["one"], ["a"], {"a": 3}, seed=0) == []
    assert len(AUGMENTERS["swap"](["one two"], ["a"], {"a": 3}, seed=0)) == 1
    with pytest.raises(UsageError, match="no row of the label 'b'"):
        AUGMENTERS["swap"](["one two"], ["a"], {"b": 3}, seed=0)


def test_a_script_without_spaces_is_edited_by_characters():
    text = "今日は天気がいい"
    (found,) = AUGMENTERS["swap"]([text], ["a"], {"a": 1}, seed=0)
    assert Counter(found.text) == Counter(text)
    assert found.text != text


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    """Here TensorFlow is on one thread already; tests/pipeline/test_api.py asks the process."""
    from textmill.model.generation import own_process, writer

    monkeypatch.setattr(own_process, "WriterProcess", writer.Writer)


# -- masked replacement ----------------------------------------------------------------------------


def saved(folder, make_model, **more):
    from textmill.model.network.directory import save_model

    place = folder / "model"
    save_model(place, make_model(["cat", "dog", "sat", "■.", "ran"], mode="lines", **more), card="")
    return str(place)


def test_masked_draws_the_model_s_next_words(tmp_path, make_model):
    """Drawn words follow the Keras network's softmax (chi-square); `<unk>` is never drawn."""
    from scipy.stats import chisquare

    from textmill.model.generation.next_word import NextWord
    from textmill.model.network.directory import load_model

    place = saved(tmp_path, make_model, labels=("a", "b"), scale=1.5)
    rows = [f"cat x{k}" for k in range(1500)]
    found = AUGMENTERS["masked"](rows, ["b"] * len(rows), {"b": len(rows)}, seed=0, model_dir=place)
    assert [each.source for each in found] == list(range(len(rows)))
    second = Counter(each.text.split()[1] for each in found if each.text.split()[1][0] != "x")
    logits = NextWord(load_model(place)).logits("cat", "b")
    logits[:3] = -np.inf
    p = np.exp(logits - logits.max())
    p = (p / p.sum())[3:]
    names = ["cat", "dog", "sat", ".", "ran"]
    total = sum(second.values())
    assert set(second) <= set(names)
    assert total > 600
    assert max(p) - min(p) > 0.1  # a uniform draw would not pass
    assert chisquare([second[name] for name in names], p * total).pvalue > 0.001


def test_masked_keeps_the_rest_and_hangs_on_the_row_alone(tmp_path, make_model):
    place = saved(tmp_path, make_model)

    def run(rows, count):
        kinds = ["a"] * len(rows)
        return AUGMENTERS["masked"](rows, kinds, {"a": count}, seed=0, model_dir=place)

    row = "An “odd” row,  the cat sat; 42 dogs?"
    found = run([row], 6)
    assert len({each.text for each in found}) == 6
    for each in found:
        kept = each.text
        for mark in ("“", "”", ",  ", "; ", "?"):
            assert mark in kept
    with_others = run(["the dog ran", row, "a cat"], 18)
    assert [e.text for e in with_others if e.source == 1] == [e.text for e in found]


def test_masked_says_what_it_lacks(tmp_path, make_model):
    with pytest.raises(UsageError, match="needs a trained model"):
        AUGMENTERS["masked"](["a b"], ["a"], {"a": 1}, seed=0)
    place = saved(tmp_path, make_model, labels=("a",))
    with pytest.raises(UsageError, match="'z'"):
        AUGMENTERS["masked"](["a b"], ["z"], {"z": 1}, seed=0, model_dir=place)
