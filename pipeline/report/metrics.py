"""What can be counted in texts: how diverse they are, how they repeat, what they copied.

A text here is a list of its words, as `plain_words` gives them: without case and punctuation, so
that neither hides a copy.
"""

from __future__ import annotations

import importlib.util
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache

import numpy as np

from textmill.model.errors import TextmillError

Words = Sequence[str]

_BLEU_ORDER = 4
_MOST_PLACES = 1_000  # of one run of words in the corpus that are followed up


def plain_words(text: str) -> list[str]:
    """Words in lower case: letters, their marks and digits, with apostrophes inside.

    Characters of scripts without spaces stand each for itself, as in `text.tokens`. Punctuation,
    which classifiers learn from (`augment.classifiers.words_and_marks`), would hide copies here.
    """
    return _pattern().findall(unicodedata.normalize("NFC", text).casefold().replace("’", "'"))


@cache
def _pattern() -> re.Pattern[str]:
    # Python's \w leaves out the marks that vowels of Indic scripts, Arabic and others are.
    marks = "".join(c for c in map(chr, range(0x300, 0x20000)) if unicodedata.combining(c) or
                    unicodedata.category(c) in ("Mn", "Mc"))  # fmt: skip
    unspaced = "\u3005\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
    letter = rf"(?:(?![{unspaced}_])[\w{marks}\u200c\u200d])"
    return re.compile(rf"[{unspaced}]|{letter}+(?:'{letter}+)*")


def distinct(texts: Iterable[Words], n: int) -> float | None:
    """Different n-grams over all n-grams (Li et al. 2016); none spans two texts.

    It falls with the number of words: compare equal numbers only. None where there is no n-gram.
    """
    counts = Counter(gram for text in texts for gram in _grams(text, n))
    return len(counts) / counts.total() if counts else None


def repetition(text: Words, n: int) -> float | None:
    """The share of a text's n-grams that stood in it before (seq-rep-n, Welleck et al. 2020).

    None where there is no n-gram.
    """
    grams = _grams(text, n)
    return 1 - len(set(grams)) / len(grams) if grams else None


def has_bleu() -> bool:
    """Whether the library that `self_bleu` needs is installed."""
    return importlib.util.find_spec("sacrebleu") is not None


def self_bleu(texts: Sequence[Words]) -> float | None:
    """Mean BLEU-4 of each text with all others as references, from 0 to 1 (Zhu et al. 2018).

    Of orders without a match 0.1 matches are counted (Chen and Cherry 2014, method 1), as Texygen
    does, which the measure comes from; a text that shares no word has 0, one of fewer than four
    words is judged by the orders it has. It grows with the number of texts: compare equal numbers
    only. None of fewer than two.

    Raises:
        TextmillError: sacrebleu is not installed.
    """
    if not has_bleu():
        raise TextmillError("self-BLEU needs sacrebleu: pip install 'textmill[report]'")
    from sacrebleu.metrics.bleu import BLEU

    texts = [text for text in texts if text]
    if len(texts) < 2:
        return None
    lengths = Counter(map(len, texts))
    scores = 0.0
    for text, correct in zip(texts, _matches(texts), strict=True):
        total = [max(len(text) - n, 0) for n in range(_BLEU_ORDER)]
        scores += BLEU.compute_bleu(
            correct, total, len(text), _closest(lengths, len(text)), smooth_method="floor",
            smooth_value=0.1, effective_order=True, max_ngram_order=_BLEU_ORDER,
        ).score  # fmt: skip
    return scores / len(texts) / 100


def _matches(texts: Sequence[Words]) -> Iterator[list[int]]:
    """For each text, how many of its n-grams of each order the others have, too."""
    counts = [
        Counter(gram for n in range(1, _BLEU_ORDER + 1) for gram in _grams(text, n))
        for text in texts
    ]
    # Of each n-gram the two texts that have the most: what the references of any text are left
    # with is in one of them. So the work grows with the texts, not their square.
    best: dict[tuple[str, ...], list[tuple[int, int]]] = defaultdict(list)
    for i, own in enumerate(counts):
        for gram, count in own.items():
            best[gram] = sorted((*best[gram], (count, i)))[-2:]
    for i, own in enumerate(counts):
        correct = [0] * _BLEU_ORDER
        for gram, count in own.items():
            most = max((n for n, holder in best[gram] if holder != i), default=0)
            correct[len(gram) - 1] += min(count, most)
        yield correct


