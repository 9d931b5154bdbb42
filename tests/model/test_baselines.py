"""Count-based models against brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest

from textmill.model.settings import TrainSettings, VocabularySettings
from textmill.model.text.corpus import built_in_corpus
from textmill.model.text.split import Part, split, tokenized_part
from textmill.model.text.vocabulary import EOS
from textmill.model.training.baselines import KneserNey, kneser_ney, unigram
from textmill.model.training.train import make_feeder


def brute_kneser_ney(train, order, vocabulary, *, lines):
    """The model again with dictionaries, from the paper's recursion."""
    grams = [{} for _ in range(order + 1)]
    for i in range(len(train)):
        for n in range(1, order + 1):
            if i - n + 1 < 0:
                break
            gram = tuple(train[i - n + 1 : i + 1])
            if lines and EOS in gram[1:-1]:
                continue
            grams[n][gram] = grams[n].get(gram, 0) + 1
    counts = [None, *({} for _ in range(order))]
    counts[order] = grams[order]
    for n in range(1, order):
        left = {}
        for gram in grams[n + 1]:
            left[gram[1:]] = left.get(gram[1:], 0) + 1
        counts[n] = {gram: left.get(gram, count) for gram, count in grams[n].items()}
    discounts = [None]
    for n in range(1, order + 1):
        of = [max(sum(c == k for c in counts[n].values()), 1) for k in range(5)]
        y = of[1] / (of[1] + 2 * of[2])
        raw = [k - (k + 1) * y * of[k + 1] / of[k] for k in (1, 2, 3)]
        discounts.append([0, *(min(max(d, 0.05 * k), 0.95 * k) for k, d in enumerate(raw, 1))])

    def probability(word, history):
        p = 1 / (vocabulary - 1)
        for n in range(1, order + 1):
            if n - 1 > len(history):
                break
            context = tuple(history[len(history) - n + 1 :])
            if lines and EOS in context[1:]:
                break
            rows = {g: c for g, c in counts[n].items() if g[:-1] == context}
            if not rows:
                break
            total = sum(rows.values())
            cut = {g: discounts[n][min(c, 3)] for g, c in rows.items()}
            gram = (*context, word)
            p = (rows.get(gram, 0) - cut.get(gram, 0)) / total + sum(cut.values()) / total * p
        return p

    return probability


@pytest.mark.parametrize("lines", [False, True])
def test_kneser_ney_against_brute_force(lines):
    random = np.random.default_rng(0)
    train = np.concatenate(
        [[EOS], random.choice(np.arange(1, 8), 400, p=[0.3, 0.2, 0.2, 0.1, 0.1, 0.05, 0.05])]
    )
    test = np.concatenate([[EOS], random.integers(1, 9, 60)])
    model = KneserNey(train, vocabulary=9, order=4, lines=lines)
    brute = brute_kneser_ney(train.tolist(), 4, 9, lines=lines)
    found = model.probabilities(test)
    for i in range(1, len(test)):
        history = test[max(0, i - 3) : i].tolist()
        assert found[i] == pytest.approx(brute(int(test[i]), history), rel=1e-9), i


def test_kneser_ney_of_lines_too_short_for_its_order():
    train = np.array([EOS, 3, EOS, 4, EOS, 3, EOS])
    found = KneserNey(train, vocabulary=6, order=5, lines=True).probabilities(train)
    assert ((found > 0) & (found < 1)).all()


def test_kneser_ney_sums_to_one():
    train = np.concatenate([[EOS], np.random.default_rng(1).integers(1, 7, 300)])
    model = KneserNey(train, vocabulary=7, order=5)
    for history in ([EOS, 3, 4, 5], [EOS, 1, 1, 1], [EOS]):
        total = sum(model.probabilities(np.array([*history, word]))[-1] for word in range(1, 7))
        assert total == pytest.approx(1.0, rel=1e-9)


def test_unigram(make_model):
    model = make_model(["a", "b"])
    words = ["a", "b", "c"]
    train = Part(np.array([0, 0, 1, END_ID], np.int32), None, None, words)
    test = Part(np.array([0, 2], np.int32), None, None, words)
    # counts with one added, and the <eos> before the text: unk 1, eos 3, a 3, b 2
    assert train.ends == 1
    found = unigram(train, test, model.vocabulary)
    assert found.nats == pytest.approx(-math.log(3 / 9) - math.log(1 / 9))


END_ID = -1


def test_kneser_ney_on_a_book():
    """On the text every Python carries; other versions of Python have a little more of it."""
    parts = split(tokenized_part(built_in_corpus(), level="word", mode="stream"))
    from textmill.model.text.vocabulary import Vocabulary

    vocabulary = Vocabulary.build(
        parts["train"].words, parts["train"].counts(), VocabularySettings()
    )
    assert 60 < kneser_ney(parts["train"], parts["test"], vocabulary).perplexity < 80
    assert unigram(parts["train"], parts["test"], vocabulary).perplexity > 250
    assert make_feeder(parts["train"], vocabulary, TrainSettings(), ()).windows > 20
