"""Plans prompt files into shards in one streaming pass; a worker reads the shards it needs."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from textmill.model.errors import TextmillError
from textmill.model.prompt import Prompt
from textmill.model.settings import GenerationSettings
from textmill.model.text.labelled_tables import refuse_one_json_value
from textmill.pipeline.files.filesystem import absolute, digest_of, find, mark_of, of_content
from textmill.pipeline.output.columns import Kinds
from textmill.pipeline.prompts.column_names import Lacking, own_columns, with_own_names
from textmill.pipeline.prompts.opening import Input, encoding_of
from textmill.pipeline.prompts.reading import (
    AS_USUAL,
    Form,
    InputSettings,
    ParquetInput,
    form_of,
    line_starts,
    records,
    table_header,
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
from textmill.pipeline.prompts.unchanged import NEW_DIRECTORY, check_unchanged

RAW_KEPT = 1_000  # characters of a rejected row that its record keeps
# Row offsets kept: most for all files together, least for each. Memory must not grow with the job.
MOST_MARKS, LEAST_MARKS = 1 << 16, 64

# A run is cut into about `_SHARDS` shards that ask for `_LEAST_WORDS` to `_MOST_WORDS` words. If
# that makes more than `_MANY_SHARDS`, the cost of files and notes counts: shards get larger.
_SHARDS, _MANY_SHARDS = 40, 10_000
_LEAST_WORDS, _MOST_WORDS, _LARGEST_WORDS = 1_000, 200_000, 1_000_000


@dataclass(frozen=True)
class PromptFile:
    """A planned input.

    Attributes:
        name: path from the common root of all inputs.
        bytes: number of decompressed bytes; of rows for Parquet.
        rows: number of records.
        sha256: SHA-256 of the file, not decompressed.
    """

    name: str
    bytes: int
    rows: int
    sha256: str


@dataclass(frozen=True)
class Shard:
    """The unit of work, of output and of retry: a byte range of one input.

    Attributes:
        number: number of the shard, from 0.
        of: number of shards in the run.
        path: path of the input.
        name: the input's path from the common root.
        form: how the input is cut into records.
        columns: columns of a table.
        start: offset of the first byte; of the first row for Parquet.
        end: offset after the last byte; after the last row for Parquet.
        first: number of the first row, from 1.
        rows: number of rows.
        mark: of the input when it was planned, see `check_unchanged`.
        sha256: of the input; empty if it is no file that could change.
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
    mark: str = ""
    sha256: str = ""

    @property
    def file_name(self) -> str:
        """The name of its output file, without an ending; a run's names sort as its shards do."""
        digits = max(5, len(str(self.of)))
        return f"shard-{self.number:0{digits}d}-of-{self.of:0{digits}d}"


@dataclass(frozen=True)
class Rejected:
    """A row that is rejected."""

    file: str
    line: int
    reason: str
    raw: str


@dataclass(frozen=True)
class LoadedShard:
    """A shard's rows, each a prompt or rejected; `places` are file and line of each prompt."""

    shard: Shard
    prompts: list[Prompt]
    places: list[tuple[str, int]]
    rejected: list[Rejected]


@dataclass(frozen=True)
class Plan:
    """All inputs, the shards they are cut into, and the kinds of the rows' fields.

    Attributes:
        files: the inputs.
        shards: the shards, in order.
        fields: kinds of the rows' fields, by name.
        words: largest number of words that each shard's rows ask for, rejected rows included.
        texts: number of texts that all rows ask for, rejected rows included.
    """

    files: tuple[PromptFile, ...]
    shards: tuple[Shard, ...]
    fields: dict[str, str]
    words: tuple[int, ...]
    texts: int

    @property
    def rows(self) -> int:
        """Number of rows of all inputs."""
        return sum(file.rows for file in self.files)

    @property
    def carried(self) -> dict[str, str]:
        """Kinds of the fields that are copied to the output."""
        return {name: kind for name, kind in self.fields.items() if name not in FIELDS}


