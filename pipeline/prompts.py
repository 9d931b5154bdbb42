"""Prompt files: planned into shards in one streaming pass, read by the worker that needs them."""

from __future__ import annotations

import codecs
import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.corpus import find_files
from model.errors import TextmillError
from model.generator import Prompt
from model.settings import GenerationSettings
from pipeline.inputs import (
    MOST_BYTES,
    TABLES,
    Input,
    csv_fields,
    csv_records,
    digest_of,
    kind_of,
    lines,
    record_starts,
)
from pipeline.rows import BadRow, csv_prompt, json_prompt, text_prompt

RAW_KEPT = 1_000  # characters of a rejected row that its record keeps
# Row offsets kept, of all files together and of each: memory must not grow with the job.
_MOST_MARKS, _LEAST_MARKS = 1 << 16, 64

# A run is cut into some tens of shards, none of them shorter or longer than this many words.
_SHARDS = 40
_LEAST_WORDS, _MOST_WORDS = 1_000, 200_000


@dataclass(frozen=True)
class PromptFile:
    """A planned input.

    Attributes:
        name: its path from the common root of all inputs.
        bytes: decompressed. rows: records. sha256: of the file as it lies there.
    """

    name: str
    bytes: int
    rows: int
    sha256: str


@dataclass(frozen=True)
class Shard:
    """The unit of work, of output and of retry: a byte range of one input.

    Attributes:
        number: from 0. of: shards in the run.
        path: of the input. name: its path from the common root. kind: see `inputs.kind_of`.
        columns: of a table.
        start, end: byte offsets. first: number of the first row, from 1. rows: how many.
    """

    number: int
    of: int
    path: str
    name: str
    kind: str
    columns: tuple[str, ...]
    start: int
    end: int
    first: int
    rows: int

    @property
    def file_name(self) -> str:
        """Of its output, without an ending."""
        return f"shard-{self.number:05d}-of-{self.of:05d}"


@dataclass(frozen=True)
class Rejected:
    """A row that is no prompt."""

    file: str
    line: int
    reason: str
    raw: str


@dataclass(frozen=True)
class LoadedShard:
    """A shard's rows: every one is a prompt or rejected. `numbers` are the prompts' rows."""

    shard: Shard
    prompts: list[Prompt]
    numbers: list[int]
    rejected: list[Rejected]


@dataclass(frozen=True)
class Plan:
    """All inputs and the shards they are cut into."""

    files: tuple[PromptFile, ...]
    shards: tuple[Shard, ...]

    @property
    def rows(self) -> int:
        """Rows of all inputs."""
        return sum(file.rows for file in self.files)


