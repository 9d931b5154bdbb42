"""Prompt files: planned into shards in one streaming pass, read by the worker that needs them."""

from __future__ import annotations

import codecs
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from model.corpus import find_files
from model.errors import TextmillError
from model.generator import Prompt
from model.settings import GenerationSettings

# A prompt line of more bytes is rejected; the longest paragraph of a book is a tenth of it.
MOST_BYTES = 65_536
_RAW_KEPT = 1_000  # characters of a rejected row that its record keeps
_BLANK = "".join(chr(c) for c in range(0x3001) if chr(c).isspace() or c < 32) + "\u200b\ufeff"
_BLOCK = 1 << 20
# Row offsets kept, of all files together and of each: memory must not grow with the job.
_MOST_MARKS, _LEAST_MARKS = 1 << 16, 64

# A run is cut into some tens of shards, none of them shorter or longer than this many words.
_SHARDS = 40
_LEAST_WORDS, _MOST_WORDS = 1_000, 200_000


@dataclass(frozen=True)
class PromptFile:
    """A planned input: `name` is its path from the common root of all inputs."""

    name: str
    bytes: int
    rows: int
    sha256: str


@dataclass(frozen=True)
class Shard:
    """The unit of work, of output and of retry: a byte range of one input.

    Attributes:
        number: from 0. of: shards in the run.
        path: of the input. name: its path from the common root.
        start, end: byte offsets. first: number of the first row, from 1. rows: how many.
    """

    number: int
    of: int
    path: str
    name: str
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
    """A shard's rows: every one is a prompt or rejected."""

    shard: Shard
    prompts: list[Prompt]
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
                "start": int(self.marks[i]),
                "end": end,
                "first": first + 1,
                "rows": last - first,
            }


def _scan(path: str, root: str, most: int) -> _Scan:
    digest, size, rows, every = hashlib.sha256(), 0, 0, 1
    marks = np.zeros(0, np.int64)
    open_row = False  # whether the bytes so far end inside a row
    try:
        with open(path, "rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                ends = np.flatnonzero(np.frombuffer(block, np.uint8) == 10) + 1
                starts = ends if open_row else np.concatenate([[0], ends])
                open_row = not block.endswith(b"\n")
                if not open_row:
                    starts = starts[:-1]  # what starts after the last byte is not there yet
                offset = -rows % every
                marks = np.append(marks, size + starts[offset::every])
                rows += len(starts)
                size += len(block)
                while len(marks) > most:
                    marks, every = marks[::2], every * 2
    except OSError as error:
        raise TextmillError(f"cannot read {path}: {error.strerror}") from None
    name = os.path.relpath(os.path.abspath(path), root).replace(os.sep, "/")
    return _Scan(path, PromptFile(name, size, rows, digest.hexdigest()), marks, every)


def read_shard(shard: Shard) -> LoadedShard:
    """Reads a shard's byte range.

    Raises:
        TextmillError: the file is gone or has other rows than were planned.
    """
    prompts: list[Prompt] = []
    rejected: list[Rejected] = []
    for line, (raw, whole) in enumerate(_lines(shard), start=shard.first):
        if line == 1:
            raw = raw.removeprefix(codecs.BOM_UTF8)
        text, reason = _prompt_text(raw, whole=whole)
        if reason is None:
            prompts.append(Prompt(id=f"{shard.name}:{line}", text=text))
        else:
            shown = raw.decode("utf-8", "backslashreplace")[:_RAW_KEPT]
            rejected.append(Rejected(shard.name, line, reason, shown))
    if len(prompts) + len(rejected) != shard.rows:
        raise TextmillError(
            f"{shard.path} changed while it was read: {len(prompts) + len(rejected)} rows instead "
            f"of {shard.rows} from line {shard.first}; start the run again in a new directory"
        )
    return LoadedShard(shard, prompts, rejected)


def _lines(shard: Shard) -> Iterator[tuple[bytes, bool]]:
    """Rows without their line end, each with whether it is whole (a huge one is cut)."""
    try:
        with open(shard.path, "rb") as file:
            file.seek(shard.start)
            while (left := shard.end - file.tell()) > 0:
                row = file.readline(min(left, MOST_BYTES + 2))
                if not row:
                    return
                whole = row.endswith(b"\n") or file.tell() == shard.end
                if not whole:
                    _skip_line(file, shard.end)
                yield row.removesuffix(b"\n").removesuffix(b"\r"), whole
    except OSError as error:
        raise TextmillError(f"cannot read {shard.path}: {error.strerror}") from None


def _skip_line(file: BinaryIO, end: int) -> None:
    while file.tell() < end:
        if file.readline(min(end - file.tell(), _BLOCK)).endswith(b"\n"):
            return


def _prompt_text(raw: bytes, *, whole: bool) -> tuple[str, str | None]:
    """The prompt, or why the row is none."""
    if not whole or len(raw) > MOST_BYTES:
        return "", f"longer than {MOST_BYTES:,} bytes"
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return "", f"not valid UTF-8 at byte {error.start}"
    if not text.strip(_BLANK):
        return "", "empty"
    return text, None
