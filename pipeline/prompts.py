"""Prompt files: planned into shards in one streaming pass, read by the worker that needs them."""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.corpus import find_files
from model.errors import TextmillError
from model.generator import Prompt
from model.settings import GenerationSettings
from pipeline.files import absolute, is_remote
from pipeline.inputs import (
    AS_USUAL,
    MOST_BYTES,
    Form,
    Input,
    InputSettings,
    ParquetInput,
    csv_fields,
    csv_records,
    digest_of,
    form_of,
    lines,
    record_starts,
)
from pipeline.records import Kinds
from pipeline.rows import (
    FIELDS,
    BadRow,
    json_row,
    parquet_row,
    prompt_of,
    table_row,
    text_prompt,
)

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
        bytes: decompressed; of Parquet, rows. rows: records. sha256: of the file as it lies there.
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
        path: of the input. name: its path from the common root. form: how it is cut.
        columns: of a table.
        start, end: byte offsets; in Parquet, rows. first: number of the first row, from 1.
        rows: how many.
    """

    number: int
    of: int
    path: str
    name: str
    form: Form
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
    """A shard's rows: every one is a prompt or rejected. `places`: file, line of prompts."""

    shard: Shard
    prompts: list[Prompt]
    places: list[tuple[str, int]]
    rejected: list[Rejected]


@dataclass(frozen=True)
class Plan:
    """All inputs, the shards they are cut into, and the kinds of the rows' fields."""

    files: tuple[PromptFile, ...]
    shards: tuple[Shard, ...]
    fields: dict[str, str]

    @property
    def rows(self) -> int:
        """Rows of all inputs."""
        return sum(file.rows for file in self.files)

    @property
    def carried(self) -> dict[str, str]:
        """Kinds of the fields that are carried through."""
        return {name: kind for name, kind in self.fields.items() if name not in FIELDS}


