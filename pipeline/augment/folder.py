"""What `textmill augment` writes: the table with its added rows, and the folder beside it.

FILE                        the real rows, then the added ones; the column `origin` says which
FILE.augment/settings.json  what was asked for; a resume compares it
             texts.txt      all texts, with --unlabelled; base/ is the model of them
             rows.jsonl     the rows of the training; model/ is the model of them
             prompts.jsonl  labels with first words of real rows; generated/ holds their texts
             noisy.jsonl    the rows of the rewriter's training; rewriter/ is the model of them
             drafts.jsonl   rows to write anew; rewritten/ holds their texts
             rejected.jsonl the candidates that were not kept, with reason and scores
             augment.json   settings, counts, thresholds, agreement of labels, gain of --check
             check/         the same for each held-out part, with --check
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from textmill.model.errors import TextmillError
from textmill.model.small_files import json_object
from textmill.model.text.labelled_tables import read_cells
from textmill.pipeline.files.filesystem import exists, join, names, read

AUGMENT = "augment.json"
REAL = "real"  # the origin of a row that people wrote
NOT_NEEDED = "not needed"  # the reason of a candidate whose label had all its rows
_ENDING = ".augment"


class AugmentFolder:
    """The paths in the folder; the module's docstring says what each one is."""

    def __init__(self, path: str):
        self.path = path
        self.settings = join(path, "settings.json")
        self.texts, self.base = join(path, "texts.txt"), join(path, "base")
        self.rows, self.model = join(path, "rows.jsonl"), join(path, "model")
        self.prompts, self.generated = join(path, "prompts.jsonl"), join(path, "generated")
        self.noisy, self.rewriter = join(path, "noisy.jsonl"), join(path, "rewriter")
        self.drafts, self.rewritten = join(path, "drafts.jsonl"), join(path, "rewritten")
        self.rejected = join(path, "rejected.jsonl")
        self.about = join(path, AUGMENT)

    @classmethod
    def beside(cls, table: str) -> AugmentFolder:
        """Gives the folder that belongs to a table."""
        return cls(table + _ENDING)

    def check(self, number: int) -> AugmentFolder:
        """Gives the folder of a held-out part."""
        return AugmentFolder(join(self.path, "check", str(number)))


def added_columns(columns: Sequence[str], added: Sequence[str]) -> list[str]:
    """Names the columns that are added to a table; a name that is taken gets a prefix."""
    return [name if name not in columns else f"augment_{name}" for name in added]


@dataclass(frozen=True)
class Row:
    """A row of the table, or a candidate that was rejected."""

    text: str
    label: str
    origin: str
    reason: str | None = None


@dataclass(frozen=True)
class Augmented:
    """A finished augmentation.

    Attributes:
        folder: the run's folder.
        table: path of the table with the rows.
        about: the contents of augment.json.
    """

    folder: AugmentFolder
    table: str
    about: dict[str, Any]

    @classmethod
    def open(cls, path: str) -> Augmented:
        """Reads augment.json.

        Raises:
            TextmillError: it cannot be read, or there is no table.
        """
        folder = AugmentFolder(path.rstrip("/"))
        about = json_object(read(folder.about), name=folder.about, cure="run augment again")
        try:
            settings = about["settings"]
            text, label = settings["text"], settings["label"]
            if not isinstance(about["counts"], dict) or not {type(text), type(label)} == {str}:
                raise ValueError("it tells of no augmentation")
        except (ValueError, KeyError, TypeError) as error:
            raise TextmillError(
                f"{folder.about} is damaged ({type(error).__name__} {error}); run augment again"
            ) from None
        own = folder.path
        places = [own.removesuffix(_ENDING)] if own.endswith(_ENDING) else []
        places.append(join(os.path.dirname(own), os.path.basename(str(settings.get("out", "")))))
        table = next((place for place in places if place != own and _is_file(place)), None)
        if table is None:
            raise TextmillError(f"{places[0]}, the table that goes with {own}, is not there")
        return cls(folder, table, about)

    @property
    def generated(self) -> str | None:
        """The output of `generate` with all candidates, if it is there."""
        place = self.folder.generated
        return place if "manifest.json" in names(place) else None

    def rows(self) -> Iterator[Row]:
        """Reads the rows of the table, one by one.

        Raises:
            TextmillError: it cannot be read, or lacks a column.
        """
        settings = self.about["settings"]
        columns = (settings["text"], settings["label"])
        (origin,) = added_columns(columns, ["origin"])
        return _rows(self.table, (*columns, origin))

    def rejected(self) -> Iterator[Row]:
        """Reads the candidates that were not kept; none if their file is gone."""
        path = self.folder.rejected
        return _rows(path, ("text", "label", "origin", "reason")) if exists(path) else iter(())


def _rows(path: str, columns: Sequence[str]) -> Iterator[Row]:
    for cells in read_cells(read(path), path=path, columns=columns):
        yield Row(*("" if cell is None else str(cell) for cell in cells))


def _is_file(path: str) -> bool:
    return exists(path) and not os.path.isdir(path)