def _closest(lengths: Counter[int], length: int) -> int:
    """The length closest to that of a text, of all other texts; the shorter of two."""
    others = (other for other, n in lengths.items() if n > (other == length))
    return min(others, key=lambda other: (abs(other - length), other))


def rank_frequency(counts: Counter[str], *, points: int) -> list[tuple[int, float]]:
    """(rank, share of all words) of the words in order of falling count (Zipf 1949).

    Args:
        points: about so many ranks, evenly apart on a log scale.
    """
    falling = sorted(counts.values(), reverse=True)
    if not falling:
        return []
    ranks = np.unique(np.geomspace(1, len(falling), points).round().astype(int))
    total = counts.total()
    return [(int(rank), falling[rank - 1] / total) for rank in ranks]


def run_hashes(ids: np.ndarray, n: int) -> np.ndarray:
    """uint64 [len(ids) - n + 1]: of each run of n ids, polynomials modulo 2^64."""
    count = max(len(ids) - n + 1, 0)
    mixed = ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    total = np.zeros(count, np.uint64)
    for k in range(n):
        total = total * np.uint64(0xD6E8FEB86659FD93) + mixed[k : k + count]
    return total


class CopyIndex:
    """Finds runs of `n` or more words that also stand in a corpus; none spans two of its texts.

    All runs of n words are held as a hash of 64 bits and a place, some 20 bytes a word of the
    corpus; equal hashes are compared word by word.

    Args:
        texts: of the corpus; equal ones are held once.
        n: at least 1.
        hashes: of all runs of n words.
    """

    def __init__(
        self,
        texts: Iterable[Words],
        n: int,
        *,
        hashes: Callable[[np.ndarray, int], np.ndarray] = run_hashes,
    ):
        self.n, self._hashes_of = n, hashes
        self._ids: dict[str, int] = {}
        flat = [np.zeros(0, np.int64)]
        for text in dict.fromkeys(map(tuple, texts)):
            row = [self._ids.setdefault(word, len(self._ids) + 1) for word in text]
            flat.append(np.array([*row, 0], np.int64))  # 0 parts two texts
        self._corpus = np.concatenate(flat)
        codes = hashes(self._corpus, n)
        whole = np.ones(len(codes), bool)
        for k in range(n):
            whole &= self._corpus[k : k + len(codes)] != 0
        places = np.flatnonzero(whole)
        order = np.argsort(codes[places], kind="stable")
        self._places = places[order]
        self._hashes = codes[self._places]

    def copied(self, text: Words) -> tuple[int, int]:
        """(words of the text that lie in copied runs, the length of the longest of these runs).

        A run that stands in the corpus in more than 1,000 places is followed up in the first of
        these, so there the length may come out too short.
        """
        ids = np.array([self._ids.get(word, -1) for word in text], np.int64)
        codes = self._hashes_of(ids, self.n)
        firsts = np.searchsorted(self._hashes, codes, "left")
        lasts = np.searchsorted(self._hashes, codes, "right")
        covered = np.zeros(len(ids), bool)
        lengths: dict[int, int] = {}  # of runs that end here, by the place of their last n words
        longest, before = 0, -1
        for start in np.flatnonzero(lasts > firsts).tolist():
            gram, first = ids[start : start + self.n], int(firsts[start])
            places = self._places[first : min(int(lasts[start]), first + _MOST_PLACES)].tolist()
            found = [p for p in places if (self._corpus[p : p + self.n] == gram).all()]
            known = lengths if before == start - 1 else {}
            lengths = {p: known.get(p - 1, self.n - 1) + 1 for p in found}
            before = start
            if found:
                covered[start : start + self.n] = True
                longest = max(longest, *lengths.values())
        return int(covered.sum()), longest


def _grams(text: Words, n: int) -> list[tuple[str, ...]]:
    return [tuple(text[i : i + n]) for i in range(len(text) - n + 1)]
