"""Labelled tables: read with every cell as it came, written whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from textmill.model.errors import TextmillError, UsageError
from textmill.model.text.decoding import clean
from textmill.model.text.labelled_tables import ENDINGS, by_number, read_cells, table_ending
from textmill.pipeline.files.filesystem import read, write_once


@dataclass(frozen=True)
class Labelled:
    """A table's two columns.

    Attributes:
        columns: names of the text and the label column.
        cells: text and label of each row as they came; in .jsonl and Parquet of any type.
        texts: of the rows of use: in single spaces. labels: as text.
        rows: the rows of use, by position in `cells`.
        left_out: how many others there are, by reason.
    """

    columns: tuple[str, str]
    cells: list[tuple[Any, Any]]
    texts: list[str]
    labels: list[str]
    rows: list[int]
    left_out: dict[str, int]


def check_ending(path: str, what: str) -> str:
    """The ending of a table's name.

    Raises:
        UsageError: the file is no table by its name.
    """
    ending = table_ending(path)
    if ending is None:
        raise UsageError(f"{what} must end in {', '.join(ENDINGS)}. Received: {path}")
    return ending


def read_labelled(path: str, *, text: str, label: str, encoding: str | None = None) -> Labelled:
    """Reads a table.

    Args:
        text, label: columns by name, or of a .csv or .tsv without a header by number from 1: they
            are then called `text` and `label`.

    Raises:
        TextmillError: it cannot be read, a column is missing, or no row is of use.
    """
    check_ending(path, "the table")
    if os.path.isdir(path):
        raise TextmillError(f"{path} is a folder; name a table in it")
    asked = (text, label)
    cells = list(read_cells(read(path), path=path, columns=asked, encoding=encoding))
    columns = ("text", "label") if by_number(path, asked) else asked
    texts, labels, rows = [], [], []
    left_out: Counter[str] = Counter()
    for number, (own_text, own_label) in enumerate(cells):
        why = _why_not(own_text, own_label)
        if why is None:
            texts.append(" ".join(clean(own_text).split()))
            labels.append(str(own_label).strip())
            rows.append(number)
        else:
            left_out[why] += 1
    if not rows:
        raise TextmillError(f"{path} has no row with a text and a label")
    return Labelled(columns, cells, texts, labels, rows, dict(left_out))


def write_table(path: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes a table of the kind that its name's ending says; None is an empty cell.

    Raises:
        TextmillError: a cell cannot stand in a .tsv, the name is taken, or it cannot be written.
    """
    ending = check_ending(path, "the output")
    if ending == ".parquet":
        data = _parquet_bytes(columns, rows)
    elif ending in (".jsonl", ".ndjson"):
        lines = (dict(zip(columns, row, strict=True)) for row in rows)
        data = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
    else:
        data = _csv_bytes(path, columns, rows, tabs=ending != ".csv")
    if not write_once(path, data):
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
        writer.writerow(columns)
        writer.writerows(rows)
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
    import pyarrow
    import pyarrow.parquet

    cells = list(zip(*rows, strict=True)) or [()] * len(columns)
    try:
        table = pyarrow.table(
            {
                name: pyarrow.array(column)
                for name, column in zip(columns, map(list, cells), strict=True)
            }
        )
    except pyarrow.ArrowException:  # labels of several types
        table = pyarrow.table(
            {
                name: pyarrow.array([None if c is None else str(c) for c in column])
                for name, column in zip(columns, cells, strict=True)
            }
        )
    out = io.BytesIO()
    pyarrow.parquet.write_table(table, out)
    return out.getvalue()
