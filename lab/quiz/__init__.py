"""Ten questions before the lab and ten after it, in English and Bulgarian."""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LANGUAGES = ("en", "bg")
PARTS = ("before", "after")
_QUESTIONS = Path(__file__).with_name("questions.json")

# The first answers of a part: keys of choices by names of questions.
First = Mapping[str, int]


@dataclass(frozen=True)
class Choice:
    """An answer, whether it is the right one, and why.

    Attributes:
        text: the answer.
        right: whether it is the right one.
        why: why it is right, or not.
        key: its place in the file, whatever the order in which it is shown; the right one is 0.
    """

    text: str
    right: bool
    why: str
    key: int


@dataclass(frozen=True)
class Question:
    """A question and its four answers, in the order in which they are shown.

    Attributes:
        name: its name, under which answers are kept; a question that changes gets another.
        topic: what it is about, a key of `topics`.
        text: the question.
        choices: the answers.
    """

    name: str
    topic: str
    text: str
    choices: tuple[Choice, ...]


@functools.cache
def _file() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_QUESTIONS.read_text("utf-8"))
    return found


def topics(language: str) -> dict[str, str]:
    """Gives the README's section on each topic, in the README's order."""
    return {topic: both[language] for topic, both in _file()["topics"].items()}


def questions(part: str, language: str, *, seed: int = 0) -> list[Question]:
    """Gives the questions of a part, with their answers in an order that the seed decides.

    The order is the same in all languages, so that a user may switch the language.
    """
    found = []
    for number, both in enumerate(_file()[part]):
        own = both[language]
        # In the file, the right answer is the first.
        choices = [
            Choice(text, i == 0, why, i)
            for i, (text, why) in enumerate(zip(own["choices"], own["why"], strict=True))
        ]
        random.Random(f"{seed}/{part}/{number}").shuffle(choices)
        found.append(Question(both["name"], both["topic"], own["question"], tuple(choices)))
    return found


def score(first: First) -> int:
    """Counts the right ones among answers."""
    return sum(key == 0 for key in first.values())


@dataclass(frozen=True)
class Compared:
    """A question with how it was answered first.

    Attributes:
        part: `before` or `after`.
        number: its place in the part, from 1.
        text: the question.
        right: whether the first answer was right.
    """

    part: str
    number: int
    text: str
    right: bool


def compare(answers: Mapping[str, First], language: str) -> dict[str, list[Compared]]:
    """Puts the answered questions of both parts together by topic; topics without one are left out.

    Args:
        answers: the first answers of each part.
        language: that of the questions.
    """
    found: dict[str, list[Compared]] = {topic: [] for topic in topics(language)}
    for part in PARTS:
        for number, asked in enumerate(questions(part, language), start=1):
            if asked.name in answers[part]:
                right = answers[part][asked.name] == 0
                found[asked.topic].append(Compared(part, number, asked.text, right))
    return {topic: each for topic, each in found.items() if each}


def read_again(compared: Mapping[str, list[Compared]]) -> list[str]:
    """Gives the topics to read again: those of which the last part that asks has a wrong answer."""
    found = []
    for topic, each in compared.items():
        last = max((one.part for one in each), key=PARTS.index)
        if not all(one.right for one in each if one.part == last):
            found.append(topic)
    return found
