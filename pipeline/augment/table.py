"""Reads labelled tables, keeping every cell unchanged, and writes them whole or not at all."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from textmill.model.errors import TextmillError, UsageError
from textmill.model.text.decoding import clean
from textmill.model.text.labelled_tables import ENDINGS, by_number, read_cells, table_ending
from textmill.pipeline.files.filesystem import read, write_once
from textmill.pipeline.output.formats import json_lines


@dataclass(frozen=True)
class Rows:
    """The real rows that are learned from.

    Attributes:
        texts: the texts, with single spaces.
        labels: the labels, as text.
        numbers: numbers of the rows in the table, from 1.
    """

    texts: list[str]
    labels: list[str]
    numbers: list[int]

    def chosen(self, places: Sequence[int]) -> Rows:
        """Gives the rows at some places."""
        return Rows(
            [self.texts[i] for i in places],
            [self.labels[i] for i in places],
            [self.numbers[i] for i in places],
        )


@dataclass(frozen=True)
class Labelled:
    """A table's two columns.

    Attributes:
        columns: names of the text and the label column.
        cells: text and label of each row, unchanged; in .jsonl and Parquet of any type.
        rows: the rows that can be used.
        left_out: number of other rows, by reason.
    """

    columns: tuple[str, str]
    cells: list[tuple[Any, Any]]
    rows: Rows
    left_out: dict[str, int]


def check_ending(path: str, what: str) -> str:
    """Gives the ending of a table's name.

    Raises:
        UsageError: the name does not have the ending of a table.
    """
    ending = table_ending(path)
    if ending is None:
        raise UsageError(f"{what} must end in {', '.join(ENDINGS)}. Received: {path}")
    return ending


def read_labelled(path: str, *, text: str, label: str, encoding: str | None = None) -> Labelled:
    """Reads a table.

    Args:
        path: path of the table.
        text: the column of texts, by name. In a .csv or .tsv without a header, both columns are
            given by number, from 1, and are then called `text` and `label`.
        label: the column of labels.
        encoding: encoding of the table, if it is not UTF-8.

    Raises:
        TextmillError: it cannot be read, a column is missing, or no row can be used.
    """
    check_ending(path, "the table")
    if os.path.isdir(path):
        raise TextmillError(f"{path} is a folder; name a table in it")
    asked = (text, label)
    cells = list(read_cells(read(path), path=path, columns=asked, encoding=encoding))
    columns = ("text", "label") if by_number(path, asked) else asked
    reasons = [_why_not(*row) for row in cells]
    used = [i for i, why in enumerate(reasons) if why is None]
    if not used:
        raise TextmillError(f"{path} has no row with a text and a label")
    rows = Rows(
        [" ".join(clean(cells[i][0]).split()) for i in used],
        [str(cells[i][1]).strip() for i in used],
        [i + 1 for i in used],
    )
    return Labelled(columns, cells, rows, dict(Counter(why for why in reasons if why is not None)))


def write_table(
    path: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    attempts: str | None = None,
) -> None:
    """Writes a table of the kind that its name's ending says; None is an empty cell.

    Args:
        path: the file.
        columns: the names of the columns.
        rows: the cells, row by row.
        attempts: see `write_once`.

    Raises:
        TextmillError: a .tsv cannot hold a cell, the file exists, or it cannot be written.
    """
    ending = check_ending(path, "the output")
    if ending == ".parquet":
        data = _parquet_bytes(columns, rows)
    elif ending in (".jsonl", ".ndjson"):
        data = json_lines(dict(zip(columns, row, strict=True)) for row in rows)
    else:
        data = _csv_bytes(path, columns, rows, tabs=ending != ".csv")
    if not write_once(path, data, attempts=attempts):
        raise TextmillError(f"{path} already exists; name another file or remove it first")


def _why_not(text: Any, label: Any) -> str | None:
    if not isinstance(text, str):
        return "no text" if text is None else "a text that is no text"
    if not clean(text).strip():
        return "an empty text"
    if label is None or not str(label).strip() or label != label:
        return "no label"
    return "a label of several values" if isinstance(label, list | dict) else None


def _csv_bytes(
    path: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, tabs: bool
) -> bytes:
    out = io.StringIO(newline="")
    if not tabs:
        writer = csv.writer(out, lineterminator="\n")
        # Of itself it would not quote a carriage return, which ends a row where it is read.
        quoting = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)
        for row in [columns, *rows]:
            (quoting if any("\r" in str(cell) for cell in row) else writer).writerow(row)
        return out.getvalue().encode("utf-8", "replace")
    for number, row in enumerate([columns, *rows]):
        cells = ["" if cell is None else str(cell) for cell in row]
        if any(mark in cell for cell in cells for mark in "\t\n\r"):
            raise TextmillError(
                f"row {number} has a tab or a line end in a cell, which {path} cannot hold; name "
                "the output .csv or .jsonl"
            )
        out.write("\t".join(cells) + "\n")
    return out.getvalue().encode("utf-8", "replace")


def _parquet_bytes(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    import pyarrow.parquet

    cells = list(zip(*rows, strict=True)) or [()] * len(columns)
    try:
        arrays = [pyarrow.array(column) for column in cells]
    except pyarrow.ArrowException:  # labels of several types
        texts = [[None if cell is None else str(cell) for cell in column] for column in cells]
        arrays = [pyarrow.array(column) for column in texts]
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(arrays, names=list(columns)), out)
    return out.getvalue()
