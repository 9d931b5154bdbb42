"""Reads tables of texts: the cells of chosen columns of .csv, .tsv, JSON Lines or Parquet files."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from textmill.model.errors import TextmillError, UsageError
from textmill.model.text.decoding import decode

ENDINGS = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".parquet")
_SEPARATOR = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
_LONGEST_CELL = 2**31 - 1  # characters; the csv module's own limit is 131,072


def table_ending(path: str) -> str | None:
    """Gives the ending of a table's name in small letters; None if the name is not a table's."""
    ending = os.path.splitext(path)[1].lower()
    return ending if ending in ENDINGS else None


def refuse_tables(paths: Iterable[str], *, options: str) -> None:
    """Refuses tables, if plain text is expected.

    Args:
        options: the options that name the columns, for the message.

    Raises:
        UsageError: a name has the ending of a table.
    """
    for path in paths:
        if table_ending(path) is not None:
            raise UsageError(f"{path} is a table; name its column with {options}")


def by_number(path: str, columns: Sequence[str]) -> bool:
    """Tells whether columns are given by number, which means that the file has no header."""
    numbers = all(re.fullmatch("[0-9]{1,9}", column) for column in columns)
    return numbers and table_ending(path) in (".csv", ".tsv", ".tab")


def read_cells(
    raw: bytes, *, path: str, columns: Sequence[str], encoding: str | None = None
) -> Iterator[tuple[Any, ...]]:
    """Reads the cells of the given columns, row by row.

    Cells are strings in .csv and .tsv (which has no quoting), and of any type in JSON Lines and
    Parquet. Blank lines are skipped.

    Args:
        raw: the file's bytes.
        path: its name, which says what kind of table it is.
        columns: names of columns; or numbers from 1, for a .csv or .tsv without a header.
        encoding: encoding of the file; None means UTF-8, or what a byte-order mark says.

    Raises:
        TextmillError: the file is not such a table, or a column is missing.
        UsageError: a column has the number 0.
    """
    ending = table_ending(path)
    if ending is None:
        raise TextmillError(
            f"{path} is no table of a known kind; its name must end in {', '.join(ENDINGS)}"
        )
    if ending == ".parquet":
        return _parquet_cells(raw, path, columns)
    content = decode(raw, path=path, encoding=encoding)
    if ending in (".jsonl", ".ndjson"):
        return _json_cells(content, path, columns)
    return _csv_cells(content, path, columns, tabs=ending != ".csv")


def refuse_one_json_value(path: str, first_line: str, *, whole: bool = True) -> None:
    """Refuses a file of JSON Lines that holds one JSON value, over one or several lines.

    Args:
        path: the file's name.
        first_line: its first line that is not blank.
        whole: whether that is all of the line.

    Raises:
        TextmillError: it begins with a list of objects, or with an object that goes on.
    """
    line = first_line.strip().removeprefix("\ufeff")
    if line != "{" and not line.startswith("["):
        return
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        if whole and error.pos < len(line):  # a bad line
            return
    except (ValueError, RecursionError):
        return
    else:
        if not (isinstance(value, list) and value and all(isinstance(v, dict) for v in value)):
            return
    raise TextmillError(
        f"{path} holds one JSON value, not a JSON object a line; jq turns a list into lines: "
        "jq -c '.[]' list.json > lines.jsonl"
    )


def separator_of(first_line: str) -> str | None:
    """Gives the delimiter that Excel's line `sep=;` before a table's header says, or None."""
    said = _SEPARATOR.fullmatch(first_line.rstrip("\r\n"))
    return said[1] if said is not None and said[1].isascii() and said[1] != '"' else None


def _csv_cells(
    content: str, path: str, columns: Sequence[str], *, tabs: bool
) -> Iterator[tuple[str, ...]]:
    csv.field_size_limit(_LONGEST_CELL)
    kind: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if tabs else {}
    lines = io.StringIO(content, newline="")
    separator = None if tabs else separator_of(lines.readline())
    above = 0  # lines before the reader's first
    if separator is None:
        lines.seek(0)
    else:
        kind["delimiter"], above = separator, 1
    reader = csv.reader(lines, **kind)
    places: list[int] | None = None
    if by_number(path, columns):
        places = [int(column) - 1 for column in columns]
        if min(places) < 0:
            raise UsageError("columns are counted from 1. Received: 0")
    try:
        for row in reader:
            if not row:
                continue
            if places is None:
                hint = "; a file without a header takes numbers: --text 2 --label 1"
                _check_columns(path, row, columns, hint)
                places = [row.index(column) for column in columns]
                continue
            if len(row) <= max(places):
                where = f"{path}:{above + reader.line_num}"
                raise TextmillError(f"{where} has {len(row)} columns, needs {max(places) + 1}")
            yield tuple(row[place] for place in places)
    except csv.Error as error:
        raise TextmillError(f"{path}:{above + reader.line_num} is not valid csv: {error}") from None


def _json_cells(content: str, path: str, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    first = True
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        if first:
            refuse_one_json_value(path, line)
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise TextmillError(f"{path}:{number} is not valid JSON: {error}") from None
        if not isinstance(row, dict):
            raise TextmillError(f"{path}:{number} is no JSON object")
        if first:
            _check_columns(f"{path}:{number}", row, columns)
            first = False
        yield tuple(row.get(column) for column in columns)


def _parquet_cells(raw: bytes, path: str, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(io.BytesIO(raw))
        _check_columns(path, file.schema_arrow.names, columns)
        rows = 0
        for batch in file.iter_batches(columns=list(dict.fromkeys(columns))):
            rows += batch.num_rows
            yield from zip(*(_values(batch.column(name)) for name in columns), strict=True)
        check_parquet_rows(file, rows, path=path)
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        reason = str(error).split("\n")[0]
        raise TextmillError(f"{path} is not valid Parquet: {reason}") from None


def _values(column: Any) -> Iterable[Any]:
    """Gives the values of an Arrow array; lists of numbers as NumPy arrays, which take less."""
    import pyarrow

    kind = column.type
    lists = pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind)
    if lists or pyarrow.types.is_fixed_size_list(kind):
        inner = kind.value_type
        if pyarrow.types.is_floating(inner) or pyarrow.types.is_integer(inner):
            # A null among the numbers becomes NaN, which is refused.
            return (
                None if each.values is None else each.values.to_numpy(zero_copy_only=False)
                for each in column
            )  # fmt: skip
    return column.to_pylist()


def check_parquet_rows(file: Any, found: int, *, path: str) -> None:
    """Compares the number of rows that were read from a Parquet file with all that it tells.

    Args:
        file: a `pyarrow.parquet.ParquetFile`.
        found: number of rows that were read.
        path: for the message.

    Raises:
        TextmillError: it tells of another number, so rows may be lost.
    """
    groups = [file.metadata.row_group(i) for i in range(file.num_row_groups)]
    told = {file.metadata.num_rows, sum(group.num_rows for group in groups)}
    for i, column in enumerate(file.schema):
        if column.max_repetition_level == 0:  # a value a row, null or not
            told.add(sum(group.column(i).num_values for group in groups))
    if told != {found}:
        other = max(told - {found})
        raise TextmillError(f"{path} is damaged: it tells of {other:,} rows and holds {found:,}")


def _check_columns(
    where: str, found: Iterable[str], columns: Sequence[str], hint: str = ""
) -> None:
    names = list(found)
    for name in columns:
        if name not in names:
            shown = ", ".join(map(repr, names))[:200]
            raise TextmillError(f"{where}: no column named '{name}'. Found: {shown}{hint}")
        if names.count(name) > 1:
            raise TextmillError(f"{where}: the column '{name}' stands there twice; rename one")
