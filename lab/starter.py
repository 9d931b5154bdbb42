"""The file of exercises as students begin with it, in English or in another language."""

from __future__ import annotations

import ast
import tokenize
from pathlib import Path

from lab import language
from lab.language import ENGLISH
from lab.messages import EXERCISES, of_exercises
from textmill.model.errors import TextmillError

_NO_PYTHON = (SyntaxError, tokenize.TokenError)  # what a student is still writing may be none


def starter(name: str) -> str:
    """Gives the text of the exercises in a language, as students begin with it.

    Raises:
        TextmillError: it is to be English, but lab/exercises.py has another language by now, or
            solutions.
    """
    file = language.exercises(name)
    text = file.read_text("utf-8")
    if name == ENGLISH and not _is_starter(text):
        raise TextmillError(
            f"{file} is no longer the English file without solutions; keep yours elsewhere, and "
            "take that one from the repository: git checkout lab/exercises.py"
        )
    return text


def _is_starter(text: str) -> bool:
    """Whether exercises are in English, and nothing was written into them."""
    told = {
        " ".join(text.split())
        for name in language.languages()[1:]
        for message, text in language.translations(name, of=EXERCISES).items()
        if text != message
    }
    try:
        spots = of_exercises(text)
    except _NO_PYTHON:
        return False
    functions = [each for each in ast.parse(text).body if isinstance(each, ast.FunctionDef)]
    return not any(" ".join(spot.message.split()) in told for spot in spots) and all(
        ast.unparse(each.body[-1]) == "raise NotImplementedError" for each in functions
    )


def take_exercises(name: str) -> Path:
    """Makes `exercises.py` the one of a language, unless something was written into it.

    Raises:
        TextmillError: it was changed.
    """
    own, wanted = language.exercises(ENGLISH), language.exercises(name)
    text, fresh = own.read_text("utf-8"), starter(name)
    try:
        changed = text != fresh and language.exercises_in(name, text) != fresh
    except _NO_PYTHON:
        changed = True
    if changed:
        raise TextmillError(f"{own} was changed, so it stays; the exercises are in {wanted}, too")
    part = own.with_name(own.name + ".part")
    part.write_text(fresh, encoding="utf-8")
    part.replace(own)  # whole, or not at all
    return own
