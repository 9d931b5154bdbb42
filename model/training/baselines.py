"""Count-based baselines: a unigram model and an interpolated modified Kneser-Ney n-gram model.

Chen and Goodman, "An empirical study of smoothing techniques for language modeling" (1999),
section 3: p(w | h) = max(c(hw) - D, 0) / c(h.) + gamma(h) p(w | h'), where h' is h without its
first word, D is one of three discounts by count (1, 2, 3 and more) estimated from the counts of
counts, and every order below the highest counts distinct left neighbours instead of occurrences.
The lowest order is interpolated with the uniform distribution over the vocabulary.
"""

from __future__ import annotations

import numpy as np

from textmill.model.network.likelihood import Likelihood
from textmill.model.text.split import Part
from textmill.model.text.vocabulary import EOS, Vocabulary


def unigram(train: Part, test: Part, vocabulary: Vocabulary) -> Likelihood:
    """Likelihood under relative frequencies of the training part, one added to each count."""
    counts = np.bincount(_sequence(train, vocabulary)[0], minlength=len(vocabulary)) + 1.0
    counts[0] = 0.0  # <pad> is never a word
    words, real = _sequence(test, vocabulary)
    nats = -np.log(counts[words[real]] / counts.sum())
    return Likelihood(float(nats.sum()), int(real.sum()))


def kneser_ney(train: Part, test: Part, vocabulary: Vocabulary, *, order: int = 5) -> Likelihood:
    """Likelihood of the test part under the n-gram model of the training part.

    In `stream` mode contexts reach across `<eos>`, as the network's state does; in `lines` mode
    they begin with the line.
    """
    words, _ = _sequence(train, vocabulary)
    test_words, real = _sequence(test, vocabulary)
    model = KneserNey(
        words, vocabulary=len(vocabulary), order=order, lines=train.lengths is not None
    )
    probabilities = model.probabilities(test_words)[real]
    return Likelihood(float(-np.log(probabilities).sum()), len(probabilities))


def _sequence(part: Part, vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    """Gives the words in order after an `<eos>`, and which of them are to be predicted."""
    ids = part.encode(vocabulary)
    if part.lengths is not None:
        # One <eos> is enough to end a line and to begin the next.
        ids = np.insert(ids, np.cumsum(part.lengths), EOS)
    words = np.concatenate([[EOS], ids])
    return words, np.arange(len(words)) > 0


class KneserNey:
    """An interpolated modified Kneser-Ney model over ids.

    Args:
        words: the training text, int [N], beginning with an `<eos>`.
        vocabulary: V, for the uniform distribution, which leaves out `<pad>`.
        order: n.
        lines: whether n-grams stop at an `<eos>`.
    """

    def __init__(self, words: np.ndarray, *, vocabulary: int, order: int = 5, lines: bool = False):
        self.order, self.vocabulary, self.lines = order, vocabulary, lines
        self._tables: list[np.ndarray] = []  # sorted keys of the n-grams of each order
        self._levels: list[_Level] = []
        self._fit(self._grams(words, learn=True))

    def _grams(self, words: np.ndarray, *, learn: bool) -> list[np.ndarray]:
        """Numbers the n-gram that ends at each position, for n = 1..; -1 if it is not known.

        An n-gram's key is (number of the (n-1)-gram of its last words, its first word), so numbers
        stay small and no key overflows.
        """
        words = words.astype(np.int64)
        keys = words.copy()
        out: list[np.ndarray] = []
        for n in range(1, self.order + 1):
            if n > 1:
                earlier = np.full(len(words), -1, np.int64)
                earlier[n - 1 :] = words[: len(words) - n + 1]
                missing = (earlier < 0) | (out[-1] < 0)
                if self.lines and n > 2:
                    missing[n - 1 :] |= words[1 : len(words) - n + 2] == EOS
                keys = np.where(missing, -1, out[-1] * self.vocabulary + earlier)
            if learn:
                table = np.unique(keys[keys >= 0])
                self._tables.append(table)
            table = self._tables[n - 1]
            if not len(table):  # no text has n words
                out.append(np.full(len(words), -1))
                continue
            at = np.minimum(np.searchsorted(table, keys), len(table) - 1)
            out.append(np.where(table[at] == keys, at, -1))
        return out

    def _fit(self, grams: list[np.ndarray]) -> None:
        # The context of the n-gram at position i is the (n-1)-gram that ends at i-1.
        for n in range(self.order, 0, -1):
            known = grams[n - 1] >= 0
            size = len(self._tables[n - 1])
            counts = np.bincount(grams[n - 1][known], minlength=size)
            if n < self.order:
                # Counts distinct left neighbours: an (n+1)-gram's key holds the n-gram it ends in.
                # An n-gram that only begins texts or lines has none and keeps its count.
                neighbours = np.bincount(self._tables[n] // self.vocabulary, minlength=size)
                counts = np.where(neighbours > 0, neighbours, counts)
            contexts = np.zeros(size, np.int64)
            if n > 1:
                before = np.concatenate([[-1], grams[n - 2][:-1]])
                contexts[grams[n - 1][known]] = before[known]
            width = len(self._tables[n - 2]) if n > 1 else 1
            self._levels.insert(0, _Level(counts, contexts, width))

    def probabilities(self, words: np.ndarray) -> np.ndarray:
        """Gives p of each word, given the words before it, float64 [N]."""
        grams = self._grams(words, learn=False)
        probability = np.full(len(words), 1.0 / (self.vocabulary - 1))
        for n in range(1, self.order + 1):
            level = self._levels[n - 1]
            if n == 1:
                contexts = np.zeros(len(words), np.int64)
            else:
                contexts = np.concatenate([[-1], grams[n - 2][:-1]])
            probability = level.interpolate(probability, grams[n - 1], contexts)
        return probability


class _Level:
    """Counts of one order: an n-gram's discounted share, and what is left for the lower order."""

    def __init__(self, counts: np.ndarray, contexts: np.ndarray, width: int):
        of_count = [int(np.sum(counts == c)) for c in range(5)]
        discounts = np.array([0.0, *_discounts(of_count)])
        self.counts = counts
        self.discounted = counts - discounts[np.minimum(counts, 3)]
        self.totals = np.bincount(contexts, weights=counts, minlength=width)
        taken = np.bincount(contexts, weights=counts - self.discounted, minlength=width)
        with np.errstate(invalid="ignore", divide="ignore"):
            self.left = np.where(self.totals > 0, taken / self.totals, 1.0)

    def interpolate(self, lower: np.ndarray, grams: np.ndarray, contexts: np.ndarray) -> np.ndarray:
        if not len(self.counts):
            return lower
        known = contexts >= 0
        known &= self.totals[np.maximum(contexts, 0)] > 0
        context = np.where(known, contexts, 0)
        seen = known & (grams >= 0)
        share = np.where(seen, self.discounted[np.maximum(grams, 0)], 0.0)
        total = np.maximum(self.totals[context], 1e-300)
        return np.where(known, share / total + self.left[context] * lower, lower)


def _discounts(of_count: list[int]) -> list[float]:
    """Gives D1, D2, D3+ from the numbers of n-grams seen 1, 2, 3 and 4 times (eq. 26).

    In tiny corpora one of these numbers may be 0; the discounts are kept inside [0, count].
    """
    n1, n2, n3, n4 = (max(n, 1) for n in of_count[1:5])
    y = n1 / (n1 + 2 * n2)
    raw = [1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3]
    return [float(np.clip(d, 0.05 * c, 0.95 * c)) for c, d in enumerate(raw, start=1)]
