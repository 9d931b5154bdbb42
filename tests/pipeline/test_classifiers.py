"""Classifiers: what they learn, what they may not see, and that the same seed gives the same."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from textmill.model.errors import UsageError
from textmill.pipeline.augment.classifiers import (
    LstmClassifier,
    TfidfClassifier,
    folds_of,
    words_and_marks,
)

ANIMALS = ("cat", "dog", "owl")


def rows(count):
    """Texts whose label depends on one word among others."""
    random = np.random.default_rng(0)
    labels = [ANIMALS[i % 3] for i in range(count)]
    texts = []
    for label in labels:
        words = [f"w{i}" for i in random.integers(0, 20, random.integers(2, 9))]
        words.insert(random.integers(len(words) + 1), label + "like")
        texts.append(" ".join(words))
    return texts, labels


def right(classifier, texts, labels):
    best = classifier.probabilities(texts).argmax(axis=1)
    return np.mean([classifier.labels[i] == label for i, label in zip(best, labels, strict=True)])


@pytest.fixture(scope="module")
def lstm():
    texts, labels = rows(120)
    return LstmClassifier(seed=3).fit(texts, labels)


def test_words():
    assert words_and_marks("Don't STOP, Élan 42!") == ["don't", "stop", ",", "élan", "42", "!"]
    assert words_and_marks("我爱Python") == ["我", "爱", "python"]
    assert words_and_marks(" \n") == []


def test_tfidf_learns_and_gives_probabilities():
    texts, labels = rows(60)
    found = TfidfClassifier().fit(texts, labels)
    assert found.labels == ANIMALS
    p = found.probabilities(["catlike", "nothing known", ""])
    assert p.shape == (3, 3)
    assert p.sum(axis=1) == pytest.approx(1)
    assert p[0].argmax() == 0
    assert right(found, *rows(60)) == 1


def test_tfidf_knows_pairs_of_words():
    texts = ["not good but bad", "not bad but good"] * 20
    found = TfidfClassifier().fit(texts, ["minus", "plus"] * 20)
    assert right(found, texts[:2], ["minus", "plus"]) == 1


def test_rows_that_are_there_twice_change_nothing():
    texts, labels = rows(30)
    once = TfidfClassifier().fit(texts, labels).probabilities(texts)
    twice = TfidfClassifier().fit(texts * 2, labels * 2).probabilities(texts)
    assert twice == pytest.approx(once, abs=0.02)


def test_added_rows_count_for_their_weight():
    """Ten added copies of a row are one more real one."""
    texts, labels = rows(30)
    found = TfidfClassifier().fit(
        texts + texts[:1] * 10, labels + labels[:1] * 10, sources=[None] * 10
    )
    vectors = found._vectors
    weights = np.array([2.0] + [1.0] * 29)
    again = LogisticRegression(C=10_000 / 31, max_iter=300, tol=1e-3)
    again.fit(vectors.transform(texts), labels, sample_weight=weights)
    asked = ["catlike w1", "w3 w4", "doglike"]
    expected = again.predict_proba(vectors.transform(asked))
    assert found.probabilities(asked) == pytest.approx(expected, abs=1e-3)
    usual = TfidfClassifier(added_weight=1.0).fit(
        texts + texts[:1] * 10, labels + labels[:1] * 10, sources=[None] * 10
    )
    assert usual.probabilities(asked) != pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("kind", [TfidfClassifier, LstmClassifier])
def test_rows_of_no_use_are_refused(kind):
    with pytest.raises(UsageError, match=r"two labels at least\. Received: only 'a'"):
        kind().fit(["x", "y"], ["a", "a"])
    with pytest.raises(UsageError, match="Received: no row"):
        kind().fit([], [])
    with pytest.raises(UsageError, match="no row holds a word"):
        kind().fit([" ", ""], ["a", "b"])


@pytest.mark.long
def test_lstm_learns(lstm):
    assert lstm.labels == ANIMALS
    p = lstm.probabilities(["w1 catlike w2", "w3 doglike", "owllike", ""])
    assert p.shape == (4, 3)
    assert p.sum(axis=1) == pytest.approx(1)
    assert p[:3].argmax(axis=1).tolist() == [0, 1, 2]


def test_lstm_of_a_seed_is_the_same_whatever_was_trained_between(lstm):
    texts, labels = rows(120)
    again = LstmClassifier(seed=3).fit(texts, labels)
    assert np.array_equal(again.probabilities(texts), lstm.probabilities(texts))


def test_lstm_does_not_see_padding(lstm):
    alone = lstm.probabilities(["w1 catlike"])
    beside = lstm.probabilities(["w1 catlike", " ".join(["w2"] * 30)])
    assert beside[0] == pytest.approx(alone[0], abs=1e-6)


def test_lstm_learns_from_all_rows_at_a_falling_rate(monkeypatch):
    from textmill.pipeline.augment import lstm_classifier as module

    rates, seen = [], []
    train = module.Network.train_on_batch

    def noted(network, ids, labels):
        rates.append(float(network.optimizer.learning_rate.numpy()))
        seen.extend(ids[:, 0].tolist())
        return train(network, ids, labels)

    monkeypatch.setattr(module.Network, "train_on_batch", noted)
    rows = [[f"row{i}"] for i in range(64)]
    module.train(rows, np.array([0, 1] * 32), settings=module.LstmSettings(steps=4))
    peak = module.LstmSettings().rate
    assert rates == pytest.approx([peak, 0.75 * peak, 0.5 * peak, 0.25 * peak])
    assert Counter(seen) == dict.fromkeys(range(2, 66), 2)  # two passes over all 64


@given(
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=40),
    st.integers(2, 6),
    st.integers(0, 99),
)
def test_folds_share_out_each_label(labels, folds, seed):
    fold = folds_of(labels, folds=folds, seed=seed)
    for label in set(labels):
        own = [f for f, name in zip(fold, labels, strict=True) if name == label]
        if len(own) == 1:
            assert own == [-1]
        else:
            sizes = [own.count(i) for i in range(folds)]
            assert sum(sizes) == len(own)
            assert max(sizes) - min(sizes) <= 1
    sizes = [int(np.sum(fold == i)) for i in range(folds)]
    assert max(sizes) - min(sizes) <= 1


def test_with_characters_a_word_is_judged_by_its_parts():
    texts = [f"{part}{i}" for i in range(6) for part in ("purr", "bark")]
    labels = ["cat", "dog"] * 6
    unseen = ["purrs", "barks"]
    words = TfidfClassifier().fit(texts, labels).probabilities(unseen)
    assert words[0] == pytest.approx(words[1])
    both = TfidfClassifier(characters=True).fit(texts, labels)
    assert [both.labels[i] for i in both.probabilities(unseen).argmax(axis=1)] == ["cat", "dog"]