def plan(
    patterns: Sequence[str],
    settings: GenerationSettings,
    reading: InputSettings = AS_USUAL,
) -> Plan:
    """Cuts prompt files into shards in one pass over their bytes; the rows are not kept.

    The shards depend only on inputs and settings, never on the number of workers.

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
    """Gives the most words that a shard asks for, if all rows together ask for `total`.

    Only a shard of one row may ask for more, or one of a file with so many rows that only the
    offset of every n-th row is kept.
    """
    few = min(max(total // _SHARDS, _LEAST_WORDS), _MOST_WORDS)
    return max(few, min(total // _MANY_SHARDS, _LARGEST_WORDS))


def even_shards(rows: int, words: int) -> list[int]:
    """Gives the words of each shard, as if one file's rows all asked for equally many words."""
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
    """Finds the common root of all inputs, so that a bucket and a disk give the same names."""
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
        path: path of the file.
        file: the planned input.
        form: how it is cut into records.
        columns: columns of a table.
        marks: offset of every `every`-th row.
        ahead: for each mark, the most words that the rows before it ask for.
        every: rows between two marks.
        words: the most words that all rows ask for.
        texts: number of texts that all rows ask for.
        mark: of the file, see `mark_of`.
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
    mark: str = ""

    def ranges(self, words: int) -> Iterator[dict[str, Any]]:
        """Gives byte ranges that ask for at most `words` words, if the marks allow it.

        Each range has the fields of a `Shard` and the words that it asks for.
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
                "path": absolute(self.path),  # a worker elsewhere has another folder
                "name": self.file.name,
                "form": self.form,
                "columns": self.columns,
                "start": int(self.marks[start]),
                "end": self.file.bytes if is_last else int(self.marks[end]),
                "first": first + 1,
                "rows": last - first,
                "mark": self.mark,
                "sha256": self.file.sha256,
                "words": int(after[end - 1] - self.ahead[start]),
            }


@dataclass
class _Marks:
    """Marks of a file that is being read; their distance grows, so that they stay few."""

    most: int
    offsets: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    ahead: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    rows: int = 0
    every: int = 1
    words: int = 0
    texts: int = 0

    def add(self, starts: np.ndarray, texts: np.ndarray | int, words: np.ndarray | int) -> None:
        """Notes where the next rows start, and the texts and words that they ask for."""
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
        """Notes rows that come one by one."""
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
    form, marks, mark = form_of(path, reading), _Marks(most), mark_of(path)
    columns: tuple[str, ...] = ()
    if form.kind == "parquet":
        with ParquetInput(path) as parquet:
            names = own_columns(path, parquet.columns, reading)
            columns = tuple(names.values())
            for column, kind in parquet.kinds().items():
                if column not in reading.context:
                    kinds.declare(names[column], kind)
            asked = [column for column in names if names[column] in _SIZES]
            if asked:
                rows = parquet.records(0, parquet.rows, asked)
                marks.add_all((i, *_asks(row, settings)) for i, (row, _) in enumerate(rows))
            else:
                known = (reading.prompt_column, *reading.starts)
                column = next(name for name in known if name in names)
                for count in parquet.counts(column):
                    starts = np.arange(marks.rows, marks.rows + count)
                    marks.add(starts, *_asks({}, settings))
            size = marks.rows
            parquet.check_rows(size)
    else:
        form = replace(form, encoding=encoding_of(path, reading.encoding))
        with Input(path, encoding=form.encoding) as file:
            if form.kind == "text":
                if reading.starts:
                    raise TextmillError(
                        f"{path} holds lines of text, and the model starts its texts from "
                        f"{', '.join(reading.starts)}; give rows with that in a .jsonl, .csv, .tsv "
                        "or .parquet"
                    )
                for starts in line_starts(file):
                    marks.add(starts, *_asks({}, settings))
            else:
                if form.kind == "table":
                    found, form = table_header(path, file, form)
                    columns = tuple(own_columns(path, found, reading).values()) if found else ()
                    for column in columns:
                        if column not in reading.context:
                            kinds.declare(column, "text")
                marks.add_all(_asked(path, file, form, columns, settings, reading, kinds))
            size = file.position
    file_of = PromptFile(name, size, marks.rows, digest_of(path))
    now = mark_of(path)
    if of_content(now) != of_content(mark):
        raise TextmillError(f"{path} changed while it was planned; give the same command again")
    return _Scan(
        path, file_of, form, columns, marks.offsets, marks.ahead, marks.every, marks.words,
        marks.texts, now,
    )  # fmt: skip


def _asked(
    path: str,
    file: Input,
    form: Form,
    columns: tuple[str, ...],
    settings: GenerationSettings,
    reading: InputSettings,
    kinds: Kinds,
) -> Iterator[tuple[int, int, int]]:
    """Gives each record's start, texts and words; also notes the fields of JSON objects.

    Raises:
        TextmillError: a .jsonl holds one JSON value, or no object of it has a prompt.
    """
    is_json = form.kind == "jsonl"
    looks = is_json or any(column in _SIZES for column in columns)
    usual = _asks({}, settings)
    first, lacking = True, Lacking(reading)
    for start, raw, wrong in records(file, form):
        row: dict[str, Any] = {}
        if is_json and first and raw.strip():
            refuse_one_json_value(path, raw.decode("utf-8", "replace"), whole=wrong is None)
            first = False
        if looks and wrong is None:
            with contextlib.suppress(BadRow):
                if is_json:
                    found = json_row(raw, encoding=form.encoding)
                    lacking.look(found)
                    row = with_own_names(found, reading)
                    kinds.learn(carried(row, reading))
                    if row.get("id") is not None:
                        kinds.declare("id", "text")
                else:
                    row = table_row(raw, form=form, columns=columns, context=reading.context)
        asks = any(name in row for name in _SIZES)
        yield start, *(_asks(row, settings) if asks else usual)
    lacking.refuse(path)


# Fields of a row that say how much it asks for.
_SIZES = ("samples", "temperature", "max_words")


def _asks(row: Mapping[str, Any], settings: GenerationSettings) -> tuple[int, int]:
    """Gives texts and most words that a row asks for; 0 and 1 if it will be rejected."""
    samples, words = (
        value if isinstance(value := row.get(name) or usual, int | float) else usual
        for name, usual in (("samples", settings.samples), ("max_words", settings.max_words))
    )
    own = row.get("temperature")
    many = len(own) if isinstance(own, list) else len(settings.temperatures) if own is None else 1
    if not (samples > 0 and words > 0):  # NaN too
        return 0, 1
    # These bounds keep the sums of a billion rows below 2^63. They come before any product, as an
    # int of a row may be beyond what a float can be.
    texts = min(min(samples, 1e5) * many, 1e5)
    return int(texts), max(1, int(texts * min(words, 1e5)))


def read_shard(
    shard: Shard, settings: GenerationSettings, reading: InputSettings = AS_USUAL
) -> LoadedShard:
    """Reads a shard's rows.

    Args:
        shard: the shard.
        settings: the command's settings, which a row's own fields override.
        reading: how prompt files are read.

    Raises:
        TextmillError: the file is gone, or is not the one that was planned.
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
            f"of {shard.rows} from line {shard.first}; {NEW_DIRECTORY}"
        )
    if shard.sha256:  # after the reading, so that what was read is what was planned
        check_unchanged(shard.path, shard.mark, shard.sha256)
    return LoadedShard(shard, prompts, places, rejected)


