"""Reads prompt files as records: text, JSON Lines, tables and Parquet, plain or compressed.

Offsets count decompressed bytes, or rows in Parquet. Planning and reading cut records with the
same code, so they agree on every byte, however strange the file is.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from textmill.model.errors import SettingError, TextmillError
from textmill.model.network.directory import SavedModel
from textmill.model.text.decoding import check_encoding, likely_encoding
from textmill.model.text.labelled_tables import check_parquet_rows, separator_of
from textmill.pipeline.files.filesystem import open_read
from textmill.pipeline.prompts.opening import BLOCK, COMPRESSIONS, Input

SOURCE = "source"  # the field that holds what texts are written from

# A longer record is rejected; the longest paragraph of a book has a tenth of this.
MOST_BYTES = 65_536


@dataclass(frozen=True, kw_only=True)
class InputSettings:
    """How prompt files are read.

    Attributes:
        delimiter: the character between the cells of a .csv.
        strict: whether a field that is not the prompt, its id or a setting is an error; otherwise
            such a field is copied to the output.
        encoding: the files' encoding; None means UTF-8, or what a byte-order mark says.
        prompt_column: the field or column that holds the prompts.
        id_column: the field or column that holds the ids, which need not be there if it is `id`.
        context: the fields or columns that hold the numbers that texts start from. The model says
            which, see `of_model`; the user does not.
        source: whether the field `source` holds what texts are written from; the model says it.

    Raises:
        SettingError: a value is not allowed.
    """

    delimiter: str = ","
    strict: bool = False
    encoding: str | None = None
    prompt_column: str = "prompt"
    id_column: str = "id"
    context: tuple[str, ...] = ()
    source: bool = False

    def __post_init__(self) -> None:
        if self.encoding is not None:
            check_encoding(self.encoding)
        if self.prompt_column == self.id_column:
            raise SettingError("id_column", "another column than the prompts'", self.id_column)
        if len(self.delimiter) != 1 or self.delimiter in '"\r\n':
            raise SettingError("delimiter", "one character, no quote or line end", self.delimiter)
        if ord(self.delimiter) > 127:
            raise SettingError("delimiter", "an ASCII character", self.delimiter)

    def of_model(self, model: SavedModel) -> InputSettings:
        """Gives these settings for prompts of a model."""
        return replace(self, context=model.columns, source=model.source is not None)

    def record(self) -> dict[str, Any]:
        """Gives what a manifest says of them, beside the model."""
        fields = asdict(self)
        del fields["context"], fields["source"]
        return fields

    @property
    def starts(self) -> tuple[str, ...]:
        """The fields that texts start from, beside the prompt."""
        return (*self.context, *([SOURCE] if self.source else []))


AS_USUAL = InputSettings()


@dataclass(frozen=True)
class Form:
    """How a prompt file is cut into records.

    Attributes:
        kind: `text`, `jsonl`, `table` or `parquet`.
        delimiter: the character between the cells of a table.
        quoted: whether a table's cells may be quoted; if not, a quote is a normal character.
        encoding: what `opening.encoding_of` found.
    """

    kind: str
    delimiter: str = ""
    quoted: bool = False
    encoding: str | None = None


def form_of(path: str, settings: InputSettings) -> Form:
    """Finds the form of a file by its name."""
    name = path.lower()
    for ending in COMPRESSIONS:
        name = name.removesuffix(ending)
    if path.lower().endswith(".parquet"):
        return Form("parquet")
    if name.endswith((".json", ".parquet")):
        raise TextmillError(
            f"{path}: a packed Parquet file or one JSON value is no prompt file; unpack it, or "
            "write an object a line into a .jsonl"
        )
    if name.endswith((".jsonl", ".ndjson")):
        return Form("jsonl")
    if name.endswith(".csv"):
        return Form("table", settings.delimiter, quoted=True)
    return Form("table", "\t") if name.endswith(".tsv") else Form("text")


def line_starts(file: Input) -> Iterator[np.ndarray]:
    """Gives the offsets of the lines from the file's position on, int64, block by block."""
    open_row = False  # whether the bytes so far end inside a row
    while True:
        at = file.position
        block = file.read(BLOCK)
        if not block:
            return
        ends = np.flatnonzero(np.frombuffer(block, np.uint8) == 10) + 1
        starts = ends if open_row else np.concatenate([[0], ends])
        open_row = not block.endswith(b"\n")
        # A row that would start after the last byte is not there yet.
        yield at + (starts if open_row else starts[:-1])


