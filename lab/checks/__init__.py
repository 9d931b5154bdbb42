"""The checks of the exercises, with a file for each exercise.

A check makes its inputs from a random generator, so that no answer can be known beforehand. It
raises `Wrong` with what was expected, what was received and a hint. The expected value comes from
brute force or from a property, such as probabilities that add up to 1.
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


class Exercise(NamedTuple):
    """An exercise's title, its check, its points, and whether it needs TensorFlow."""

    title: str
    check: Callable[[Any, Random], None]
    points: int
    keras: bool


EXERCISES = {
    "0": Exercise("look at the book", book.check, 5, False),
    "1": Exercise("words and back", words.check, 10, False),
    "2": Exercise("the baseline: counting", counting.check, 15, False),
    "3": Exercise("pairs, shifted by one", windows.check, 10, False),
    "4": Exercise("the LSTM", lstm.check, 15, True),
    "5": Exercise("greedy, and its cycle", greedy.check, 5, False),
    "6": Exercise("temperature", temperature.check, 10, False),
    "7": Exercise("state carried, or all again", state.check, 10, False),
    "8": Exercise("what is a good text", quality.check, 5, False),
    "many-to-one": Exercise("tour: classify", tour.classifier, 0, True),
    "one-to-many": Exercise("tour: from a vector", tour.from_vector, 0, True),
    "many-to-many": Exercise("tour: translate", tour.translator, 0, True),
}
