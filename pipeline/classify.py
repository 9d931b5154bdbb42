"""The small classifier that judges generated rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class TfidfClassifier:
    """Logistic regression on TF-IDF of words and pairs of words.

    Attributes:
        labels: in the order of the probabilities' columns.
    """

    labels: tuple[str, ...]

    def fit(self, texts: Sequence[str], labels: Sequence[str]) -> TfidfClassifier:
        """Learns from labelled texts."""
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+|[^\w\s]")
        self._model = make_pipeline(words, LogisticRegression(C=10.0, max_iter=1000))
        self._model.fit(list(texts), list(labels))
        self.labels = tuple(str(label) for label in self._model.classes_)
        return self

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """Of each label, float64 [N, L]."""
        return np.asarray(self._model.predict_proba(list(texts)), np.float64)


def cross_fitted(
    texts: Sequence[str], labels: Sequence[str], *, folds: int = 5, seed: int = 0
) -> list[tuple[TfidfClassifier, np.ndarray]]:
    """Classifiers, each with the numbers of the rows that it has not seen; every row is in one."""
    random = np.random.default_rng(seed)
    fold = np.zeros(len(texts), np.int64)
    names = np.array(labels)
    start = 0
    for name in sorted(set(labels)):
        rows = random.permutation(np.flatnonzero(names == name))
        fold[rows] = (start + np.arange(len(rows))) % folds
        start += len(rows)
    found = []
    for i in range(folds):
        held_out = np.flatnonzero(fold == i)
        seen = np.flatnonzero(fold != i).tolist()
        if len(held_out) and len({labels[j] for j in seen}) > 1:
            classifier = TfidfClassifier().fit([texts[j] for j in seen], [labels[j] for j in seen])
            found.append((classifier, held_out))
    return found
