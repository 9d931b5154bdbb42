"""Which columns of a prompt file hold prompts and ids, and what the others are called here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from textmill.model.errors import TextmillError
from textmill.pipeline.prompts.reading import InputSettings
from textmill.pipeline.prompts.rows import FIELDS


def own_names(names: Sequence[str], reading: InputSettings) -> dict[str, str]:
    """Gives the names that a row's fields have here, by the names in the file.

    The prompt's and the id's columns become `prompt` and `id`. Another field with one of these
    names is copied to the output with `input_` before its name.
    """
    own = {reading.prompt_column: "prompt", reading.id_column: "id"}
    taken = {*names, "prompt", "id"}
    for name in ("prompt", "id"):
        if name in names and name not in own:
            own[name] = f"input_{name}"
            while own[name] in taken:
                own[name] = f"input_{own[name]}"
    return {name: own.get(name, name) for name in names}


def with_own_names(row: dict[str, Any], reading: InputSettings) -> dict[str, Any]:
    """Gives a row with the names of `own_names`."""
    if reading.prompt_column == "prompt" and reading.id_column == "id":
        return row
    names = own_names(tuple(row), reading)
    return {names[name]: value for name, value in row.items()}


def own_columns(path: str, columns: Sequence[str], reading: InputSettings) -> dict[str, str]:
    """Checks a table's columns; gives their names here by their names in the file.

    Raises:
        TextmillError: one is missing, stands there twice, or is not allowed because of `strict`.
    """
    for name in _wanted(reading):
        if name not in columns:
            raise TextmillError(_no_column(path, name, columns, reading))
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise TextmillError(f"{path}: the column {twice[:100]!r} stands there twice; rename one")
    known = (*FIELDS, *reading.starts)
    unknown = [name for name in own_names(columns, reading).values() if name not in known]
    if reading.strict and unknown:
        raise TextmillError(
            f"{path}: unknown column {unknown[0][:100]!r}; with --strict only {', '.join(known)} "
            "are allowed"
        )
    return own_names(columns, reading)


class Lacking:
    """The fields that must be in some object of a file, and are not."""

    def __init__(self, reading: InputSettings):
        self._reading = reading
        self._names = _wanted(reading)
        self._first: tuple[str, ...] | None = None

    def look(self, row: Mapping[str, Any]) -> None:
        """Notes the fields of an object."""
        if self._first is None:
            self._first = tuple(row)
        if self._names:
            self._names = [name for name in self._names if name not in row]

    def refuse(self, path: str) -> None:
        """Refuses the file if no object had such a field.

        Raises:
            TextmillError: none had.
        """
        if self._first is not None and self._names:
            raise TextmillError(_no_column(path, self._names[0], self._first, self._reading))


def _wanted(reading: InputSettings) -> list[str]:
    """Names the columns that a file must have.

    They are the prompts', the ids' if one was named, and those that texts start from; with them, a
    prompt need not be there unless its column was named.
    """
    ids = [] if reading.id_column == "id" else [reading.id_column]
    optional = reading.starts and reading.prompt_column == "prompt"
    return [*([] if optional else [reading.prompt_column]), *ids, *reading.starts]


def _no_column(path: str, name: str, found: Sequence[str], reading: InputSettings) -> str:
    """Says that a column is not there, and which option names another."""
    shown = ", ".join(map(repr, found))[:200]
    option = "--prompt-column" if name == reading.prompt_column else "--id-column"
    what = "prompts" if name == reading.prompt_column else "ids"
    hint = f"{option} names the one with the {what}"
    if name in reading.starts:
        hint = "the model starts its texts from what is in it"
    if len(found) == 1 and re.search(r"[;\t|,]", found[0]):
        hint = "--delimiter says what stands between cells"
    return f"{path}: no column named '{name}'. Found: {shown}; {hint}"
