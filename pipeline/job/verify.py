"""Checks an output directory against its manifest (`textmill verify`)."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from textmill.model.errors import SettingError, TextmillError
from textmill.model.small_files import loads
from textmill.model.visible import visible
from textmill.pipeline.files.filesystem import join, names, read, sha256
from textmill.pipeline.job.manifest import (
    CARD,
    DONE,
    MANIFEST,
    REJECTED,
    REPORT,
    RUN,
    STATS,
    read_manifest,
    read_statistics,
)
from textmill.pipeline.output.columns import REJECTED as REJECTED_COLUMNS
from textmill.pipeline.output.columns import Column
from textmill.pipeline.output.formats import Format

_BUCKETS = 64  # one bucket of ids is compared at a time, so memory holds a 64th of them
_MOST_SHOWN = 20


@dataclass
class Verdict:
    """What a check found.

    Attributes:
        problems: a line for each problem; none means that the output is whole.
        counts: counted rows, prompts, rejected rows, records and words.
        duplicate_ids: number of records that share an id, because rows of the input did.
    """

    problems: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    duplicate_ids: int = 0


def verify(out: str | os.PathLike[str]) -> Verdict:
    """Reads every file of an output and compares checksums and counts with the manifest.

    Raises:
        TextmillError: there is no manifest, or it cannot be read.

    Examples:
        >>> textmill.verify("out").problems
        []
    """
    out = os.fspath(out)
    manifest, verdict = read_manifest(out), Verdict()
    try:
        return _verify(out, manifest, verdict)
    except (KeyError, TypeError, AttributeError, ValueError, SettingError) as error:
        verdict.problems.append(f"{MANIFEST} is damaged: {type(error).__name__} {error}")
        return verdict


def _verify(out: str, manifest: dict[str, Any], verdict: Verdict) -> Verdict:
    form = Format(**manifest["output"])
    columns = tuple(Column(**column) for column in manifest["columns"])
    totals = dict.fromkeys(manifest["counts"], 0)
    with tempfile.TemporaryDirectory() as scratch:
        ids, places = _Ids(Path(scratch, "ids")), _Ids(Path(scratch, "places"))
        for shard in manifest["shards"]:
            for name, count in _shard(out, shard, form, columns, ids, places, verdict).items():
                totals[name] += count
        verdict.duplicate_ids = ids.duplicates()
        twice = places.duplicates()
    verdict.counts = totals
    for name, count in manifest["counts"].items():
        if totals[name] != count:
            verdict.problems.append(
                f"{MANIFEST} says {count} {name}, the files hold {totals[name]}"
            )
    if twice:
        verdict.problems.append(f"{twice} records appear twice")
    verdict.problems += _strangers(out, manifest)
    return verdict


def _shard(
    out: str,
    shard: dict[str, Any],
    form: Format,
    columns: tuple[Column, ...],
    ids: _Ids,
    places: _Ids,
    verdict: Verdict,
) -> dict[str, int]:
    """Counts what a shard's files hold."""
    found = {"rows": shard["rows"], "prompts": shard["prompts"], "rejected": 0}
    records = read_rows(join(out, shard["name"]), shard["sha256"], form, columns, verdict)
    found["records"] = len(records)
    has_rows = any(column.name == "row" and column.source is None for column in columns)
    if form.name == "text":  # such files hold only the texts
        found["words"] = shard["words"]
    else:
        found["words"] = sum(row["words"] for row in records)
        for row in records:
            name = str(row["id"])
            ids.add(name)
            places.add(f"{row['row']}#{name.rpartition('#')[2]}" if has_rows else name)
    if shard["rejected"]:
        path, digest = join(out, REJECTED, shard["name"]), shard["rejected_sha256"]
        found["rejected"] = len(read_rows(path, digest, form, REJECTED_COLUMNS, verdict))
    elif shard["rejected_sha256"] is not None:
        verdict.problems.append(f"{shard['name']}: a checksum of rejected rows, but there are none")
    for name, count in found.items():
        if count != shard[name]:
            verdict.problems.append(f"{shard['name']}: {count} {name} instead of {shard[name]}")
    return found


