"""Judges rows: what label a text has, and how sure that is.

A judge puts two logistic regressions together: one on TF-IDF of words and runs of characters, one
on vectors of words that come from outside the rows. With p and q their probabilities, its own are
proportional to p^a q^b. The exponents a and b are those under which rows that neither has seen are
most likely. So a part that does not help gets little weight, and the probabilities are calibrated,
as with temperature scaling (Guo et al. 2017).

Shapes: N rows, L labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from textmill.pipeline.augment.classifiers import (
    Classifier,
    folds_of,
    label_ids,
    tfidf_vectors,
)
from textmill.pipeline.augment.word_vectors import WordVectors

Logs = np.ndarray  # log p of each label by each part, float64 [parts, N, L]

_PENALTY = 10_000.0, 500.0  # inverse strength of the L2 penalty of each part, for a row
_LEAST = 1e-9  # added to a probability before its logarithm is taken
_TOWARDS_ONE = 1.0  # nats that an exponent costs that is one away from 1
# A second round learns from texts without labels, too, with the labels of the first round.
MOST_UNLABELLED = 2_500
_WEIGHT = 0.1  # of such a text beside a real row, times the square of its confidence


class Judge(Classifier):
    """Two logistic regressions, put together.

    Args:
        seed: of the folds in `fit`.
        vectors: of words; None leaves their part out.
    """

    name = "TF-IDF and word vectors"

    def __init__(self, *, seed: int = 0, vectors: WordVectors | None = None):
        super().__init__(seed=seed)
        self.vectors = vectors
        self.exponents = np.ones(1 if vectors is None else 2)
        self._parts: list[Callable[[Sequence[str]], np.ndarray]] = []

    def _fit(self, texts: Sequence[str], ids: np.ndarray, sources: tuple[int | None, ...]) -> None:
        names = [self.labels[i] for i in ids]
        self.exponents = judges(texts, names, vectors=self.vectors, seed=self.seed)[0][0].exponents
        self.learn(texts, ids)

    def learn(
        self, texts: Sequence[str], ids: np.ndarray, weights: np.ndarray | None = None
    ) -> None:
        """Trains both parts, and leaves the exponents as they are.

        Args:
            texts: the N texts.
            ids: places of their labels in `labels`.
            weights: of the texts, those of real rows 1; None means 1 for all.
        """
        weights = np.ones(len(texts)) if weights is None else weights
        self._parts = [_tfidf(texts, ids, weights)]
        if self.vectors is not None:
            self._parts.append(_of_vectors(self.vectors, texts, ids, weights))

    def logs(self, texts: Sequence[str]) -> Logs:
        """Gives log p of each label by each part."""
        return np.log(np.stack([part(texts) for part in self._parts]) + _LEAST)

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """See `Classifier.probabilities`."""
        return together(self.logs(texts), self.exponents)


def together(logs: Logs, exponents: np.ndarray) -> np.ndarray:
    """Gives the probabilities proportional to the product of the parts' powers, float64 [N, L]."""
    summed = np.tensordot(exponents, logs, axes=1)
    weights = np.exp(summed - summed.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def best_exponents(logs: Logs, ids: np.ndarray) -> tuple[np.ndarray, float]:
    """Finds the exponents under which rows are most likely; gives their mean -log p, too.

    Args:
        logs: of rows that the parts have not seen.
        ids: the rows' labels.
    """
    from scipy.optimize import minimize

    rows = np.arange(len(ids))

    def loss(exponents: np.ndarray) -> tuple[float, np.ndarray]:
        p = together(logs, exponents)
        away = exponents - 1
        nats = -np.log(p[rows, ids] + _LEAST**2).sum() + _TOWARDS_ONE * (away**2).sum()
        slope = (p[None] * logs).sum(axis=(1, 2)) - logs[:, rows, ids].sum(axis=1)
        return float(nats), slope + 2 * _TOWARDS_ONE * away

    bounds = [(0, None)] * len(logs)
    found = minimize(loss, np.ones(len(logs)), jac=True, bounds=bounds, method="L-BFGS-B").x
    p = together(logs, found)[rows, ids]
    return found, float(-np.log(p + _LEAST**2).mean()) if len(ids) else 0.0


def judges(
    texts: Sequence[str],
    labels: Sequence[str],
    *,
    vectors: WordVectors | None,
    folds: int = 5,
    seed: int = 0,
    unlabelled: Sequence[str] = (),
) -> list[tuple[Judge, np.ndarray]]:
    """Gives, for each fold, a judge that has not seen it, and the indices of its rows, int.

    Every row is held out once, except the only row of a label. Empty folds are left out. All judges
    have the same exponents. With texts without labels there is a second round, which is kept if it
    makes the held-out rows more likely.

    Raises:
        UsageError: as in `Classifier.fit`.
    """
    names, ids = label_ids(labels)
    fold = folds_of(labels, folds=folds, seed=seed)
    more = list(dict.fromkeys(unlabelled))
    if len(more) > MOST_UNLABELLED:
        order = np.random.default_rng(seed).permutation(len(more))[:MOST_UNLABELLED].tolist()
        more = [more[i] for i in order]
    first: list[tuple[Judge, np.ndarray]] = []
    for number in range(folds):
        held_out = np.flatnonzero(fold == number)
        if len(held_out):
            rest = np.flatnonzero(fold != number)
            judge = Judge(seed=seed, vectors=vectors)
            judge.labels = names
            judge.learn([texts[i] for i in rest.tolist()], ids[rest])
            first.append((judge, held_out))
    if not first:  # each label has one row
        judge = Judge(seed=seed, vectors=vectors)
        judge.labels = names
        judge.learn(texts, ids)
        return [(judge, np.zeros(0, np.int64))]
    found, nats = _with_exponents(first, texts, ids)
    if not more:
        return found
    second = []
    for judge, held_out in found:
        rest = np.setdiff1d(np.arange(len(texts)), held_out)
        p = judge.probabilities(more)
        again = Judge(seed=seed, vectors=vectors)
        again.labels = names
        again.learn(
            [*(texts[i] for i in rest.tolist()), *more],
            np.concatenate([ids[rest], p.argmax(axis=1)]),
            np.concatenate([np.ones(len(rest)), _WEIGHT * p.max(axis=1) ** 2]),
        )
        second.append((again, held_out))
    better, fewer = _with_exponents(second, texts, ids)
    return better if fewer < nats else found


def _with_exponents(
    fitted: list[tuple[Judge, np.ndarray]], texts: Sequence[str], ids: np.ndarray
) -> tuple[list[tuple[Judge, np.ndarray]], float]:
    """Sets the exponents of judges; gives the mean -log p of held-out rows, too."""
    logs = [judge.logs([texts[i] for i in held_out.tolist()]) for judge, held_out in fitted]
    own = np.concatenate([ids[held_out] for _, held_out in fitted])
    exponents, nats = best_exponents(np.concatenate(logs, axis=1), own)
    for judge, _ in fitted:
        judge.exponents = exponents
    return fitted, nats


# -- the parts -------------------------------------------------------------------------------------


def _tfidf(texts: Sequence[str], ids: np.ndarray, weights: np.ndarray) -> Any:
    vectors = tfidf_vectors(characters=True)
    model = _regression(vectors.fit_transform(texts), ids, weights, _PENALTY[0] / weights.sum())
    return lambda some: model.predict_proba(vectors.transform(some))


def _of_vectors(
    vectors: WordVectors, texts: Sequence[str], ids: np.ndarray, weights: np.ndarray
) -> Any:
    x = vectors.of(texts)
    mean = x[weights == 1].mean(axis=0)
    model = _regression(x - mean, ids, weights, _PENALTY[1] / (weights == 1).sum())
    return lambda some: model.predict_proba(vectors.of(some) - mean)


def _regression(x: Any, ids: np.ndarray, weights: np.ndarray, strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=strength, max_iter=300, tol=1e-3)
    return model.fit(x, ids, sample_weight=weights)
