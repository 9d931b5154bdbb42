"""Writes finished shards, and the manifest when all shards are there."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from textmill.model.errors import TextmillError
from textmill.model.prompt import Generation
from textmill.model.small_files import json_object, loads
from textmill.pipeline.files.filesystem import join, make_directory, names, read, sha256, write_once
from textmill.pipeline.job.dataset_card import REJECTED, dataset_card
from textmill.pipeline.job.run_statistics import Statistics
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
FORMAT = 1


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

    @classmethod
    def from_json(cls, text: str) -> ShardSummary:
        """Reads what `json.dumps(asdict(summary))` gave.

        Raises:
            ValueError, TypeError, KeyError, RecursionError: it is something else.
        """
        fields = loads(text)
        summary = cls(**{**fields, "statistics": Statistics.from_json(fields["statistics"])})
        for name in ("number", "rows", "prompts", "rejected", "records", "words"):
            if type(getattr(summary, name)) is not int:
                raise ValueError(f"{name} is no whole number")
        return summary


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
        STATS: _json(statistics.as_json(counts)),
        CARD: card,
        MANIFEST: _json(manifest),
    }
    for name, text in files.items():
        path, data = join(out, name), text.encode()
        # Card and statistics may be those of an attempt that died before the manifest. The manifest
        # itself is the same in each attempt, of which one may have died right after it.
        if not write_once(path, data) and name == MANIFEST and read(path) != data:
            raise TextmillError(f"{out} holds the manifest of another run")


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


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
    if MANIFEST not in names(out):
        raise TextmillError(f"{out} holds no finished run: it has no {MANIFEST}")
    path = join(out, MANIFEST)
    return json_object(read(path), name=path)