def shown(raw: Any) -> str:
    """Gives the part of a rejected row that its record keeps."""
    if isinstance(raw, bytes):
        text = raw.decode("utf-8", "backslashreplace")
    else:
        try:
            text = raw if isinstance(raw, str) else json.dumps(raw, ensure_ascii=False, default=str)
        except (ValueError, TypeError, RecursionError):
            text = f"a {type(raw).__name__} that cannot be shown"
    return text[:RAW_KEPT].encode("utf-8", "backslashreplace").decode()


def _records(shard: Shard) -> Iterator[tuple[Any, str | None]]:
    """Reads a shard's records, as bytes or rows, each with what is wrong with it, or None."""
    if shard.form.kind == "parquet":
        with ParquetInput(shard.path) as parquet:
            yield from parquet.records(shard.start, shard.end)
        return
    with Input(shard.path, start=shard.start, encoding=shard.form.encoding) as file:
        for _, raw, wrong in records(file, shard.form, shard.end):
            yield raw, wrong


def _prompt(
    raw: Any, shard: Shard, row_id: str, settings: GenerationSettings, reading: InputSettings
) -> Prompt:
    kind = shard.form.kind
    if kind == "text":
        return text_prompt(raw, row_id=row_id, encoding=shard.form.encoding)
    if kind == "jsonl":
        row = with_own_names(json_row(raw, encoding=shard.form.encoding), reading)
    elif kind == "table":
        row = table_row(raw, form=shard.form, columns=shard.columns, context=reading.context)
    else:
        row = value_row(with_own_names(raw, reading))
    return prompt_of(row, row_id=row_id, settings=settings, reading=reading)