def read_rows(
    path: str, digest: str, form: Format, columns: tuple[Column, ...], verdict: Verdict
) -> list[dict[str, Any]]:
    """Reads the rows of a run's file; problems go into the verdict."""
    try:
        data = read(path)
    except TextmillError as error:
        verdict.problems.append(str(error))
        return []
    if sha256(data) != digest:
        verdict.problems.append(f"{path}: the checksum is not that of the manifest")
        if form.compression != "none" or form.name == "parquet":
            return []  # a few packed bytes could fill the memory
    try:
        rows = form.decode(data, columns)
    except TextmillError as error:
        verdict.problems.append(f"{path}: {error}")
        return []
    wanted = {column.name for column in columns}
    if form.name != "text" and not all(
        row.keys() == wanted and isinstance(row.get("words", 0), int) for row in rows
    ):
        verdict.problems.append(f"{path}: a row has other columns than the run")
        return []
    return rows


def _strangers(out: str, manifest: dict[str, Any]) -> Iterator[str]:
    known = {shard["name"] for shard in manifest["shards"]}
    rejected = {shard["name"] for shard in manifest["shards"] if shard["rejected"]}
    # A launcher that is killed after the manifest leaves its notes; a resume would remove them.
    own = {MANIFEST, RUN, STATS, CARD, REJECTED, DONE, ".lock", *REPORT}
    inside = set(names(out))
    for place, found, allowed in (
        (out, inside, known | own),
        (join(out, REJECTED), set(names(join(out, REJECTED))), rejected),
    ):
        for name in sorted(found - allowed)[:_MOST_SHOWN]:
            yield f"{visible(name)} in {place} is no file of this run"
    for name in (RUN, STATS, CARD):
        if name not in inside:
            yield f"{name} is missing"
        elif name != STATS and sha256(read(join(out, name))) != manifest["files"][name]:
            yield f"{name}: the checksum is not that of the manifest"
    yield from _contradictions(out, manifest)


def _contradictions(out: str, manifest: dict[str, Any]) -> Iterator[str]:
    """Finds differences between run.json or stats.json and the manifest."""
    for name, says in (
        (RUN, lambda: _same_run(_run_of(out), manifest)),
        (STATS, lambda: _agrees(read_statistics(out, manifest), manifest["counts"])),
    ):
        try:
            agrees = says()
        except TextmillError as error:
            if name in names(out):  # otherwise it is told of above
                yield str(error)
            continue
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            agrees = False
        if not agrees:
            yield f"{name} disagrees with {MANIFEST}"


def _same_run(run: dict[str, Any], manifest: dict[str, Any]) -> bool:
    # Another textmill may have ended the run: its versions are others, and it may tell more.
    named = [name for name in run if name not in ("versions", "input")]
    return bool(named) and all(manifest.get(name) == run[name] for name in named)


def _run_of(out: str) -> dict[str, Any]:
    return loads(read(join(out, RUN)).decode())


def _agrees(statistics: dict[str, Any], counts: dict[str, int]) -> bool:
    told = {
        "prompts": statistics["prompts"],
        "records": statistics["samples"],
        "words": statistics["words"],
        "rejected": statistics["rejected"]["rows"],
    }
    return told == {name: counts[name] for name in told}


class _Ids:
    """Counts repeated ids with little memory: 64-bit hashes in files, one bucket at a time.

    The probability that any two of 10 million different ids share a hash is 3 in a million.
    """

    def __init__(self, folder: Path):
        folder.mkdir()
        self._paths = [folder / str(i) for i in range(_BUCKETS)]
        self._pending: list[list[int]] = [[] for _ in range(_BUCKETS)]
        self._waiting = 0

    def add(self, name: str) -> None:
        digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
        value = int.from_bytes(digest, "little")
        self._pending[value % _BUCKETS].append(value)
        self._waiting += 1
        if self._waiting >= 1 << 18:
            self._flush()

    def duplicates(self) -> int:
        self._flush()
        repeated = 0
        for path in self._paths:
            if path.exists():
                values = np.fromfile(path, np.uint64)
                _, counts = np.unique(values, return_counts=True)
                repeated += int(counts[counts > 1].sum())
        return repeated

    def _flush(self) -> None:
        for path, values in zip(self._paths, self._pending, strict=True):
            if values:
                with open(path, "ab") as file:
                    np.array(values, np.uint64).tofile(file)
                values.clear()
        self._waiting = 0
