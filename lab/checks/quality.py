"""Exercise 8: distinct n-grams, repetition, copied share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lab.checks.expect import Random, close, number


def check(ex: Any, random: Random) -> None:
    """Checks with texts of few different words, so that n-grams repeat."""
    for n in (1, 2, 3):
        texts = [random.integers(0, 4, int(length)).tolist() for length in (9, 1, 14, 6)]
        rows = [_grams(text, n) for text in texts]
        grams = [gram for row in rows for gram in row]
        received = ex.distinct([list(text) for text in texts], n)
        hint = "different n-grams of all texts together, over the number of all n-grams"
        single = np.mean([len(set(row)) / len(row) for row in rows if row])
        across = _grams([word for text in texts for word in text], n)
        if np.isclose(number(received), single):
            hint = "that is the mean of the texts: an n-gram that two texts have counts once in all"
        elif np.isclose(number(received), len(set(across)) / len(across)):
            hint = "no n-gram spans two texts"
        close(f"distinct, n = {n}", received, len(set(grams)) / len(grams), hint)
        seen: list[tuple[int, ...]] = []
        again = 0
        for gram in rows[2]:
            again += gram in seen
            seen.append(gram)
        received = ex.repetition(list(texts[2]), n)
        hint = "an n-gram is a repetition if it stood in the text before; its first time is none"
        close(f"repetition, n = {n}", received, again / len(rows[2]), hint)
        book, text = random.integers(0, 5, 60).tolist(), random.integers(0, 5, 30).tolist()
        known = [gram in _grams(book, n) for gram in _grams(text, n)]
        marks = [False] * len(text)
        for i, hit in enumerate(known):
            if hit:
                marks[i : i + n] = [True] * n
        received = ex.copied_share(list(text), list(book), n)
        hint = "mark all n words of each n-gram that the book has; the share of marked words"
        if n > 1 and np.isclose(number(received), np.mean(known)):
            hint = "that is the share of n-grams: count the words that lie in one"
        close(f"copied_share, n = {n}", received, sum(marks) / len(marks), hint)


def _grams(text: Sequence[int], n: int) -> list[tuple[int, ...]]:
    return [tuple(text[i : i + n]) for i in range(len(text) - n + 1)]