def plan(
    patterns: Sequence[str],
    settings: GenerationSettings,
    reading: InputSettings = AS_USUAL,
) -> Plan:
    """Cuts prompt files into shards by one pass over their bytes; the rows are not kept.

    The shards depend on inputs and settings alone, never on the number of workers.

    Raises:
        TextmillError: a pattern matches nothing, a file cannot be read, or no file has a row.
    """
    paths = _find(patterns)
    root = _root(paths)
    most = max(_MOST_MARKS // len(paths), _LEAST_MARKS)
    kinds = Kinds()
    scans = [
        _scan(path, _absolute(path).removeprefix(root), most, reading, kinds) for path in paths
    ]
    rows = sum(scan.file.rows for scan in scans)
    if rows == 0:
        raise TextmillError(f"no prompts: {', '.join(patterns)} holds no line")
    words_a_row = settings.texts * settings.max_words
    words = min(max(rows * words_a_row // _SHARDS, _LEAST_WORDS), _MOST_WORDS)
    ranges = [r for scan in scans for r in scan.ranges(max(1, words // words_a_row))]
    shards = tuple(Shard(number=i, of=len(ranges), **fields) for i, fields in enumerate(ranges))
    return Plan(tuple(scan.file for scan in scans), shards, kinds.known())


def _find(patterns: Sequence[str]) -> list[str]:
    """Files for paths and patterns, on disks and on Beam's file systems, each once."""
    found: dict[str, None] = {}
    for pattern in patterns:
        if not is_remote(pattern):
            found |= dict.fromkeys(find_files([pattern]))
            continue
        from apache_beam.io.filesystems import FileSystems

        try:
            matches = sorted(file.path for file in FileSystems.match([pattern])[0].metadata_list)
        except Exception as error:  # each file system raises its own
            raise TextmillError(f"cannot list {pattern}: {error}") from None
        if not matches:
            raise TextmillError(f"no file matches '{pattern}'; check the pattern and the folder")
        found |= dict.fromkeys(matches)
    return list({absolute(path): path for path in reversed(found)}.values())[::-1]


def _root(paths: Sequence[str]) -> str:
    """The common root of all inputs: a bucket and a disk then give the same names."""
    folders = [_absolute(path).split("/")[:-1] for path in paths]
    together = zip(*folders, strict=False)
    common = itertools.takewhile(lambda parts: len(set(parts)) == 1, together)
    return "".join(f"{parts[0]}/" for parts in common)


def _absolute(path: str) -> str:
    return absolute(path).replace(os.sep, "/")


@dataclass(frozen=True)
class _Scan:
    """A pass over a file: the offset of every `every`-th row."""

    path: str
    file: PromptFile
    form: Form
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
                "form": self.form,
                "columns": self.columns,
                "start": int(self.marks[i]),
                "end": end,
                "first": first + 1,
                "rows": last - first,
            }


def _scan(path: str, name: str, most: int, reading: InputSettings, kinds: Kinds) -> _Scan:
    form = form_of(path, reading)
    if form.kind == "parquet":
        return _scan_parquet(path, name, most, reading, kinds)
    columns: tuple[str, ...] = ()
    marks, rows, every = np.zeros(0, np.int64), 0, 1
    with Input(path) as file:
        jsonl = form.kind == "jsonl"
        for starts in _jsonl_starts(file, kinds) if jsonl else record_starts(file, form):
            if form.kind == "table" and not columns and len(starts):
                columns, starts = _header(path, form), starts[1:]
            marks = np.append(marks, starts[-rows % every :: every])
            rows += len(starts)
            while len(marks) > most:
                marks, every = marks[::2], every * 2
        size = file.position
    if columns:
        _check_columns(path, columns, reading)
    for column in columns:
        kinds.declare(column, "text")
    return _Scan(path, PromptFile(name, size, rows, digest_of(path)), form, columns, marks, every)


def _scan_parquet(path: str, name: str, most: int, reading: InputSettings, kinds: Kinds) -> _Scan:
    with ParquetInput(path) as file:
        columns, rows = file.columns, file.rows
        _check_columns(path, columns, reading)
        for column, kind in file.kinds().items():
            kinds.declare(column, kind)
    every = max(1, -(-rows // most))
    marks = np.arange(0, rows, every)
    prompt_file = PromptFile(name, rows, rows, digest_of(path))
    return _Scan(path, prompt_file, Form("parquet"), columns, marks, every)


def _jsonl_starts(file: Input, kinds: Kinds) -> Iterator[np.ndarray]:
    """Offsets of the lines, some at a time; the kinds of their fields are learned on the way."""
    pending: list[int] = []
    for start, raw, whole in lines(file):
        if whole and len(raw) <= MOST_BYTES:
            with contextlib.suppress(BadRow):
                kinds.learn(json_row(raw))
        pending.append(start)
        if len(pending) == 4096:
            yield np.array(pending, np.int64)
            pending = []
    yield np.array(pending, np.int64)


def _header(path: str, form: Form) -> tuple[str, ...]:
    """The names in a table's first record.

    Raises:
        TextmillError: it is no record.
    """
    with Input(path) as file:
        _, raw, _ = next(csv_records(file, form))
    try:
        return tuple(csv_fields(raw.decode("utf-8-sig"), form))
    except (UnicodeDecodeError, csv.Error) as error:
        raise TextmillError(f"{path}: the header is no row of a table: {error}") from None


def _check_columns(path: str, columns: Sequence[str], reading: InputSettings) -> None:
    shown = ", ".join(columns)[:200]
    if "prompt" not in columns or len(set(columns)) != len(columns):
        raise TextmillError(
            f"{path}: the header must name a column 'prompt', and none twice. Columns: {shown}"
        )
    unknown = [name for name in columns if name not in FIELDS]
    if reading.strict and unknown:
        raise TextmillError(
            f"{path}: unknown column '{unknown[0]}'; with --strict only {', '.join(FIELDS)} are "
            "allowed"
        )


def read_shard(
    shard: Shard, settings: GenerationSettings, reading: InputSettings = AS_USUAL
) -> LoadedShard:
    """Reads a shard's rows.

    Args:
        settings: the command's, which a row's own fields override.

    Raises:
        TextmillError: the file is gone or has other rows than were planned.
    """
    prompts: list[Prompt] = []
    places: list[tuple[str, int]] = []
    rejected: list[Rejected] = []
    for line, (raw, wrong) in enumerate(_records(shard), start=shard.first):
        try:
            if wrong is not None:
                raise BadRow(wrong)
            prompts.append(_prompt(raw, shard, f"{shard.name}:{line}", settings, reading))
            places.append((shard.name, line))
        except BadRow as reason:
            rejected.append(Rejected(shard.name, line, str(reason), shown(raw)))
    if len(prompts) + len(rejected) != shard.rows:
        raise TextmillError(
            f"{shard.path} changed while it was read: {len(prompts) + len(rejected)} rows instead "
            f"of {shard.rows} from line {shard.first}; start the run again in a new directory"
        )
    return LoadedShard(shard, prompts, places, rejected)


def shown(raw: Any) -> str:
    """What a rejected row's record keeps of it."""
    if isinstance(raw, bytes):
        text = raw.decode("utf-8", "backslashreplace")
    else:
        text = raw if isinstance(raw, str) else json.dumps(raw, ensure_ascii=False, default=str)
    return text[:RAW_KEPT].encode("utf-8", "backslashreplace").decode()


def _records(shard: Shard) -> Iterator[tuple[Any, str | None]]:
    """Records of a shard, as bytes or a row, each with what is wrong with its form, or None."""
    if shard.form.kind == "parquet":
        with ParquetInput(shard.path) as parquet:
            for row in parquet.records(shard.start, shard.end):
                yield row, None
        return
    with Input(shard.path, start=shard.start) as file:
        if shard.form.kind == "table":
            for _, raw, wrong in csv_records(file, shard.form, shard.end):
                yield raw, wrong
            return
        for _, raw, whole in lines(file, shard.end):
            long = not whole or len(raw) > MOST_BYTES
            yield raw, f"longer than {MOST_BYTES:,} bytes" if long else None


def _prompt(
    raw: Any, shard: Shard, row_id: str, settings: GenerationSettings, reading: InputSettings
) -> Prompt:
    kind = shard.form.kind
    if kind == "text":
        return text_prompt(raw, row_id=row_id)
    if kind == "jsonl":
        row = json_row(raw)
    elif kind == "table":
        row = table_row(raw, form=shard.form, columns=shard.columns)
    else:
        row = parquet_row(raw)
    return prompt_of(row, row_id=row_id, settings=settings, reading=reading)
