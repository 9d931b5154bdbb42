"""Exercise 8: distinct n-grams, repetition, copied share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lab.checks.expect import Random, close, number

# Ids that are found in one another as texts: "1 2" is in "11 2", and "12" is "1" and "2".
_ALIKE = (1, 2, 11, 12, 21, 22, 111, 112)


def distinct(ex: Any, random: Random) -> None:
    """Checks several texts of few different words."""
    for n in (1, 2, 3, 2):
        words = 4 if n < 3 else 3
        lengths = [9, *(int(length) for length in random.permutation([1, 14, 6, 0]))]
        texts = [_text(random, length, words) for length in lengths]
        rows = [_grams(text, n) for text in texts]
        grams = [gram for row in rows for gram in row]
        received = ex.distinct(texts, n)
        hint = "different n-grams of all texts together, over the number of all n-grams"
        single = np.mean([len(set(row)) / len(row) for row in rows if row])
        across = _grams([word for text in texts for word in text], n)
        if np.isclose(number(received), single):
            hint = "that is the mean of the texts: an n-gram that two texts have counts once in all"
        elif np.isclose(number(received), len(set(across)) / len(across)):
            hint = "no n-gram spans two texts"
        elif np.isclose(number(received), len(set(map(_joined, grams))) / len(grams)):
            hint = "n-grams are compared word by word, not as texts: (1, 12) is not (11, 2)"
        elif np.isclose(number(received), len(set(grams))):
            hint = "that is how many there are: divide by the number of all n-grams"
        close(f"distinct, n = {n}", received, len(set(grams)) / len(grams), hint)
    few = [_text(random, 2, 4), [], _text(random, 1, 4)]
    hint = "without n-grams, 0: do not divide by 0"
    close("distinct of texts shorter than n", ex.distinct(few, 3), 0.0, hint)


def repetition(ex: Any, random: Random) -> None:
    """Checks texts of few different words."""
    for n in (1, 2, 3, 2):
        text = _text(random, int(random.integers(14, 25)), 4 if n < 3 else 3)
        seen: list[tuple[int, ...]] = []
        again = 0
        grams = _grams(text, n)
        for gram in grams:
            again += gram in seen
            seen.append(gram)
        received = ex.repetition(text, n)
        twice = sum(grams.count(gram) > 1 for gram in grams)
        hint = (
            "the share of all n-grams, over how many there are, that stood in the text before: an "
            "n-gram's first time is no repetition"
        )
        if np.isclose(number(received), again):
            hint = "that is how many there are: the share is over all n-grams"
        elif np.isclose(number(received), twice / len(grams)):
            hint = "the first time that an n-gram stands in the text is no repetition"
        close(f"repetition, n = {n}", received, again / len(grams), hint)
    hint = "without n-grams, 0: do not divide by 0"
    close("repetition of a text shorter than n", ex.repetition([1], 2), 0.0, hint)


def copied_share(ex: Any, random: Random) -> None:
    """Checks texts whose n-grams are in the book in part, also as parts of longer numbers."""
    for n in (1, 2, 3, 2, 3):
        book, text = _text(random, 60, 8), _text(random, 30, 8)
        if n == 1:  # else every word is in the book
            book = [word for word in book if word not in (1, 2, 11)]
            text[:3] = [1, 2, 11]
        book = [
            *random.permutation([901, 902, 903]).tolist(),
            *book,
            *random.permutation(7).tolist(),
        ]
        text[5 : 5 + n + 1] = book[: n + 1]  # its first n-grams, and its last
        text[12 : 12 + n] = book[-n:]
        known = [gram in _grams(book, n) for gram in _grams(text, n)]
        marks = [False] * len(text)
        for i, hit in enumerate(known):
            if hit:
                marks[i : i + n] = [True] * n
        received = ex.copied_share(text, book, n)
        hint = (
            "the share of marked words: mark all n words of every n-gram that the book has, from "
            "its first to its last, compared word by word (1 2 is not in 11 2)"
        )
        if n > 1 and np.isclose(number(received), np.mean(known)):
            hint = "that is the share of n-grams: count the words that lie in one"
        elif n > 1 and np.isclose(number(received), _as_texts(text, book, n)):
            hint = "n-grams are compared word by word, not as parts of a text: 1 2 is not in 11 2"
        elif np.isclose(number(received), sum(marks)):
            hint = "that is how many words: divide by the length of the text"
        close(f"copied_share, n = {n}", received, sum(marks) / len(marks), hint)
    hint = "a word in no n-gram of the book is not copied; in an empty text nothing is: 0"
    close("copied_share of a text shorter than n", ex.copied_share([1, 2], [1, 2, 1], 3), 0.0, hint)
    close("copied_share of an empty text", ex.copied_share([], [1, 2], 2), 0.0, hint)


def _text(random: Random, length: int, words: int) -> list[int]:
    return [_ALIKE[i] for i in random.integers(0, words, length)]


def _grams(text: Sequence[int], n: int) -> list[tuple[int, ...]]:
    return [tuple(text[i : i + n]) for i in range(len(text) - n + 1)]


def _joined(gram: Sequence[int]) -> str:
    return "".join(map(str, gram))


def _as_texts(text: Sequence[int], book: Sequence[int], n: int) -> float:
    """Gives the share of words in n-grams that are somewhere in the book, written as a text."""
    written, marks = " ".join(map(str, book)), np.zeros(len(text), bool)
    for i, gram in enumerate(_grams(text, n)):
        marks[i : i + n] |= " ".join(map(str, gram)) in written
    return float(marks.mean())
