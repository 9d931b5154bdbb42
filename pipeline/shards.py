"""Finished shards on disk, and the manifest that is written when all of them stand."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from model.errors import TextmillError
from model.generator import Generation
from pipeline.files import make_directory, sha256, write_once
from pipeline.prompts import Rejected, Shard

MANIFEST = "manifest.json"
RUN = "run.json"  # what the run is; the first file in the directory, and its claim on it
REJECTED = "rejected"
DONE = ".done"  # notes on finished shards, while the run lasts
FORMAT = 1


@dataclass(frozen=True)
class GeneratedShard:
    """A shard's texts, its rejected rows, and what they were made with.

    `texts` is how many were asked for.
    """

    shard: Shard
    prompts: int
    texts: int
    generations: list[Generation]
    rejected: list[Rejected]
    machine: str
    tensorflow: str


@dataclass(frozen=True)
class ShardSummary:
    """What the manifest says of one shard. `sha256` and `rejected_sha256` are of its two files."""

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


def record(generation: Generation) -> dict[str, Any]:
    """An output record; nothing in it varies between equal runs."""
    row = {
        "id": f"{generation.prompt.id}#{generation.sample}",
        "prompt": generation.prompt.text,
        "text": generation.text,
        "label": generation.label,
        "temperature": generation.temperature,
        "words": generation.words,
        "finish": generation.finish,
        "logprob": generation.logprob,
    }
    if generation.label is None:
        del row["label"]
    for name, value in generation.prompt.extra.items():
        row[f"input_{name}" if name in row else name] = value
    return row


def shard_file(shard: Shard) -> str:
    """Name of a shard's output file."""
    return f"{shard.file_name}.jsonl"


def write_shard(done: GeneratedShard, out: str) -> ShardSummary:
    """Writes a shard's rejected rows, then its texts: when those stand, the shard is done.

    Raises:
        TextmillError: texts are missing, or a file cannot be written.
    """
    if len(done.generations) != done.texts:
        raise TextmillError(
            f"{done.shard.file_name}: {len(done.generations)} texts instead of {done.texts}"
        )
    name = shard_file(done.shard)
    data = _jsonl([record(generation) for generation in done.generations])
    rejected = _jsonl([asdict(row) for row in done.rejected])
    if rejected:
        make_directory(Path(out) / REJECTED)
        rejected = _commit(Path(out) / REJECTED / name, rejected)
    data = _commit(Path(out) / name, data)
    rows = [json.loads(line) for line in data.splitlines()]
    return ShardSummary(
        number=done.shard.number,
        name=name,
        rows=done.shard.rows,
        prompts=done.prompts,
        rejected=len(done.rejected),
        records=len(rows),
        words=sum(row["words"] for row in rows),
        sha256=sha256(data),
        rejected_sha256=sha256(rejected) if rejected else None,
        machine=done.machine,
        tensorflow=done.tensorflow,
    )


def _commit(path: Path, data: bytes) -> bytes:
    """Writes a file unless another attempt's stands already; the bytes that stand."""
    if write_once(path, data):
        return data
    try:
        return path.read_bytes()
    except OSError as error:
        raise TextmillError(f"cannot read {path}: {error.strerror}") from None


def write_manifest(
    summaries: list[ShardSummary], *, out: str, header: dict[str, Any], rows: int
) -> None:
    """Checks that every row is accounted for and writes the manifest, the last file of a run.

    Args:
        header: fingerprint of the model, settings, prompt files, versions.
        rows: of all inputs.

    Raises:
        TextmillError: the counts do not add up, or it cannot be written.
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
    manifest = {
        "format": FORMAT,
        **header,
        "counts": counts,
        "machines": sorted({summary.machine for summary in summaries}),
        "tensorflow": sorted({summary.tensorflow for summary in summaries}),
        "shards": [_shard_row(summary) for summary in summaries],
    }
    text = json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if not write_once(Path(out) / MANIFEST, text.encode()):
        raise TextmillError(f"{out} holds the manifest of another run")


def _shard_row(summary: ShardSummary) -> dict[str, Any]:
    row = asdict(summary)
    for told_elsewhere in ("number", "machine", "tensorflow"):
        del row[told_elsewhere]
    return row


def read_manifest(out: str | os.PathLike[str]) -> dict[str, Any]:
    """The manifest of a finished run.

    Raises:
        TextmillError: the run is not finished, or its manifest is damaged.
    """
    path = Path(out) / MANIFEST
    try:
        manifest = json.loads(path.read_text("utf-8"))
        if not isinstance(manifest, dict):
            raise ValueError("it is no JSON object")
        return manifest
    except (FileNotFoundError, NotADirectoryError):
        raise TextmillError(f"{out} holds no finished run: it has no {MANIFEST}") from None
    except (OSError, ValueError) as error:
        raise TextmillError(f"{path} cannot be read: {error}") from None


def _jsonl(rows: list[dict[str, Any]]) -> bytes:
    lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
    return "".join(lines).encode()
