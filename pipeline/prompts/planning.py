"""Prompt files: planned into shards in one streaming pass, read by the worker that needs them."""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from textmill.model.errors import TextmillError
from textmill.model.prompt import Prompt
from textmill.model.settings import GenerationSettings
from textmill.pipeline.files.filesystem import absolute, find
from textmill.pipeline.output.columns import Kinds
from textmill.pipeline.prompts.reading import (
    AS_USUAL,
    Form,
    Input,
    InputSettings,
    ParquetInput,
    csv_fields,
    csv_records,
    digest_of,
    form_of,
    line_starts,
    records,
)
from textmill.pipeline.prompts.rows import (
    FIELDS,
    BadRow,
    carried,
    json_row,
    prompt_of,
    table_row,
    text_prompt,
    value_row,
)

RAW_KEPT = 1_000  # characters of a rejected row that its record keeps
# Row offsets kept, of all files together and of each: memory must not grow with the job.
MOST_MARKS, LEAST_MARKS = 1 << 16, 64

# A run is cut into some tens of shards, none of them shorter or longer than this many words, until
# it has so many shards that files, notes and manifest would be the work; then they grow further.
_SHARDS, _MANY_SHARDS = 40, 10_000
_LEAST_WORDS, _MOST_WORDS, _LARGEST_WORDS = 1_000, 200_000, 1_000_000


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
    """All inputs, the shards they are cut into, and the kinds of the rows' fields.

    Attributes:
        words: that each shard's rows ask for at most. texts: that all rows ask for. Rows that will
            be rejected are among them.
    """

    files: tuple[PromptFile, ...]
    shards: tuple[Shard, ...]
    fields: dict[str, str]
    words: tuple[int, ...]
    texts: int

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
    paths = find(patterns)
    root = _root(paths)
    most = max(MOST_MARKS // len(paths), LEAST_MARKS)
    kinds = Kinds()
    scans = [
        _scan(path, _absolute(path).removeprefix(root), most, settings, reading, kinds)
        for path in paths
    ]
    if sum(scan.file.rows for scan in scans) == 0:
        raise TextmillError(f"no prompts: {', '.join(patterns)} holds no line")
    most_words = shard_words(sum(scan.words for scan in scans))
    ranges = [r for scan in scans for r in scan.ranges(most_words)]
    words = tuple(fields.pop("words") for fields in ranges)
    shards = tuple(Shard(number=i, of=len(ranges), **fields) for i, fields in enumerate(ranges))
    texts = sum(scan.texts for scan in scans)
    return Plan(tuple(scan.file for scan in scans), shards, kinds.known(), words, texts)


def shard_words(total: int) -> int:
    """Words at most that a shard asks for, where all rows together ask for so many.

    A shard of more than one row never asks for more, but where the rows of a file are so many that
    only every n-th place is known.
    """
    few = min(max(total // _SHARDS, _LEAST_WORDS), _MOST_WORDS)
    return max(few, min(total // _MANY_SHARDS, _LARGEST_WORDS))


def even_shards(rows: int, words: int) -> list[int]:
    """Words of each shard, were the input one file of so many rows that all ask for the same."""
    every = 1
    while -(-rows // every) > MOST_MARKS:
        every *= 2
    marks = np.arange(0, rows, every)
    scan = _Scan(
        "", PromptFile("", rows, rows, ""), Form("text"), (), marks,
        (marks * (words / rows)).astype(np.int64), every, words, rows,
    )  # fmt: skip
    return [fields["words"] for fields in scan.ranges(shard_words(words))]


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
    """A pass over a file.

    Attributes:
        marks: offset of every `every`-th row. ahead: words at most that the rows before it ask for.
        words, texts: that all rows ask for.
    """

    path: str
    file: PromptFile
    form: Form
    columns: tuple[str, ...]
    marks: np.ndarray
    ahead: np.ndarray
    every: int
    words: int
    texts: int

    def ranges(self, words: int) -> Iterator[dict[str, Any]]:
        """Byte ranges that ask for no more than so many words, if the marks allow it.

        Each with the fields of a `Shard` and the words it asks for.
        """
        edges, i = [0], 0
        after = np.append(self.ahead[1:], self.words)
        while i < len(self.marks):
            end = int(np.searchsorted(after, self.ahead[i] + words, side="right"))
            i = max(i + 1, end)
            edges.append(min(i, len(self.marks)))
        for start, end in itertools.pairwise(edges):
            is_last = end == len(self.marks)
            first, last = start * self.every, self.file.rows if is_last else end * self.every
            yield {
                "path": self.path,
                "name": self.file.name,
                "form": self.form,
                "columns": self.columns,
                "start": int(self.marks[start]),
                "end": self.file.bytes if is_last else int(self.marks[end]),
                "first": first + 1,
                "rows": last - first,
                "words": int(after[end - 1] - self.ahead[start]),
            }


@dataclass
class _Marks:
    """Marks of a file while it is passed over: ever further apart, so that they stay few."""

    most: int
    offsets: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    ahead: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    rows: int = 0
    every: int = 1
    words: int = 0
    texts: int = 0

    def add(self, starts: np.ndarray, texts: np.ndarray | int, words: np.ndarray | int) -> None:
        """Takes note of the next rows: where they start, the texts and words they ask for."""
        after = np.cumsum(np.broadcast_to(np.asarray(words, np.int64), len(starts))) + self.words
        before = np.concatenate([[self.words], after])[: len(starts)]
        kept = slice(-self.rows % self.every, None, self.every)
        self.offsets = np.append(self.offsets, starts[kept])
        self.ahead = np.append(self.ahead, before[kept])
        self.rows += len(starts)
        self.texts += int(np.broadcast_to(np.asarray(texts, np.int64), len(starts)).sum())
        self.words = int(after[-1]) if len(starts) else self.words
        while len(self.offsets) > self.most:
            self.offsets, self.ahead = self.offsets[::2], self.ahead[::2]
            self.every *= 2

    def add_all(self, rows: Iterable[tuple[int, int, int]]) -> None:
        """Takes note of rows one by one."""
        source = iter(rows)
        while block := list(itertools.islice(source, 4096)):
            self.add(*np.array(block, np.int64).T)


def _scan(
    path: str,
    name: str,
    most: int,
    settings: GenerationSettings,
    reading: InputSettings,
    kinds: Kinds,
) -> _Scan:
    form, marks = form_of(path, reading), _Marks(most)
    columns: tuple[str, ...] = ()
    if form.kind == "parquet":
        with ParquetInput(path) as parquet:
            columns, size = parquet.columns, parquet.rows
            _check_columns(path, columns, reading)
            for column, kind in parquet.kinds().items():
                kinds.declare(column, kind)
            asked = [column for column in columns if column in _SIZES]
            if asked:
                rows = parquet.records(0, size, asked)
                marks.add_all((i, *_asks(row, settings)) for i, (row, _) in enumerate(rows))
            else:
                marks.add(np.arange(size), *_asks({}, settings))
    else:
        with Input(path) as file:
            if form.kind == "text":
                for starts in line_starts(file):
                    marks.add(starts, *_asks({}, settings))
            else:
                if form.kind == "table":
                    columns = _header(path, file, form)
                    if columns:
                        _check_columns(path, columns, reading)
                    for column in columns:
                        kinds.declare(column, "text")
                marks.add_all(_asked(file, form, columns, settings, reading, kinds))
            size = file.position
    return _Scan(
        path, PromptFile(name, size, marks.rows, digest_of(path)), form, columns, marks.offsets,
        marks.ahead, marks.every, marks.words, marks.texts,
    )  # fmt: skip


def _asked(
    file: Input,
    form: Form,
    columns: tuple[str, ...],
    settings: GenerationSettings,
    reading: InputSettings,
    kinds: Kinds,
) -> Iterator[tuple[int, int, int]]:
    """Where each record starts, texts and words it asks for; of JSON objects also the fields."""
    looks = form.kind == "jsonl" or any(column in _SIZES for column in columns)
    usual = _asks({}, settings)
    for start, raw, wrong in records(file, form):
        row: dict[str, Any] = {}
        if looks and wrong is None:
            with contextlib.suppress(BadRow):
                if form.kind == "jsonl":
                    row = json_row(raw)
                    kinds.learn(carried(row, reading))
                    if row.get("id") is not None:
                        kinds.declare("id", "text")
                else:
                    row = table_row(raw, form=form, columns=columns)
        asks = any(name in row for name in _SIZES)
        yield start, *(_asks(row, settings) if asks else usual)


# Fields of a row that say how much it asks for.
_SIZES = ("samples", "temperature", "max_words")


def _asks(row: Mapping[str, Any], settings: GenerationSettings) -> tuple[int, int]:
    """Texts and words at most that a row asks for; of nonsense, which will be rejected, 0 and 1."""
    samples, words = (
        value if isinstance(value := row.get(name) or usual, int | float) else usual
        for name, usual in (("samples", settings.samples), ("max_words", settings.max_words))
    )
    own = row.get("temperature")
    many = len(own) if isinstance(own, list) else len(settings.temperatures) if own is None else 1
    if not samples * words > 0:  # NaN too
        return 0, 1
    # Held within bounds that keep the sums of a billion rows below 2^63.
    texts = min(samples * many, 1e5)
    return int(texts), max(1, int(texts * min(words, 1e5)))


def _header(path: str, file: Input, form: Form) -> tuple[str, ...]:
    """The names in a table's first record; none if it is empty.

    Raises:
        TextmillError: it is no record.
    """
    found = next(csv_records(file, form), None)
    if found is None:
        return ()
    _, raw, wrong = found
    try:
        if wrong is not None:
            raise csv.Error(wrong)
        return tuple(csv_fields(raw.decode("utf-8-sig"), form))
    except (UnicodeDecodeError, csv.Error) as error:
        raise TextmillError(f"{path}: the header is no row of a table: {error}") from None


def _check_columns(path: str, columns: Sequence[str], reading: InputSettings) -> None:
    if "prompt" not in columns:
        shown = ", ".join(map(repr, columns))[:200]
        hint = "; --delimiter says what stands between cells" if len(columns) == 1 else ""
        raise TextmillError(f"{path}: no column named 'prompt'. Found: {shown}{hint}")
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise TextmillError(f"{path}: the column {twice[:100]!r} stands there twice; rename one")
    unknown = [name for name in columns if name not in FIELDS]
    if reading.strict and unknown:
        raise TextmillError(
            f"{path}: unknown column {unknown[0][:100]!r}; with --strict only {', '.join(FIELDS)} "
            "are allowed"
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
        try:
            text = raw if isinstance(raw, str) else json.dumps(raw, ensure_ascii=False, default=str)
        except (ValueError, TypeError, RecursionError):
            text = f"a {type(raw).__name__} that cannot be shown"
    return text[:RAW_KEPT].encode("utf-8", "backslashreplace").decode()


def _records(shard: Shard) -> Iterator[tuple[Any, str | None]]:
    """Records of a shard, as bytes or a row, each with what is wrong with its form, or None."""
    if shard.form.kind == "parquet":
        with ParquetInput(shard.path) as parquet:
            yield from parquet.records(shard.start, shard.end)
        return
    with Input(shard.path, start=shard.start) as file:
        for _, raw, wrong in records(file, shard.form, shard.end):
            yield raw, wrong


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
        row = value_row(raw)
    return prompt_of(row, row_id=row_id, settings=settings, reading=reading)
