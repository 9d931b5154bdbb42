"""Prompt files as bytes and records: text, JSON Lines, tables and Parquet, plain or compressed.

Offsets count decompressed bytes, in Parquet rows. Planning and reading cut records by the same
code, so they agree on every byte, however odd the file.
"""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import hashlib
import io
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from model.errors import SettingError, TextmillError
from pipeline.files import open_read

# A record of more bytes is rejected; the longest paragraph of a book is a tenth of it.
MOST_BYTES = 65_536
BLOCK = 1 << 20

_COMPRESSIONS = (".gz", ".bz2", ".zst")


@dataclass(frozen=True, kw_only=True)
class InputSettings:
    """How prompt files are read.

    Attributes:
        delimiter: between the cells of a .csv.
        strict: a field that is neither the prompt, its id nor a setting is an error, and not
            carried through.
    """

    delimiter: str = ","
    strict: bool = False

    def __post_init__(self) -> None:
        if len(self.delimiter) != 1 or self.delimiter in '"\r\n':
            raise SettingError("delimiter", "one character, no quote or line end", self.delimiter)
        if ord(self.delimiter) > 127:
            raise SettingError("delimiter", "an ASCII character", self.delimiter)


AS_USUAL = InputSettings()


@dataclass(frozen=True)
class Form:
    """How a prompt file is cut into records: `text`, `jsonl`, `table` or `parquet`.

    In a table cells may be quoted, or a quote is a character like any other.
    """

    kind: str
    delimiter: str = ""
    quoted: bool = False


def form_of(path: str, settings: InputSettings) -> Form:
    """The form of a file, by its name."""
    name = path
    for ending in _COMPRESSIONS:
        name = name.removesuffix(ending)
    if name.endswith((".jsonl", ".ndjson")):
        return Form("jsonl")
    if name.endswith(".csv"):
        return Form("table", settings.delimiter, quoted=True)
    if name.endswith(".tsv"):
        return Form("table", "\t")
    return Form("parquet" if path.endswith(".parquet") else "text")


