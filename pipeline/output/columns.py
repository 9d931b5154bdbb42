"""The columns of a run's output, and the record of each text."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from textmill.model.errors import TextmillError
from textmill.model.prompt import Generation

_MOST_COLUMNS = 1_000  # of input fields; rows that keep adding names would fill the memory


@dataclass(frozen=True)
class Column:
    """A column of the output.

    Attributes:
        name: name of the column, unique in the run.
        kind: `text`, `int`, `float`, `bool`, or `json` for all else.
        source: the input field that is copied into it; None for a column of textmill's own.
    """

    name: str
    kind: str
    source: str | None = None


OWN = (
    Column("id", "text"),
    Column("row", "text"),
    Column("prompt", "text"),
    Column("text", "text"),
    Column("label", "text"),
    Column("temperature", "float"),
    Column("words", "int"),
    Column("finish", "text"),
    Column("logprob", "float"),
    Column("score", "float"),
)
REJECTED = (
    Column("file", "text"),
    Column("line", "int"),
    Column("reason", "text"),
    Column("raw", "text"),
)


def columns_of(
    carried: Mapping[str, str], *, labelled: bool, own_ids: bool = False, scored: bool = False
) -> tuple[Column, ...]:
    """Gives the columns of a run, which are the same in all its files and in every format.

    Args:
        carried: kinds of the input fields that are copied to the output, by name. If a field has
            the name of a column of textmill's own, `input_` is put before its name.
        labelled: whether the model has labels.
        own_ids: whether rows may have ids of their own, which need not name the row.
        scored: whether the texts are those of a beam search.
    """
    left_out = {"label": not labelled, "row": not own_ids, "score": not scored}
    columns = [column for column in OWN if not left_out.get(column.name)]
    taken = {column.name for column in columns} | set(carried)
    for source, kind in carried.items():
        name = source
        if not source.strip() or any(column.name == source for column in columns):
            name = f"input_{source}"
            while name in taken:
                name = f"input_{name}"
            taken.add(name)
        columns.append(Column(name, kind, source))
    return tuple(columns)


def record(generation: Generation, columns: Sequence[Column]) -> dict[str, Any]:
    """Makes an output record; nothing in it differs between equal runs."""
    own = {
        "id": f"{generation.prompt.id}#{generation.sample}",
        "row": generation.prompt.row,
        "prompt": generation.prompt.text,
        "text": generation.text,
        "label": generation.label,
        "temperature": generation.temperature,
        "words": generation.words,
        "finish": generation.finish,
        "logprob": generation.logprob,
        "score": generation.score,
    }
    extra = generation.prompt.extra
    return {
        column.name: own[column.name] if column.source is None else extra.get(column.source)
        for column in columns
    }


# A `long` is an int that a float cannot hold. Other pairs of kinds become `json`.
_MERGED = {frozenset(("int", "float")): "float", frozenset(("int", "long")): "long"}


class Kinds:
    """The kinds of fields, learned from rows or declared by a file."""

    def __init__(self) -> None:
        self.of: dict[str, str | None] = {}

    def learn(self, row: Mapping[str, Any]) -> None:
        """Notes the kinds of a row's fields."""
        for name, value in row.items():
            self.declare(name, _kind(value))

    def declare(self, name: str, kind: str | None) -> None:
        """Notes the kind of a field; None means that it has only been null so far.

        Raises:
            TextmillError: there are too many fields.
        """
        if name in self.of:
            known = self.of[name]
            if kind in (known, None):
                return
            if known is not None:
                kind = _MERGED.get(frozenset((known, kind)), "json")
        elif len(self.of) >= _MOST_COLUMNS:
            raise TextmillError(
                f"the prompt files have more than {_MOST_COLUMNS:,} different fields to carry "
                "through; put such fields into one object, or leave them out"
            )
        self.of[name] = kind

    def known(self) -> dict[str, str]:
        """Gives the kinds by name; a field that was always null is a text."""
        kinds = {name: kind or "text" for name, kind in self.of.items()}
        return {name: "int" if kind == "long" else kind for name, kind in kinds.items()}


def _kind(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            return "json"
        return "int" if abs(value) <= 2**53 else "long"
    if isinstance(value, float):
        return "float"
    return "text" if isinstance(value, str) else "json"


def plain(value: Any) -> Any:
    """Makes a value fit for JSON: dates, decimals and the like become text, NaN becomes null."""
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        value = value.tolist()
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return str(value)


def as_json(value: Any) -> str:
    """Gives canonical JSON, for a `json` column in a format that has no nested values."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True)
