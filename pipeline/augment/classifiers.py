"""Small text classifiers: they judge candidate rows, and say whether added rows help.

scikit-learn and Keras load only when a classifier is trained.

Shapes: N rows, L labels.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np

from textmill.model.errors import TextmillError, UsageError

# Scripts that put no spaces between words (Thai, Lao, Burmese, Khmer, kana, Han), as the inside of
# a character class: each character stands for itself.
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\U00020000-\U0002fa1f"
)
_WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+(?:['’][^\W{UNSPACED}]+)*|[^\w\s]")


def words_and_marks(text: str) -> list[str]:
    """Words and punctuation marks in small letters: a classifier may learn from both."""
    return _WORD.findall(text.lower())


class Classifier(ABC):
    """What both classifiers can do."""

    def __init__(self, *, seed: int = 0):
        self.seed = seed
        self.labels: tuple[str, ...] = ()

    def fit(
        self,
        texts: Sequence[str],
        labels: Sequence[str],
        *,
        sources: Sequence[int | None] | None = None,
    ) -> Self:
        """Trains on rows.

        Args:
            texts, labels: of the N rows, real ones first.
            sources: of the added rows, which are the last `len(sources)` of the N: the index of the
                real row that each came from, None where it came from no single one.

        Raises:
            UsageError: there are not two labels at least, or no row holds a word.
        """
        self.labels, ids = label_ids(labels)
        if not any(map(words_and_marks, texts)):
            raise UsageError("no row holds a word to learn from")
        self._fit(texts, ids, tuple(sources or ()))
        return self

    @abstractmethod
    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """p(label | text), float64 [N, L], labels in the order of `labels`."""

    @abstractmethod
    def _fit(self, texts: Sequence[str], ids: np.ndarray, sources: tuple[int | None, ...]) -> None:
        """Trains on rows of which one at least holds a word; `ids` are places in `labels`."""


def label_ids(labels: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """The distinct labels in order, and each row's place among them, int [N].

    Raises:
        UsageError: there are not two at least.
    """
    names, ids = np.unique(np.array(labels, object).astype(str), return_inverse=True)
    if len(names) < 2:
        shown = f"only {str(names[0])!r}" if len(names) else "no row"
        raise UsageError(f"a classifier needs rows of two labels at least. Received: {shown}")
    return tuple(map(str, names)), ids


class TfidfClassifier(Classifier):
    """Logistic regression on TF-IDF of words and pairs of words.

    It has no part that is left to chance, so `seed` changes nothing; it is there to be made as the
    other one is.

    Args:
        penalty: the inverse strength of the L2 penalty, scikit-learn's C, for `per_row` rows of
            loss. Loss is a mean here, so that rows which are there twice do not weaken it.
        characters: whether it sees runs of 2 to 5 characters within words, too: a better judge of
            words that few rows or none hold.
    """

    name = "logistic regression on TF-IDF"

    def __init__(self, *, seed: int = 0, penalty: float = 10_000.0, characters: bool = False):
        super().__init__(seed=seed)
        self.penalty, self.characters = penalty, characters

    def _fit(self, texts: Sequence[str], ids: np.ndarray, sources: tuple[int | None, ...]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_union

        words = TfidfVectorizer(
            analyzer="word", ngram_range=(1, 2), tokenizer=words_and_marks, token_pattern=None,
            lowercase=False, sublinear_tf=True, dtype=np.float64,
        )  # fmt: skip
        parts = [words]
        if self.characters:
            runs = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
            parts.append(runs)
        self._vectors = make_union(*parts)
        x = self._vectors.fit_transform(texts)
        self._model = LogisticRegression(C=self.penalty / len(texts), max_iter=300, tol=1e-3)
        self._model.fit(x, ids)

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """See `Classifier.probabilities`."""
        return np.asarray(self._model.predict_proba(self._vectors.transform(texts)))


class LstmClassifier(Classifier):
    """A small LSTM with word vectors of its own, in Keras.

    Every training makes the same number of steps at most, whatever the number of rows, and stops
    early by the accuracy on a part of the real rows. Added rows that came from that part are left
    out.

    Args:
        seed: of weights, dropout, order, and of the rows held out.
        settings: `augment.lstm_classifier.LstmSettings`; None takes the tuned ones.
    """

    name = "LSTM"

    def __init__(self, *, seed: int = 0, settings: Any = None):
        super().__init__(seed=seed)
        self.settings = settings

    def _fit(self, texts: Sequence[str], ids: np.ndarray, sources: tuple[int | None, ...]) -> None:
        from textmill.pipeline.augment.lstm_classifier import train

        rows = [words_and_marks(text) for text in texts]
        self._trained = train(rows, ids, sources=sources, seed=self.seed, settings=self.settings)

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """See `Classifier.probabilities`."""
        return np.asarray(self._trained.probabilities([words_and_marks(text) for text in texts]))


CLASSIFIERS: dict[str, Any] = {"tfidf": TfidfClassifier, "lstm": LstmClassifier}


def needs_scikit_learn() -> None:
    """Says what to install where it is missing.

    Raises:
        TextmillError: it is.
    """
    try:
        import sklearn  # noqa: F401
    except ImportError:
        raise TextmillError(
            "augmentation needs scikit-learn, which is not installed: "
            "pip install 'textmill[augment]'"
        ) from None


def folds_of(labels: Sequence[str], *, folds: int, seed: int) -> np.ndarray:
    """A fold from 0 for each row, int [N]; each label is dealt out over the folds in random order.

    A label's only row is in no fold (-1): without it nobody could know the label.
    """
    names = np.array(labels, object).astype(str)
    random = np.random.default_rng([seed, folds])
    found = np.full(len(names), -1)
    dealt = 0
    for label in np.unique(names):
        rows = random.permutation(np.flatnonzero(names == label))
        if len(rows) > 1:
            found[rows] = (dealt + np.arange(len(rows))) % folds
            dealt += len(rows)
    return found


def cross_fitted(
    texts: Sequence[str], labels: Sequence[str], *, folds: int = 5, seed: int = 0
) -> Iterator[tuple[TfidfClassifier, np.ndarray]]:
    """For each fold a classifier that has not seen it, and the indices of its rows.

    Every row is held out once, but for the only row of a label. Folds without a row are left out.

    Raises:
        UsageError: as `Classifier.fit`.
    """
    fold = folds_of(labels, folds=folds, seed=seed)
    for number in range(folds):
        held_out = np.flatnonzero(fold == number)
        if not len(held_out):
            continue
        rest = np.flatnonzero(fold != number).tolist()
        judge = TfidfClassifier(seed=seed, characters=True)
        fitted = judge.fit([texts[i] for i in rest], [labels[i] for i in rest])
        yield fitted, held_out
