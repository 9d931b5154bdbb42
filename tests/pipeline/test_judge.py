"""Judges: how their parts are put together, what they may not see, and that no network is used."""

from __future__ import annotations

import socket

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from silent import Silent

from textmill.pipeline.augment import candidates, word_vectors
from textmill.pipeline.augment.edits import Candidate
from textmill.pipeline.augment.filters import judged
from textmill.pipeline.augment.judge import Judge, best_exponents, judges, together
from textmill.pipeline.augment.table import Rows
from textmill.pipeline.augment.word_vectors import WordVectors

ANIMALS = ["kitten", "puppy", "horse", "rabbit", "lion", "goat", "duck", "mouse"]
FOOD = ["bread", "cheese", "soup", "apple", "butter", "rice", "cake", "pasta"]


@pytest.fixture(scope="module")
def vectors() -> WordVectors:
    pytest.importorskip("tokenizers", reason="pip install 'textmill[augment]'")
    found = word_vectors.word_vectors()
    if found is None:
        pytest.skip("wordllama is not installed: pip install 'textmill[augment]'")
    return found


def texts_of(words):
    return [
        f"{start} {word} {end}" for word in words for start, end in (("a", "here"), ("my", "."))
    ]


def accuracy(judge, texts, labels):
    best = judge.probabilities(texts).argmax(axis=1)
    return np.mean([judge.labels[i] == label for i, label in zip(best, labels, strict=True)])


# -- the parts together ----------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 2), st.integers(2, 4))
def test_the_exponents_are_those_of_a_search_by_hand(seed, parts, labels):
    """Against a grid, in plain loops over float64."""
    random = np.random.default_rng(seed)
    p = random.dirichlet(np.ones(labels), (parts, 25))
    ids = random.integers(labels, size=25)

    def loss(exponents):
        total = sum((e - 1) ** 2 for e in exponents)
        for n in range(25):
            powers = [
                np.prod([p[part, n, k] ** exponents[part] for part in range(parts)])
                for k in range(labels)
            ]
            total -= np.log(powers[ids[n]] / sum(powers))
        return total

    found, nats = best_exponents(np.log(p), ids)
    grid = np.linspace(0, 3, 13)
    tried = [[a] for a in grid] if parts == 1 else [[a, b] for a in grid for b in grid]
    assert loss(found) <= min(map(loss, tried)) + 1e-6
    away = sum((e - 1) ** 2 for e in found)
    assert nats == pytest.approx((loss(found) - away) / 25, abs=1e-6)
    mixed = together(np.log(p), found)
    assert mixed.sum(axis=1) == pytest.approx(1)


def test_a_part_that_knows_nothing_gets_little_weight():
    random = np.random.default_rng(0)
    ids = random.integers(3, size=400)
    good = np.full((400, 3), 0.1)
    good[np.arange(400), np.where(random.random(400) < 0.8, ids, (ids + 1) % 3)] = 0.8
    noise = random.dirichlet(np.full(3, 0.3), 400)
    exponents, _ = best_exponents(np.log(np.stack([good, noise]) + 1e-9), ids)
    assert exponents[0] > 0.8
    assert exponents[1] < 0.1


def test_the_probabilities_are_calibrated():
    """A part that is too sure of itself is not so any more; its order stays."""
    random = np.random.default_rng(1)
    right = random.random(2000) < 0.7
    ids = np.zeros(2000, int)
    sure = np.where(right[:, None], [[0.99, 0.01]], [[0.01, 0.99]])
    exponents, _ = best_exponents(np.log(sure)[None], ids)
    confidence = together(np.log(sure)[None], exponents).max(axis=1)
    assert confidence.mean() == pytest.approx(0.7, abs=0.03)


# -- judges ----------------------------------------------------------------------------------------


def test_a_row_is_judged_by_a_judge_that_has_not_seen_it():
    """A row has a word of its own, so only a judge that has seen the row knows its label."""
    texts = [chr(0x4E00 + i) for i in range(30)]
    labels = ["a", "b", "b"] * 10
    held = []
    for judge, held_out in judges(texts, labels, vectors=None, folds=3, seed=1):
        p = judge.probabilities([texts[i] for i in held_out])
        assert p == pytest.approx(np.tile(p[0], (len(p), 1)))
        held += held_out.tolist()
    assert sorted(held) == list(range(30))
    others = [h.tolist() for _, h in judges(texts, labels, vectors=None, folds=3, seed=2)]
    assert [i for held_out in others for i in held_out] != held


def test_labels_with_one_row_each():
    found = judges(["red", "blue"], ["a", "b"], vectors=None)
    assert [len(held_out) for _, held_out in found] == [0]
    assert accuracy(found[0][0], ["red", "blue"], ["a", "b"]) == 1


def test_the_same_seed_gives_the_same():
    texts, labels = texts_of(ANIMALS + FOOD), ["animal"] * 16 + ["food"] * 16
    one, other = (
        judges(texts, labels, vectors=None, seed=3, unlabelled=texts_of(["goose", "bacon"]))
        for _ in range(2)
    )
    for (a, held), (b, again) in zip(one, other, strict=True):
        assert held.tolist() == again.tolist()
        assert a.probabilities(texts).tolist() == b.probabilities(texts).tolist()