def _line(file: Input, end: int | None) -> tuple[bytes, bool]:
    """Reads a line with its end; tells whether it is whole, as a too long line is cut."""
    left = MOST_BYTES + 2 if end is None else min(end - file.position, MOST_BYTES + 2)
    line = file.line(left) if left > 0 else b""
    if len(line) < MOST_BYTES + 2 or line.endswith(b"\n"):
        return line, True
    while end is None or file.position < end:
        more = file.line(BLOCK if end is None else min(BLOCK, end - file.position))
        if not more or more.endswith(b"\n"):
            break
    return line, False


def records(
    file: Input, form: Form, end: int | None = None
) -> Iterator[tuple[int, bytes, str | None]]:
    """Reads records up to an offset.

    Gives the offset of each record, its bytes without line end or byte-order mark, and what is
    wrong with its form, or None.
    """
    if form.kind == "table":
        yield from csv_records(file, form, end)
        return
    while end is None or file.position < end:
        start = file.position
        row, whole = _line(file, end)
        if not row:
            return
        if start == 0:
            row = row.removeprefix(codecs.BOM_UTF8)
        row = row.removesuffix(b"\n").removesuffix(b"\r")
        long = not whole or len(row) > MOST_BYTES
        yield start, row, f"longer than {MOST_BYTES:,} bytes" if long else None


def csv_records(
    file: Input, form: Form, end: int | None = None
) -> Iterator[tuple[int, bytes, str | None]]:
    """Reads records of a table: offset, bytes, and what is wrong with the form, or None.

    A quoted cell may hold newlines. If a quote is not closed within `MOST_BYTES`, or what follows
    the closing quote is not allowed there, only its line is lost: the next line starts the next
    record. Blank lines are skipped.
    """
    # Lines read beyond the current record. A quote that is open before them is still open after
    # them, or nothing closes it (a dead end). So no line is checked twice.
    ahead: deque[tuple[int, bytes, bool]] = deque()
    dead_end = False

    def read() -> tuple[int, bytes, bool] | None:
        start = file.position
        line, whole = _line(file, end)
        return (start, line, whole) if line else None

    while (first := ahead.popleft() if ahead else read()) is not None:
        start, data, whole = first
        dead_end &= bool(ahead)
        is_open = whole and _quote_open(data, form, is_open=False)
        while is_open and not dead_end and file.position - start <= MOST_BYTES:
            more = read()
            still = None
            if more is not None:
                ahead.append(more)
                still = _quote_open(more[1], form, is_open=True) if more[2] else None
            dead_end = still is None
            if still is False:
                data += b"".join(line for _, line, _ in ahead)
                ahead.clear()
                is_open = False
        data = data.removesuffix(b"\n").removesuffix(b"\r")
        if not whole or len(data) > MOST_BYTES:
            yield start, data, f"longer than {MOST_BYTES:,} bytes"
        elif data:
            yield start, data, "a quote is not closed" if is_open else None


# The content of a quoted cell, with doubled quotes; the closing quote comes after it.
_QUOTED = re.compile(rb'[^"]*+(?:""[^"]*+)*+')


def _quote_open(line: bytes, form: Form, *, is_open: bool) -> bool | None:
    """Tells whether a quoted cell is open at the end of a line, as the csv module decides.

    None means that a cell that was open before the line is closed wrongly. Each byte is read once.
    """
    if not form.quoted or (not is_open and b'"' not in line):
        return False
    delimiter, at, from_before = form.delimiter.encode(), 0, is_open
    while True:
        if is_open or line.startswith(b'"', at):
            quoted = _QUOTED.match(line, at + (not is_open))
            assert quoted is not None
            at = quoted.end()
            if at == len(line):
                return True
            at += 1
            if from_before and line[at : at + 1] not in (b"", delimiter, b"\r", b"\n"):
                return None
            is_open = from_before = False
        at = line.find(delimiter, at) + 1
        if at == 0:
            return False


def csv_fields(record: str, form: Form) -> list[str]:
    """Splits one record into cells.

    Raises:
        csv.Error: it is not exactly one record.
    """
    if not form.quoted:
        return record.split(form.delimiter)
    rows = list(csv.reader(io.StringIO(record, newline=""), delimiter=form.delimiter))
    if len(rows) != 1:
        raise csv.Error(f"{len(rows)} records in one")
    return rows[0]


