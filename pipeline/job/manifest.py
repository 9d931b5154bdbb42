"""Writes finished shards, and the manifest when all shards are there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from textmill.model.errors import TextmillError
from textmill.model.prompt import Generation
from textmill.model.small_files import json_object, loads
from textmill.pipeline.files.filesystem import (
    exists,
    join,
    make_directory,
    names,
    read,
    sha256,
    write_once,
)
from textmill.pipeline.job.dataset_card import REJECTED, dataset_card
from textmill.pipeline.job.run_statistics import NO_FIGURES, Statistics
from textmill.pipeline.output.columns import REJECTED as REJECTED_COLUMNS
from textmill.pipeline.output.columns import Column, record
from textmill.pipeline.output.formats import Format
from textmill.pipeline.prompts.planning import Rejected, Shard
from textmill.pipeline.prompts.rows import reason_class

MANIFEST = "manifest.json"
RUN = "run.json"  # what the run is; the first file, which claims the directory
STATS = "stats.json"
CARD = "README.md"
REPORT = ("report.html", "report.json")  # `textmill report` may add them after the run
DONE = ".done"  # folder of notes on shards, during the run
FORMAT = 2  # manifests and statistics of format 1 have no checksum of themselves
_SUM = "sha256"  # the field that holds the checksum of a file in itself
FEW = 256  # summaries whose figures are held at a time


@dataclass(frozen=True)
class GeneratedShard:
    """A shard's texts and rejected rows, and what they were made with.

    `texts` is the number of texts asked for, `seconds` the time that the generator took.
    """

    shard: Shard
    prompts: int
    texts: int
    generations: list[Generation]
    rejected: list[Rejected]
    machine: str
    tensorflow: str
    seconds: float


@dataclass(frozen=True)
class ShardSummary:
    """What the manifest says of a shard; `sha256` and `rejected_sha256` belong to its two files."""

    number: int
    name: str
    rows: int
    prompts: int
    rejected: int
    records: int
    words: int
    sha256: str
    rejected_sha256: str | None
    machine: str
    tensorflow: str
    statistics: Statistics

    def note(self) -> bytes:
        """Gives the text of a finished shard's note: a line of JSON, and a line of its checksum."""
        line = json.dumps(asdict(self)).encode() + b"\n"
        return line + sha256(line).encode() + b"\n"

    @classmethod
    def of_note(cls, note: bytes) -> ShardSummary:
        """Reads what `note` gave.

        Raises:
            ValueError, TypeError, KeyError, RecursionError: it is something else.
        """
        line, _, rest = note.partition(b"\n")
        if rest != sha256(line + b"\n").encode() + b"\n":
            raise ValueError("the note is not as it was written")
        fields = loads(line.decode())
        summary = cls(**{**fields, "statistics": Statistics.from_json(fields["statistics"])})
        for name in ("number", "rows", "prompts", "rejected", "records", "words"):
            if type(getattr(summary, name)) is not int:
                raise ValueError(f"{name} is no whole number")
        return summary


def folded(summaries: Iterable[ShardSummary]) -> list[ShardSummary]:
    """Adds the figures of summaries up in the first one, which makes the same manifest.

    Figures are most of a summary: so they take the memory of a few hundred shards at most.
    """
    bare: list[ShardSummary] = []
    figures: list[Statistics] = []
    for summary in summaries:
        if summary.statistics != NO_FIGURES:
            figures.append(summary.statistics)
            summary = replace(summary, statistics=NO_FIGURES)
        bare.append(summary)
        if len(figures) == FEW:
            figures = [Statistics.total(figures)]
    if figures:
        bare[0] = replace(bare[0], statistics=Statistics.total(figures))
    return bare


@dataclass(frozen=True)
class Output:
    """Where a run's files go, and how they are written."""

    directory: str
    form: Format
    columns: tuple[Column, ...]

    def path(self, shard: Shard) -> str:
        """Gives the path of a shard's texts."""
        return join(self.directory, shard.file_name + self.form.ending)

    def rejected_path(self, shard: Shard) -> str:
        """Gives the path of a shard's rejected rows."""
        return join(self.directory, REJECTED, shard.file_name + self.form.ending)