def test_vectors_know_words_that_no_row_has(vectors):
    texts, labels = texts_of(ANIMALS[:4] + FOOD[:4]), ["animal"] * 8 + ["food"] * 8
    unseen, truth = texts_of(ANIMALS[4:] + FOOD[4:]), ["animal"] * 8 + ["food"] * 8
    plain = accuracy(Judge(vectors=None).fit(texts, labels), unseen, truth)
    knowing = accuracy(Judge(vectors=vectors).fit(texts, labels), unseen, truth)
    assert knowing >= 0.9
    assert knowing > plain


def test_texts_without_labels_are_used_only_if_they_help(vectors):
    texts, labels = texts_of(ANIMALS[:3] + FOOD[:3]), ["animal"] * 6 + ["food"] * 6
    usual = judges(texts, labels, vectors=vectors, seed=1)

    def unlikely(some):
        total = 0.0
        for judge, held_out in some:
            p = judge.probabilities([texts[i] for i in held_out])
            for n, i in enumerate(held_out):
                total -= np.log(p[n, judge.labels.index(labels[i])])
        return total

    def second_round_with(more):
        found = judges(texts, labels, vectors=vectors, seed=1, unlabelled=more)
        again = found[0][0].logs(texts)
        return not np.array_equal(again, usual[0][0].logs(texts)), unlikely(found)

    # The first texts make the held-out rows less likely, the second ones more.
    taken, nats = second_round_with(texts_of(ANIMALS[3:] + FOOD[3:]))
    assert not taken
    assert nats == pytest.approx(unlikely(usual))
    taken, nats = second_round_with([f"{a} {b}" for a in texts for b in texts])
    assert taken
    assert nats < unlikely(usual)


def test_judges_are_what_the_filters_take(vectors):
    texts, labels = texts_of(ANIMALS[:4] + FOOD[:4]), ["animal"] * 8 + ["food"] * 8
    fitted = judges(texts, labels, vectors=vectors)
    asked = [
        Candidate("my lion here", "animal", "x", None),
        Candidate("a cake .", "animal", "x", 0),
    ]
    names, p = judged(asked, fitted)
    assert names == ["animal", "food"]
    assert p[0, 0] > 0.5 > p[1, 0]
    assert p.sum(axis=1) == pytest.approx(1)


# -- the vectors -----------------------------------------------------------------------------------


def test_the_vectors_are_those_of_the_package_s_files(vectors):
    """Against a plain mean over the rows of the file, in float64."""
    from safetensors.numpy import load_file

    folder = word_vectors.Path(
        word_vectors.importlib.util.find_spec("wordllama").submodule_search_locations[0]
    )
    (table,) = load_file(folder / word_vectors._VECTORS).values()
    text = "The quick brown fox, 42 naïve cafés"
    (pieces,) = vectors._pieces([text])
    mean = table[pieces].astype(np.float64).mean(axis=0)
    found = vectors.of([text, "", "The quick brown fox, 42 naïve cafés"])
    assert found[0] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)
    assert not found[1].any()
    assert found[2].tolist() == found[0].tolist()


def test_no_network_is_touched(vectors, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a network is asked")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    word_vectors.word_vectors.cache_clear()
    found = word_vectors.word_vectors()
    assert found is not None
    judge = Judge(vectors=found).fit(texts_of(ANIMALS + FOOD), ["animal"] * 16 + ["food"] * 16)
    assert accuracy(judge, ["a wolf"], ["animal"]) == 1


def test_how_much_of_a_language_is_known(vectors):
    assert (
        vectors.known(["They went home because many people were waiting outside the school"]) > 0.8
    )
    assert vectors.known(["Старата котка спи на зеления килим до прозореца"]) < 0.2
    assert vectors.known(["12 34"]) == 1


def said(rows):
    report = Silent()
    told = []
    report.message = told.append
    return candidates._vectors(rows, report), told


def test_what_is_said_without_vectors(vectors, monkeypatch):
    english, bulgarian = (
        Rows(texts, ["a"], [1])
        for texts in (["The old cat sat on the mat"], ["Старата котка спи на зеления килим"])
    )
    found, told = said(english)
    assert isinstance(found, WordVectors)
    assert told == []
    found, told = said(bulgarian)
    assert found is None
    assert "know" in told[0]
    monkeypatch.setattr(word_vectors.importlib.util, "find_spec", lambda name: None)
    word_vectors.word_vectors.cache_clear()
    found, told = said(english)
    assert found is None
    assert "pip install 'textmill[augment]'" in told[0]
    monkeypatch.undo()
    word_vectors.word_vectors.cache_clear()


def test_files_of_another_version_are_told(vectors, monkeypatch, tmp_path):
    from types import SimpleNamespace

    from textmill.model.errors import TextmillError

    monkeypatch.setattr(
        word_vectors.importlib.util, "find_spec",
        lambda name: SimpleNamespace(submodule_search_locations=[str(tmp_path)]),
    )  # fmt: skip
    word_vectors.word_vectors.cache_clear()
    with pytest.raises(TextmillError, match=r"word vectors .* cannot be read"):
        word_vectors.word_vectors()
    monkeypatch.undo()
    word_vectors.word_vectors.cache_clear()
