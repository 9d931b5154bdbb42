"""What `textmill augment` left: the table with its generated rows, and the folder beside it.

FILE                        real rows first, then the kept ones; a column `origin` says which
                            (`augment_origin`, where text or label are called so)
FILE.augment/augment.json   settings, counts, agreement of labels, gain of --check
FILE.augment/rejected.jsonl the candidates that were not kept, each with its reason
FILE.augment/generated/     an output of `generate`: all candidates
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from textmill.model.errors import TextmillError
from textmill.pipeline.files.filesystem import exists, join, names, open_read, read

AUGMENT = "augment.json"
REJECTED_ROWS = "rejected.jsonl"
GENERATED = "generated"
ENDING = ".augment"
REAL = "real"


@dataclass(frozen=True)
class Row:
    """A row of the table, or a candidate that was rejected."""

    text: str
    label: str
    origin: str
    reason: str | None = None


@dataclass(frozen=True)
class Augmented:
    """An augmentation's folder.

    Attributes:
        folder: ends in `.augment`. table: the file with the rows. about: what augment.json says.
    """

    folder: str
    table: str
    about: dict[str, Any]

    @classmethod
    def open(cls, folder: str) -> Augmented:
        """Reads augment.json.

        Raises:
            TextmillError: it cannot be read, or there is no table.
        """
        path = join(folder, AUGMENT)
        try:
            about = json.loads(read(path).decode())
            settings = about["settings"]
            text, label = settings["text"], settings["label"]
            if not isinstance(about["counts"], dict) or not {type(text), type(label)} == {str}:
                raise ValueError("it tells of no augmentation")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise TextmillError(
                f"{path} is damaged ({type(error).__name__} {error}); run augment again"
            ) from None
        folder = folder.rstrip("/")
        beside = os.path.dirname(folder)
        places = [folder.removesuffix(ENDING)] if folder.endswith(ENDING) else []
        places.append(join(beside, os.path.basename(str(settings.get("out", "")))))
        table = next((p for p in places if p != folder and _is_file(p)), None)
        if table is None:
            raise TextmillError(f"{places[0]}, the table that goes with {folder}, is not there")
        return cls(folder, table, about)

    @property
    def generated(self) -> str | None:
        """The output of `generate` with all candidates, if it is there."""
        place = join(self.folder, GENERATED)
        return place if "manifest.json" in names(place) else None

    def rows(self) -> Iterator[Row]:
        """Of the table, one by one.

        Raises:
            TextmillError: it cannot be read, or lacks a column.
        """
        settings = self.about["settings"]
        columns = (settings["text"], settings["label"])
        wanted = (*columns, "augment_origin" if "origin" in columns else "origin")
        for number, row in enumerate(_table(self.table), start=1):
            missing = [name for name in wanted if name not in row]
            if missing:
                raise TextmillError(f"{self.table}: row {number} has no column '{missing[0]}'")
            text, label, origin = ("" if row[n] is None else str(row[n]) for n in wanted)
            yield Row(text, label, origin)

    def rejected(self) -> Iterator[Row]:
        """The candidates that were not kept; none where their file is gone."""
        path = join(self.folder, REJECTED_ROWS)
        if not exists(path):
            return
        for row in _jsonl(path):
            cells = (row.get(name) for name in ("text", "label", "origin", "reason"))
            yield Row(*("" if cell is None else str(cell) for cell in cells))


def _is_file(path: str) -> bool:
    return exists(path) and not os.path.isdir(path)


def _table(path: str) -> Iterator[dict[str, Any]]:
    ending = os.path.splitext(path)[1].lower()
    if ending in (".jsonl", ".ndjson"):
        return _jsonl(path)
    if ending == ".parquet":
        return _parquet(path)
    if ending in (".csv", ".tsv", ".tab"):
        return _csv(path, tabs=ending != ".csv")
    raise TextmillError(f"{path} is no table of a known kind: .csv, .tsv, .jsonl or .parquet")


def _jsonl(path: str) -> Iterator[dict[str, Any]]:
    with open_read(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ValueError("it is no JSON object")
            except (ValueError, RecursionError) as error:
                raise TextmillError(f"{path}:{number} cannot be read: {error}") from None
            yield row


def _csv(path: str, *, tabs: bool) -> Iterator[dict[str, Any]]:
    import io

    csv.field_size_limit(2**31 - 1)
    with open_read(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        kind: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if tabs else {}
        try:
            yield from csv.DictReader(text, **kind)
        except (csv.Error, ValueError) as error:
            raise TextmillError(f"{path} cannot be read: {error}") from None


def _parquet(path: str) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet

    try:
        with open_read(path) as file:
            for batch in pyarrow.parquet.ParquetFile(file).iter_batches():
                yield from batch.to_pylist()
    except pyarrow.ArrowException as error:
        raise TextmillError(f"{path} cannot be read: {error}") from None