def write_shard(done: GeneratedShard, output: Output) -> ShardSummary:
    """Writes a shard's rejected rows, then its texts, which make the shard complete.

    A retry or a second attempt finds files of these names and gives a summary of those.

    Raises:
        TextmillError: texts are missing, or a file cannot be written.
    """
    if len(done.generations) != done.texts:
        raise TextmillError(
            f"{done.shard.file_name}: {len(done.generations)} texts instead of {done.texts}"
        )
    form, columns = output.form, output.columns
    rejected_sha256 = None
    if done.rejected:
        make_directory(join(output.directory, REJECTED), parents=False)
        rejected = form.encode([asdict(row) for row in done.rejected], REJECTED_COLUMNS)
        rejected_sha256 = sha256(_commit(output.rejected_path(done.shard), rejected))
    rows = [record(generation, columns) for generation in done.generations]
    data = form.encode(rows, columns)
    stands = _commit(output.path(done.shard), data)
    if stands != data and form.name != "text":  # an attempt on another kind of CPU wrote it
        rows = form.decode(stands, columns)
    if len(rows) != done.texts or (stands != data and form.name == "text"):
        raise TextmillError(
            f"{output.path(done.shard)} holds other texts than its shard; remove it first"
        )
    return ShardSummary(
        number=done.shard.number,
        name=done.shard.file_name + form.ending,
        rows=done.shard.rows,
        prompts=done.prompts,
        rejected=len(done.rejected),
        records=len(rows),
        words=sum(row["words"] for row in rows),
        sha256=sha256(stands),
        rejected_sha256=rejected_sha256,
        machine=done.machine,
        tensorflow=done.tensorflow,
        statistics=Statistics.of(
            rows, [reason_class(row.reason) for row in done.rejected], seconds=done.seconds
        ),
    )


def _commit(path: str, data: bytes) -> bytes:
    """Writes a file unless another attempt has; gives the bytes that are there now."""
    return data if write_once(path, data) else read(path)


def write_manifest(
    summaries: Sequence[ShardSummary], *, output: Output, header: Mapping[str, Any], rows: int
) -> None:
    """Checks that no row is missing; writes statistics, card and, last, the manifest.

    Args:
        summaries: the summaries of all shards.
        output: where the files go.
        header: fingerprint of the model, settings, prompt files and versions.
        rows: number of rows of all inputs.

    Raises:
        TextmillError: the counts do not add up, a shard is gone, or a file cannot be written.
    """
    summaries = sorted(summaries, key=lambda summary: summary.number)
    counts = {
        field: sum(getattr(summary, field) for summary in summaries)
        for field in ("rows", "prompts", "rejected", "records", "words")
    }
    if counts["rows"] != rows or counts["prompts"] + counts["rejected"] != rows:
        raise TextmillError(
            f"rows are missing: {counts} do not add up to {rows} rows; not finished"
        )
    out = output.directory
    gone = {RUN, *(summary.name for summary in summaries)} - set(names(out))
    if gone:
        raise TextmillError(
            f"{len(gone)} files are gone from {out}, {min(gone)} among them; was it removed while "
            "the run worked in it?"
        )
    statistics = Statistics.total(summary.statistics for summary in summaries)
    manifest = {
        "format": FORMAT,
        **header,
        "counts": counts,
        "machines": sorted({summary.machine for summary in summaries}),
        "tensorflow": sorted({summary.tensorflow for summary in summaries}),
        "shards": [_shard_row(summary) for summary in summaries],
    }
    card = dataset_card(manifest, output.columns, output.form)
    # Checksums of the files that are the same in every equal run.
    manifest["files"] = {CARD: sha256(card.encode()), RUN: sha256(read(join(out, RUN)))}
    files = {
        STATS: _signed(statistics.as_json(counts)),
        CARD: card,
        MANIFEST: _signed(manifest),
    }
    for name, text in files.items():
        path = join(out, name)
        # Card and statistics may be those of an attempt that died before the manifest.
        if write_once(path, text.encode()) or name != MANIFEST:
            continue
        # An engine may ask twice, or a job may go on whose launcher was killed.
        if read(path) != text.encode():
            raise TextmillError(f"{out} holds the manifest of another run")


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _signed(value: Mapping[str, Any]) -> str:
    """Gives JSON whose last field is the SHA-256 of the JSON without that field."""
    return _json({**value, _SUM: sha256(_json(value).encode())})


def _shard_row(summary: ShardSummary) -> dict[str, Any]:
    row = asdict(summary)
    for told_elsewhere in ("number", "machine", "tensorflow", "statistics"):
        del row[told_elsewhere]
    return row


def read_manifest(out: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads the manifest of a finished run.

    Raises:
        TextmillError: the run is not finished, or its manifest is damaged.
    """
    out = os.fspath(out)
    path = join(out, MANIFEST)
    if not exists(path):
        raise TextmillError(f"{out} holds no finished run: it has no {MANIFEST}")
    return _read_signed(path, cure="remove it, and --resume makes the run again")


def read_statistics(out: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Reads the statistics of a finished run with this manifest.

    Raises:
        TextmillError: they cannot be read, or are damaged.
    """
    unsigned = manifest["format"] == 1
    return _read_signed(join(out, STATS), unsigned=unsigned, cure="--resume makes it again")


def _read_signed(path: str, *, cure: str, unsigned: bool = False) -> dict[str, Any]:
    data = read(path)
    value = json_object(data, name=path, cure=cure)
    if _SUM not in value and (unsigned or value.get("format") == 1):
        return value
    value.pop(_SUM, None)
    try:
        whole = data == _signed(value).encode()
    except ValueError:  # half a surrogate pair
        whole = False
    if not whole:
        raise TextmillError(f"{path} is damaged: it is not as it was written; {cure}")
    return value