def plan(patterns: Sequence[str], settings: GenerationSettings) -> Plan:
    """Cuts prompt files into shards by one pass over their bytes; the rows are not kept.

    The shards depend on inputs and settings alone, never on the number of workers.

    Raises:
        TextmillError: a pattern matches nothing, a file cannot be read, or no file has a row.
    """
    paths = find_files(patterns)
    root = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in paths])
    most = max(_MOST_MARKS // len(paths), _LEAST_MARKS)
    scans = [_scan(path, root, most) for path in paths]
    rows = sum(scan.file.rows for scan in scans)
    if rows == 0:
        raise TextmillError(f"no prompts: {', '.join(patterns)} holds no line")
    words_a_row = settings.texts * settings.max_words
    words = min(max(rows * words_a_row // _SHARDS, _LEAST_WORDS), _MOST_WORDS)
    ranges = [r for scan in scans for r in scan.ranges(max(1, words // words_a_row))]
    shards = tuple(Shard(number=i, of=len(ranges), **fields) for i, fields in enumerate(ranges))
    return Plan(tuple(scan.file for scan in scans), shards)


@dataclass(frozen=True)
class _Scan:
    """A pass over a file: the offset of every `every`-th row."""

    path: str
    file: PromptFile
    kind: str
    columns: tuple[str, ...]
    marks: np.ndarray
    every: int

    def ranges(self, rows: int) -> Iterator[dict[str, Any]]:
        """Byte ranges of about so many rows."""
        step = -(-rows // self.every)
        for i in range(0, len(self.marks), step):
            first = i * self.every
            last = min(first + step * self.every, self.file.rows)
            last_range = i + step >= len(self.marks)
            end = self.file.bytes if last_range else int(self.marks[i + step])
            yield {
                "path": self.path,
                "name": self.file.name,
                "kind": self.kind,
                "columns": self.columns,
                "start": int(self.marks[i]),
                "end": end,
                "first": first + 1,
                "rows": last - first,
            }


def _scan(path: str, root: str, most: int) -> _Scan:
    kind, rows, every = kind_of(path), 0, 1
    columns: tuple[str, ...] = ()
    marks = np.zeros(0, np.int64)
    with Input(path) as file:
        for starts in record_starts(file, kind):
            if kind in TABLES and not columns and len(starts):
                columns, starts = _columns(path, kind), starts[1:]
            marks = np.append(marks, starts[-rows % every :: every])
            rows += len(starts)
            while len(marks) > most:
                marks, every = marks[::2], every * 2
        size = file.position
    name = os.path.relpath(os.path.abspath(path), root).replace(os.sep, "/")
    return _Scan(path, PromptFile(name, size, rows, digest_of(path)), kind, columns, marks, every)


def _columns(path: str, kind: str) -> tuple[str, ...]:
    """The header of a table.

    Raises:
        TextmillError: it has no column `prompt`, or a name twice.
    """
    with Input(path) as file:
        _, raw, _ = next(csv_records(file, kind))
    try:
        columns = csv_fields(raw.decode("utf-8-sig"), kind)
    except (UnicodeDecodeError, csv.Error) as error:
        raise TextmillError(f"{path}: the header is no row of a table: {error}") from None
    if "prompt" not in columns or len(set(columns)) != len(columns):
        raise TextmillError(
            f"{path}: the header must name a column 'prompt', and none twice. Columns: "
            + ", ".join(columns)[:200]
        )
    return tuple(columns)


def read_shard(shard: Shard, settings: GenerationSettings) -> LoadedShard:
    """Reads a shard's byte range.

    Args:
        settings: the command's, which a row's own fields override.

    Raises:
        TextmillError: the file is gone or has other rows than were planned.
    """
    prompts: list[Prompt] = []
    numbers: list[int] = []
    rejected: list[Rejected] = []
    for line, (raw, wrong) in enumerate(_records(shard), start=shard.first):
        try:
            if wrong is not None:
                raise BadRow(wrong)
            prompts.append(_prompt(raw, shard, f"{shard.name}:{line}", settings))
            numbers.append(line)
        except BadRow as reason:
            shown = raw.decode("utf-8", "backslashreplace")[:RAW_KEPT]
            rejected.append(Rejected(shard.name, line, str(reason), shown))
    if len(prompts) + len(rejected) != shard.rows:
        raise TextmillError(
            f"{shard.path} changed while it was read: {len(prompts) + len(rejected)} rows instead "
            f"of {shard.rows} from line {shard.first}; start the run again in a new directory"
        )
    return LoadedShard(shard, prompts, numbers, rejected)


def _records(shard: Shard) -> Iterator[tuple[bytes, str | None]]:
    """Records of a shard, each with what is wrong with its form, or None."""
    with Input(shard.path, start=shard.start) as file:
        if shard.kind in TABLES:
            for _, raw, wrong in csv_records(file, shard.kind, shard.end):
                yield raw, wrong
            return
        for i, (raw, whole) in enumerate(lines(file, shard.end)):
            long = not whole or len(raw) > MOST_BYTES
            if shard.start == 0 and i == 0:
                raw = raw.removeprefix(codecs.BOM_UTF8)
            yield raw, f"longer than {MOST_BYTES:,} bytes" if long else None


def _prompt(raw: bytes, shard: Shard, row_id: str, settings: GenerationSettings) -> Prompt:
    if shard.kind == "jsonl":
        return json_prompt(raw, row_id=row_id, settings=settings)
    if shard.kind in TABLES:
        return csv_prompt(
            raw, kind=shard.kind, columns=shard.columns, row_id=row_id, settings=settings
        )
    return text_prompt(raw, row_id=row_id)
