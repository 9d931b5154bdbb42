"""`textmill verify`: an output directory against its manifest."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.files import sha256
from pipeline.shards import DONE, MANIFEST, REJECTED, RUN, read_manifest

_BUCKETS = 64  # ids are compared a bucket at a time: memory is that of a 64th of them
_MOST_SHOWN = 20


@dataclass
class Verdict:
    """What was found.

    Attributes:
        problems: one line each; none means that the output is whole.
        counts: of rows, prompts, rejected, records and words, as counted.
        duplicate_ids: records whose id another record has.
    """

    problems: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    duplicate_ids: int = 0


def verify(out: str) -> Verdict:
    """Reads every file of an output and compares checksums and counts with the manifest.

    Raises:
        TextmillError: there is no manifest, or it cannot be read.
    """
    manifest = read_manifest(out)
    folder, verdict = Path(out), Verdict()
    try:
        return _verify(folder, manifest, verdict)
    except (KeyError, TypeError, AttributeError) as error:
        verdict.problems.append(f"{MANIFEST} is damaged: {type(error).__name__} {error}")
        return verdict


def _verify(folder: Path, manifest: dict[str, Any], verdict: Verdict) -> Verdict:
    totals = dict.fromkeys(manifest["counts"], 0)
    with tempfile.TemporaryDirectory() as scratch:
        ids = _Ids(Path(scratch))
        for shard in manifest["shards"]:
            for name, count in _shard(folder, shard, ids, verdict).items():
                totals[name] += count
        verdict.duplicate_ids = ids.duplicates()
    verdict.counts = totals
    for name, count in manifest["counts"].items():
        if totals[name] != count:
            verdict.problems.append(
                f"{MANIFEST} says {count} {name}, the files hold {totals[name]}"
            )
    if verdict.duplicate_ids:
        verdict.problems.append(f"{verdict.duplicate_ids} records share their id with another")
    verdict.problems += _strangers(folder, manifest)
    return verdict


def _shard(folder: Path, shard: dict[str, Any], ids: _Ids, verdict: Verdict) -> dict[str, int]:
    found = {"rows": shard["rows"], "prompts": shard["prompts"]}
    records = _rows(folder / shard["name"], shard["sha256"], verdict)
    words = [row.get("words") for row in records]
    found["records"] = len(records)
    found["words"] = sum(count for count in words if isinstance(count, int))
    for row in records:
        ids.add(str(row.get("id")))
    found["rejected"] = 0
    if shard["rejected"]:
        path = folder / REJECTED / shard["name"]
        found["rejected"] = len(_rows(path, shard["rejected_sha256"], verdict))
    for name, count in found.items():
        if count != shard[name]:
            verdict.problems.append(f"{shard['name']}: {count} {name} instead of {shard[name]}")
    return found


def _rows(path: Path, digest: str, verdict: Verdict) -> list[dict[str, Any]]:
    try:
        data = path.read_bytes()
    except OSError as error:
        verdict.problems.append(f"{path.name}: {error.strerror}")
        return []
    if sha256(data) != digest:
        verdict.problems.append(f"{path.name}: the checksum is not that of the manifest")
    try:
        rows = [json.loads(line) for line in data.splitlines()]
    except ValueError:
        rows = [None]
    if not all(isinstance(row, dict) for row in rows):
        verdict.problems.append(f"{path.name}: a line is not a JSON object")
        return []
    return rows


def _strangers(folder: Path, manifest: dict[str, Any]) -> Iterator[str]:
    known = {shard["name"] for shard in manifest["shards"]}
    rejected = {shard["name"] for shard in manifest["shards"] if shard["rejected"]}
    # A launcher killed after the manifest leaves its notes; a resume would tidy them away.
    own = {MANIFEST, RUN, REJECTED, DONE, ".lock", "README.md"}
    for place, names in ((folder, known | own), (folder / REJECTED, rejected)):
        if place.exists():
            for name in sorted(set(os.listdir(place)) - names)[:_MOST_SHOWN]:
                yield f"{name} in {place} is no file of this run"
    if not (folder / RUN).is_file():
        yield f"{RUN} is missing"


class _Ids:
    """Counts repeated ids with little memory: 64-bit hashes in files, a bucket at a time.

    Two of 10 million different ids share a hash with a probability of 3 in a million.
    """

    def __init__(self, folder: Path):
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
