"""Ten questions before the lab and ten after it, in English and Bulgarian."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LANGUAGES = ("en", "bg")
PARTS = ("before", "after")
_QUESTIONS = Path(__file__).with_name("questions.json")


@dataclass(frozen=True)
class Choice:
    """An answer, whether it is the right one, and why."""

    text: str
    right: bool
    why: str


@dataclass(frozen=True)
class Question:
    """A question and its four answers, in the order in which they are shown."""

    text: str
    choices: tuple[Choice, ...]


def questions(part: str, language: str, *, seed: int = 0) -> list[Question]:
    """Gives the questions of a part, with their answers in an order that the seed decides.

    The order is the same in all languages, so that a user may switch the language.
    """
    found = []
    for number, both in enumerate(json.loads(_QUESTIONS.read_text("utf-8"))[part]):
        own = both[language]
        # In the file, the right answer is the first.
        choices = [
            Choice(text, i == 0, why)
            for i, (text, why) in enumerate(zip(own["choices"], own["why"], strict=True))
        ]
        random.Random(f"{seed}/{part}/{number}").shuffle(choices)
        found.append(Question(own["question"], tuple(choices)))
    return found


def score(asked: Sequence[Question], answers: Sequence[int]) -> int:
    """Counts the right answers; an answer is a choice's place."""
    return sum(q.choices[a].right for q, a in zip(asked, answers, strict=True))
