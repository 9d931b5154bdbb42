"""Prompt files as bytes and records: text, JSON Lines and CSV, plain or compressed.

Offsets count decompressed bytes. Planning and reading cut records by the same code, so they agree
on every byte, however odd the file.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import hashlib
import io
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np

from model.errors import TextmillError

# A record of more bytes is rejected; the longest paragraph of a book is a tenth of it.
MOST_BYTES = 65_536
BLOCK = 1 << 20

TABLES = ("csv", "tsv")
_COMPRESSIONS = (".gz", ".bz2", ".zst")


def kind_of(path: str) -> str:
    """`text`, `jsonl`, `csv` or `tsv`, by the file's name."""
    name = path
    for ending in _COMPRESSIONS:
        name = name.removesuffix(ending)
    for ending in (".jsonl", ".ndjson"):
        if name.endswith(ending):
            return "jsonl"
    return next((kind for kind in TABLES if name.endswith(f".{kind}")), "text")


class Input:
    """A prompt file opened for reading, decompressed by its name's ending.

    Attributes:
        position: offset of the next byte.

    Raises:
        TextmillError: it cannot be read, or is not what its ending says.
    """

    def __init__(self, path: str, *, start: int = 0):
        self._path, self.position = path, 0
        try:
            self._raw = open(path, "rb")  # noqa: SIM115
        except OSError as error:
            raise TextmillError(f"cannot read {path}: {error.strerror}") from None
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
    """SHA-256 of a file as it lies on the disk."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise TextmillError(f"cannot read {path}: {error.strerror}") from None


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


def record_starts(file: Input, kind: str) -> Iterator[np.ndarray]:
    """Offsets of the records from the file's position on, int64, some at a time."""
    if kind in TABLES:
        pending = []
        for start, _, _ in csv_records(file, kind):
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


def lines(file: Input, end: int) -> Iterator[tuple[bytes, bool]]:
    """Rows up to an offset without their line end, each with whether it is whole (or too long)."""
    while file.position < end:
        row, whole = _line(file, end)
        if not row:
            return
        yield row.removesuffix(b"\n").removesuffix(b"\r"), whole


def csv_records(
    file: Input, kind: str, end: int | None = None
) -> Iterator[tuple[int, bytes, str | None]]:
    """Records of a CSV file: offset, bytes, and what is wrong with its form, or None.

    In a .csv a quoted field may hold newlines. A quote that is not closed within `MOST_BYTES` costs
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
        size, is_open = len(data), whole and _open_quote(data, kind)
        while is_open and whole and size <= MOST_BYTES:
            more = next_line()
            if more is None:
                break
            taken.append(more)
            size, whole = size + len(more[1]), more[2]
            if b'"' in more[1]:  # nothing else can close it
                is_open = _open_quote(b"".join(line for _, line, _ in taken), kind)
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


def _open_quote(data: bytes, kind: str) -> bool:
    """Whether a record's bytes end inside a quoted field."""
    if kind != "csv" or b'"' not in data:
        return False
    try:
        next(csv.reader([data.decode("latin-1")], strict=True), None)
    except csv.Error as error:
        return "unexpected end of data" in str(error)
    return False


def csv_fields(record: str, kind: str) -> list[str]:
    """The fields of one record; in a .tsv a quote is a character like any other.

    Raises:
        csv.Error: it is not one record.
    """
    if kind == "tsv":
        return record.split("\t")
    rows = list(csv.reader(io.StringIO(record, newline="")))
    if len(rows) != 1:
        raise csv.Error(f"{len(rows)} records in one")
    return rows[0]