def table_header(path: str, file: Input, form: Form) -> tuple[tuple[str, ...], Form]:
    """Reads the names in a table's first record; none if the file is empty.

    Also gives the form of what follows, with the delimiter that a line `sep=;` before the header of
    a .csv says.

    Raises:
        TextmillError: the first record is not valid.
    """
    found = next(csv_records(file, form), None)
    if found is None:
        return (), form
    _, raw, wrong = found
    try:
        text = raw.decode("utf-8-sig")
        separator = separator_of(text) if form.quoted else None
        if separator is not None:
            form = replace(form, delimiter=separator)
            found = next(csv_records(file, form), None)
            if found is None:
                return (), form
            _, raw, wrong = found
            text = raw.decode()
        if wrong is not None:
            raise csv.Error(wrong)
        return tuple(csv_fields(text, form)), form
    except UnicodeDecodeError as error:
        raise TextmillError(
            f"{path}: the header is not valid {form.encoding or 'UTF-8'}; say what the file is "
            f"with --encoding, such as --encoding {likely_encoding(error.object)}"
        ) from None
    except csv.Error as error:
        raise TextmillError(f"{path}: the header is no row of a table: {error}") from None


class ParquetInput:
    """A Parquet file's schema and rows.

    Raises:
        TextmillError: it is not a Parquet file, or is damaged.
    """

    def __init__(self, path: str):
        import pyarrow.parquet

        self._path, self._raw = path, open_read(path)
        self._file = self._try(lambda: pyarrow.parquet.ParquetFile(self._raw))
        self.rows: int = self._file.metadata.num_rows  # as the footer tells
        self.columns: tuple[str, ...] = tuple(self._file.schema_arrow.names)

    def __enter__(self) -> ParquetInput:
        return self

    def __exit__(self, *_: object) -> None:
        self._raw.close()

    def kinds(self) -> dict[str, str]:
        """Gives the kind of each column, as in `output.columns.Column`."""
        from pyarrow import types

        def kind(dtype: Any) -> str:
            if types.is_dictionary(dtype):
                dtype = dtype.value_type
            if types.is_boolean(dtype):
                return "bool"
            if types.is_int64(dtype) or types.is_uint32(dtype):
                return "long"
            if types.is_integer(dtype) and not types.is_uint64(dtype):
                return "int"
            if types.is_floating(dtype):
                return "float"
            return "json" if types.is_nested(dtype) or types.is_uint64(dtype) else "text"

        return {field.name: kind(field.type) for field in self._file.schema_arrow}

    def counts(self, column: str) -> Iterator[int]:
        """Gives numbers of rows, which add up to all rows; reads the cells of one column."""
        for batch in self._batches(columns=[column]):
            yield batch.num_rows

    def check_rows(self, found: int) -> None:
        """Compares the number of rows that were read with what the file tells.

        Raises:
            TextmillError: it tells of another number, so rows may be lost.
        """
        check_parquet_rows(self._file, found, path=self._path)

    def records(
        self, start: int, end: int, columns: Sequence[str] | None = None
    ) -> Iterator[tuple[dict[str, Any], str | None]]:
        """Reads the rows of a range, counted from 0, each with what is wrong with it, or None.

        Only row groups that hold such rows are read, and only `columns`, if given.
        """
        groups, at, skipped = [], 0, 0
        for i in range(self._file.num_row_groups):
            rows = self._file.metadata.row_group(i).num_rows
            if at + rows <= start:
                skipped += rows
            elif at < end:
                groups.append(i)
            at += rows
        at = skipped
        for batch in self._batches(row_groups=groups, columns=columns):
            first, last = max(start - at, 0), min(end - at, batch.num_rows)
            if first < last:
                yield from _rows_of(batch.slice(first, last - first))
            at += batch.num_rows
            if at >= end:
                return

    def _batches(self, **which: Any) -> Iterator[Any]:
        batches = self._try(lambda: self._file.iter_batches(1024, use_threads=False, **which))
        while (batch := self._try(lambda: next(batches, None))) is not None:
            yield batch

    def _try(self, get: Callable[[], Any]) -> Any:
        import pyarrow

        try:
            return get()
        # An int of a damaged footer may be beyond what it is computed with.
        except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
            reason = str(error).split("\n")[0]
            raise TextmillError(f"cannot read {self._path}: {reason}") from None


def _rows_of(batch: Any) -> Iterator[tuple[dict[str, Any], str | None]]:
    import pyarrow

    cannot = (UnicodeDecodeError, OverflowError, ValueError, pyarrow.ArrowException)
    try:
        yield from ((row, None) for row in batch.to_pylist())
        return
    except cannot:
        pass
    for i in range(batch.num_rows):
        row: dict[str, Any] = {}
        wrong = None
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            try:
                row[name] = column[i].as_py()
            except cannot as error:
                reason = "not valid UTF-8" if isinstance(error, UnicodeDecodeError) else "no value"
                wrong = f"{reason} in a column: {name[:100]}"
        yield row, wrong
