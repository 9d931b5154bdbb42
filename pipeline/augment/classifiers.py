"""Small text classifiers, which judge candidate rows and measure whether added rows help.

scikit-learn and Keras load only when a classifier is trained.

Shapes: N rows, L labels.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from textmill.model.errors import TextmillError, UsageError

# Scripts without spaces between words (Thai, Lao, Burmese, Khmer, kana, Han), as the inside of a
# character class. Each of their characters counts as a word.
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\U00020000-\U0002fa1f"
)
# Of an added row beside a real one. With it a linear classifier, which counts words, does not lose
# what the real rows tell.
ADDED_WEIGHT = 0.1
_WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+(?:['’][^\W{UNSPACED}]+)*|[^\w\s]")


def words_and_marks(text: str) -> list[str]:
    """Splits a text into words and punctuation marks, in small letters."""
    return _WORD.findall(text.lower())


class Classifier(ABC):
    """The base of both classifiers."""

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
            texts: texts of the N rows, real rows first.
            labels: labels of the N rows.
            sources: for each added row (the last `len(sources)` of the N) the index of the real row
                that it came from, or None. TfidfClassifier gives added rows less weight.

        Raises:
            UsageError: there are fewer than two labels, or no row holds a word.
        """
        self.labels, ids = label_ids(labels)
        if not any(map(words_and_marks, texts)):
            raise UsageError("no row holds a word to learn from")
        self._fit(texts, ids, tuple(sources or ()))
        return self

    @abstractmethod
    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """Gives p(label | text), float64 [N, L], labels in the order of `labels`."""

    @abstractmethod
    def _fit(self, texts: Sequence[str], ids: np.ndarray, sources: tuple[int | None, ...]) -> None:
        """Trains on rows, at least one of which holds a word; `ids` are places in `labels`."""


def label_ids(labels: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Gives the distinct labels in order, and each row's place among them, int [N].

    Raises:
        UsageError: there are fewer than two labels.
    """
    names, ids = np.unique(np.array(labels, object).astype(str), return_inverse=True)
    if len(names) < 2:
        shown = f"only {str(names[0])!r}" if len(names) else "no row"
        raise UsageError(f"a classifier needs rows of two labels at least. Received: {shown}")
    return tuple(map(str, names)), ids


class TfidfClassifier(Classifier):
    """Logistic regression on TF-IDF of words and pairs of words.

    Nothing in it is random, so `seed` changes nothing; both classifiers have this argument.

    Args:
        penalty: the inverse strength of the L2 penalty; scikit-learn's C is this divided by the
            rows' total weight, so that repeated rows do not weaken the penalty.
        characters: whether it also uses runs of 2 to 5 characters within words, which helps with
            words that are in few rows or in none.
        added_weight: weight of an added row beside a real one.
    """

    name = "logistic regression on TF-IDF, with weights"

    def __init__(
        self,
        *,
        seed: int = 0,
        penalty: float = 10_000.0,
        characters: bool = False,
        added_weight: float = ADDED_WEIGHT,
    ):
        super().__init__(seed=seed)
        self.penalty, self.characters, self.added_weight = penalty, characters, added_weight

    def _fit(self, texts: Sequence[str], ids: np.ndarray, sources: tuple[int | None, ...]) -> None:
        from sklearn.linear_model import LogisticRegression

        self._vectors = tfidf_vectors(characters=self.characters)
        x = self._vectors.fit_transform(texts)
        weights = np.ones(len(texts))
        weights[len(texts) - len(sources) :] = self.added_weight
        self._model = LogisticRegression(C=self.penalty / weights.sum(), max_iter=300, tol=1e-3)
        self._model.fit(x, ids, sample_weight=weights)

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """See `Classifier.probabilities`."""
        return np.asarray(self._model.predict_proba(self._vectors.transform(texts)))


def tfidf_vectors(*, characters: bool) -> Any:
    """Makes scikit-learn's TF-IDF of words and pairs of words, and of runs of 2 to 5 characters."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    words = TfidfVectorizer(
        analyzer="word", ngram_range=(1, 2), tokenizer=words_and_marks, token_pattern=None,
        lowercase=False, sublinear_tf=True, dtype=np.float64,
    )  # fmt: skip
    parts = [words]
    if characters:
        parts.append(TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True))
    return make_union(*parts)


class LstmClassifier(Classifier):
    """A small LSTM with word vectors of its own, in Keras.

    Every training has the same number of steps, whatever the number of rows.

    Args:
        seed: seed of weights, dropout and order.
        settings: `augment.lstm_classifier.LstmSettings`; None takes the tuned ones.
    """

    name = "LSTM"

    def __init__(self, *, seed: int = 0, settings: Any = None):
        super().__init__(seed=seed)
        self.settings = settings

    def _fit(self, texts: Sequence[str], ids: np.ndarray, sources: tuple[int | None, ...]) -> None:
        from textmill.pipeline.augment.lstm_classifier import train

        rows = [words_and_marks(text) for text in texts]
        self._trained = train(rows, ids, seed=self.seed, settings=self.settings)

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """See `Classifier.probabilities`."""
        return np.asarray(self._trained.probabilities([words_and_marks(text) for text in texts]))


CLASSIFIERS: dict[str, Any] = {"tfidf": TfidfClassifier, "lstm": LstmClassifier}


def needs_scikit_learn() -> None:
    """Checks that scikit-learn is installed.

    Raises:
        TextmillError: it is not; the message says how to install it.
    """
    try:
        import sklearn  # noqa: F401
    except ImportError:
        raise TextmillError(
            "augmentation needs scikit-learn, which is not installed: "
            "pip install 'textmill[augment]'"
        ) from None


def folds_of(labels: Sequence[str], *, folds: int, seed: int) -> np.ndarray:
    """Gives each row a fold from 0, int [N]; each label's rows are spread randomly over the folds.

    A label's only row is in no fold (-1), because without it no classifier would know the label.
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
