"""The checks of the exercises, with a file for each exercise and a check for each function.

A check gets the student's functions and a random generator, from which it draws all its inputs, so
that no answer can be known beforehand. It raises `Wrong` with what was expected, what was received
and a hint. The expected value comes from brute force or from a property, such as probabilities that
add up to 1. If a function may call another one of the exercises, the check lends a right one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from lab.checks import (
    book,
    counting,
    greedy,
    lstm,
    quality,
    state,
    temperature,
    tour,
    windows,
    words,
)
from lab.checks.expect import Random

Check = Callable[[Any, Random], None]


class Exercise(NamedTuple):
    """An exercise's title, the checks and points of its functions; whether it needs a library."""

    title: str
    checks: dict[str, Check]
    points_of: dict[str, int]
    keras: bool = False

    @property
    def points(self) -> int:
        """The points of all its functions."""
        return sum(self.points_of.values())


def _exercise(title: str, *rows: tuple[Check, int], keras: bool = False) -> Exercise:
    """Makes an exercise; a check is called as the function that it checks."""
    checks = {check.__name__: check for check, _ in rows}
    return Exercise(title, checks, {check.__name__: points for check, points in rows}, keras)


EXERCISES = {
    "0": _exercise("look at the book", (book.count_words, 2), (book.coverage, 3)),
    "1": _exercise(
        "words and back",
        (words.tokenize, 4),
        (words.detokenize, 2),
        (words.make_vocabulary, 2),
        (words.encode, 2),
    ),
    "2": _exercise(
        "the baseline: counting",
        (counting.count_ngrams, 3),
        (counting.ngram_distribution, 5),
        (counting.perplexity, 2),
        (counting.tune_weights, 5),
    ),
    "3": _exercise("pairs, shifted by one", (windows.make_windows, 10)),
    "4": _exercise("the LSTM", (lstm.build_model, 10), (lstm.loss, 5), keras=True),
    "5": _exercise("greedy, and its cycle", (greedy.greedy, 2), (greedy.find_cycle, 3)),
    "6": _exercise("temperature", (temperature.sample, 10)),
    "7": _exercise(
        "state carried, or all again",
        (state.generate_with_state, 5),
        (state.generate_by_rerunning, 5),
    ),
    "8": _exercise(
        "what is a good text",
        (quality.distinct, 2),
        (quality.repetition, 1),
        (quality.copied_share, 2),
    ),
    "many-to-one": _exercise("tour: classify", (tour.build_classifier, 0), keras=True),
    "one-to-many": _exercise("tour: from a vector", (tour.build_from_vector, 0), keras=True),
    "many-to-many": _exercise("tour: translate", (tour.build_translator, 0), keras=True),
}