class Input:
    """A prompt file opened for reading, decompressed by its name's ending.

    Attributes:
        position: offset of the next byte.

    Raises:
        TextmillError: it cannot be read, or is not what its ending says.
    """

    def __init__(self, path: str, *, start: int = 0):
        self._path, self.position = path, 0
        self._raw = open_read(path)
        self._file = _decompressed(path, self._raw)
        if self._file is self._raw:
            self._raw.seek(start)
            self.position = start
        while self.position < start and self.read(min(BLOCK, start - self.position)):
            pass

    def __enter__(self) -> Input:
        return self

    def __exit__(self, *_: object) -> None:
        self._raw.close()

    def read(self, size: int) -> bytes:
        """Up to so many bytes, none at the end."""
        return self._advance(lambda: self._file.read(size))

    def line(self, limit: int) -> bytes:
        """Bytes up to and with the next newline, `limit` at most."""
        return self._advance(lambda: self._file.readline(limit))

    def _advance(self, get: Callable[[], bytes]) -> bytes:
        try:
            data = get()
        except (OSError, EOFError, zlib.error, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise TextmillError(f"cannot read {self._path}: {reason}") from None
        self.position += len(data)
        return data


def digest_of(path: str) -> str:
    """SHA-256 of a file as it lies there."""
    digest = hashlib.sha256()
    with open_read(path) as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _decompressed(path: str, raw: BinaryIO) -> BinaryIO:
    if path.endswith(".gz"):
        return gzip.GzipFile(fileobj=raw, mode="rb")  # type: ignore[return-value]
    if path.endswith(".bz2"):
        return bz2.BZ2File(raw, mode="rb")  # type: ignore[return-value]
    if path.endswith(".zst"):
        import pyarrow

        # The zstandard package takes a file that is cut off for one that ends.
        return io.BufferedReader(pyarrow.CompressedInputStream(raw, "zstd"), BLOCK)
    return raw


def record_starts(file: Input, form: Form) -> Iterator[np.ndarray]:
    """Offsets of the records from the file's position on, int64, some at a time."""
    if form.kind == "table":
        pending = []
        for start, _, _ in csv_records(file, form):
            pending.append(start)
            if len(pending) == 4096:
                yield np.array(pending, np.int64)
                pending = []
        yield np.array(pending, np.int64)
        return
    open_row = False  # whether the bytes so far end inside a row
    while True:
        at = file.position
        block = file.read(BLOCK)
        if not block:
            return
        ends = np.flatnonzero(np.frombuffer(block, np.uint8) == 10) + 1
        starts = ends if open_row else np.concatenate([[0], ends])
        open_row = not block.endswith(b"\n")
        # What starts after the last byte is not there yet.
        yield at + (starts if open_row else starts[:-1])


def _line(file: Input, end: int | None) -> tuple[bytes, bool]:
    """A line with its end, and whether it is whole: of a longer one than allowed only the start."""
    left = MOST_BYTES + 2 if end is None else min(end - file.position, MOST_BYTES + 2)
    line = file.line(left) if left > 0 else b""
    if len(line) < MOST_BYTES + 2 or line.endswith(b"\n"):
        return line, True
    while end is None or file.position < end:
        more = file.line(BLOCK if end is None else min(BLOCK, end - file.position))
        if not more or more.endswith(b"\n"):
            break
    return line, False


def lines(file: Input, end: int | None = None) -> Iterator[tuple[int, bytes, bool]]:
    """Rows up to an offset: where each starts, its bytes without line end or byte-order mark, and
    whether it is whole (or too long)."""
    while end is None or file.position < end:
        start = file.position
        row, whole = _line(file, end)
        if not row:
            return
        if start == 0:
            row = row.removeprefix(codecs.BOM_UTF8)
        yield start, row.removesuffix(b"\n").removesuffix(b"\r"), whole


def csv_records(
    file: Input, form: Form, end: int | None = None
) -> Iterator[tuple[int, bytes, str | None]]:
    """Records of a table: offset, bytes, and what is wrong with its form, or None.

    A quoted cell may hold newlines. A quote that is not closed within `MOST_BYTES` costs
    its line only: the next line starts the next record. Blank lines are no records.
    """
    ahead: deque[tuple[int, bytes, bool]] = deque()

    def next_line() -> tuple[int, bytes, bool] | None:
        if ahead:
            return ahead.popleft()
        start = file.position
        line, whole = _line(file, end)
        return (start, line, whole) if line else None

    while (first := next_line()) is not None:
        start, data, whole = first
        taken = [first]
        size, is_open = len(data), whole and _open_quote(data, form)
        while is_open and whole and size <= MOST_BYTES:
            more = next_line()
            if more is None:
                break
            taken.append(more)
            size, whole = size + len(more[1]), more[2]
            if b'"' in more[1]:  # nothing else can close it
                is_open = _open_quote(b"".join(line for _, line, _ in taken), form)
        if is_open and len(taken) > 1:
            ahead.extendleft(reversed(taken[1:]))
            size, whole = len(data), first[2]
        elif not is_open:
            data = b"".join(line for _, line, _ in taken)
        data = data.removesuffix(b"\n").removesuffix(b"\r")
        if not whole or len(data) > MOST_BYTES:
            yield start, data, f"longer than {MOST_BYTES:,} bytes"
        elif data:
            yield start, data, "a quote is not closed" if is_open else None


def _open_quote(data: bytes, form: Form) -> bool:
    """Whether a record's bytes end inside a quoted cell."""
    if not form.quoted or b'"' not in data:
        return False
    try:
        next(csv.reader([data.decode("latin-1")], delimiter=form.delimiter, strict=True), None)
    except csv.Error as error:
        return "unexpected end of data" in str(error)
    return False


def csv_fields(record: str, form: Form) -> list[str]:
    """The cells of one record.

    Raises:
        csv.Error: it is not one record.
    """
    if not form.quoted:
        return record.split(form.delimiter)
    rows = list(csv.reader(io.StringIO(record, newline=""), delimiter=form.delimiter))
    if len(rows) != 1:
        raise csv.Error(f"{len(rows)} records in one")
    return rows[0]


class ParquetInput:
    """A Parquet file's schema and rows.

    Raises:
        TextmillError: it is none, or damaged.
    """

    def __init__(self, path: str):
        import pyarrow.parquet

        self._path, self._raw = path, open_read(path)
        self._file = self._try(lambda: pyarrow.parquet.ParquetFile(self._raw))
        self.rows: int = self._file.metadata.num_rows
        self.columns: tuple[str, ...] = tuple(self._file.schema_arrow.names)

    def __enter__(self) -> ParquetInput:
        return self

    def __exit__(self, *_: object) -> None:
        self._raw.close()

    def kinds(self) -> dict[str, str]:
        """The kind of each column, as in `records.Column`."""
        from pyarrow import types

        def kind(dtype: Any) -> str:
            if types.is_dictionary(dtype):
                dtype = dtype.value_type
            if types.is_boolean(dtype):
                return "bool"
            if types.is_integer(dtype) and not types.is_uint64(dtype):
                return "int"
            if types.is_floating(dtype):
                return "float"
            return "json" if types.is_nested(dtype) or types.is_uint64(dtype) else "text"

        return {field.name: kind(field.type) for field in self._file.schema_arrow}

    def records(self, start: int, end: int) -> Iterator[dict[str, Any] | None]:
        """Rows of a range, counted from 0; only the row groups that hold some are read.

        A row with a text that is not valid UTF-8 is None.
        """
        groups, at, skipped = [], 0, 0
        for i in range(self._file.num_row_groups):
            rows = self._file.metadata.row_group(i).num_rows
            if at + rows <= start:
                skipped += rows
            elif at < end:
                groups.append(i)
            at += rows
        batches = self._file.iter_batches(batch_size=1024, row_groups=groups, use_threads=False)
        at = skipped
        while at < end and (batch := self._try(lambda: next(batches, None))) is not None:
            first, last = max(start - at, 0), min(end - at, batch.num_rows)
            for i in range(first, last):
                try:
                    yield batch.slice(i, 1).to_pylist()[0]
                except UnicodeDecodeError:
                    yield None
            at += batch.num_rows

    def _try(self, get: Callable[[], Any]) -> Any:
        import pyarrow

        try:
            return get()
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            reason = str(error).split("\n")[0]
            raise TextmillError(f"cannot read {self._path}: {reason}") from None
