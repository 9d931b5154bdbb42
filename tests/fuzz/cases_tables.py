"""Labelled tables: cells come back as they were, also after they are written again."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from cases_corpora import ENCODINGS
from fuzzing import Kind
from guard import Broken, refused
from mutate import ODD, json_bytes, mutated, mutated_json, write_text

from textmill.model.errors import TextmillError
from textmill.model.text.corpus import read_table
from textmill.model.text.labelled_tables import read_cells
from textmill.pipeline.augment.table import read_labelled, write_table


@dataclass
class Case:
    """A table.

    Attributes:
        path: the file. columns: the columns that are asked for. encoding: how it is read.
        cells: the cells of the two columns; None if they are not known.
    """

    path: Path
    columns: tuple[str, str]
    encoding: str | None
    cells: list[tuple[Any, Any]] | None


def _table(random: Random, form: str, names: list[str], rows: list[list[Any]]) -> bytes | str:
    if form == "parquet":
        import pyarrow
        import pyarrow.parquet

        out = io.BytesIO()
        arrays = [pyarrow.array([row[i] for row in rows]) for i in range(len(names))]
        pyarrow.parquet.write_table(
            pyarrow.table(arrays, names=names), out, row_group_size=random.choice((1, 5, 100))
        )
        return out.getvalue()
    if form == "jsonl":
        lines = (json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) for row in rows)
        return "\n".join(lines) + random.choice(("", "\n", "\n\n"))
    if form == "csv":
        text = io.StringIO(newline="")
        csv.writer(text, quoting=csv.QUOTE_ALL).writerows([names, *rows])
        return text.getvalue()
    return "\n".join("\t".join(row) for row in [names, *rows]) + random.choice(("", "\n"))


def _cell(random: Random, form: str) -> str:
    text = write_text(random, 20)
    # Control characters may make the whole table count as binary.
    text = "".join(c for c in text if c in "\n\r" or (c >= " " and c != "\x7f"))
    return text.translate({9: " ", 10: " ", 13: " "}) if form in ("tsv", "tab") else text


class Tables(Kind):
    """Tables of texts with labels."""

    name = "tables"

    def make(self, random: Random, folder: Path) -> Case:
        form = random.choice(("csv", "csv", "tsv", "tab", "jsonl", "ndjson", "parquet"))
        names = ["text", "label", *random.sample(["id", "no", "x y", "é"], random.randint(0, 2))]
        random.shuffle(names)
        rows: list[list[Any]] = [
            [_cell(random, form) for _ in names] for _ in range(random.randint(1, 20))
        ]
        if form in ("jsonl", "ndjson", "parquet") and random.random() < 0.3:
            at = names.index("label")
            for row in rows:
                row[at] = random.choice((1, 2, None))
        kind = {"ndjson": "jsonl", "tab": "tsv"}.get(form, form)
        content, encoding = _table(random, kind, names, rows), None
        columns = ("text", "label")
        places = [names.index(name) for name in columns]
        cells: list[tuple[Any, Any]] | None = [(row[places[0]], row[places[1]]) for row in rows]
        if isinstance(content, str):
            encoding = random.choice((None, None, *ENCODINGS))
            try:
                raw = content.encode(encoding or random.choice(("utf-8", "utf-8-sig", "utf-16")))
            except UnicodeEncodeError:
                encoding, raw = None, content.encode()
        else:
            raw = content
        how = random.random()
        if how < 0.1 and kind == "jsonl":
            raw, cells, encoding = _odd_lines(random), None, None
        elif how < 0.5:
            raw, cells = mutated(random, raw), None
        elif how < 0.55:
            columns = random.choice((
                ("1", "2"), ("0", "1"), ("99", "1"), ("text", "text"), ("", "label"), ("²", "1"),
                ("9" * 5000, "1"), ("x\n", "label"), ("text", "nope"),
            ))  # fmt: skip
            cells = None
        path = folder / f"rows.{form}"
        path.write_bytes(raw)
        return Case(path, columns, encoding, cells)

    def check(self, case: Case) -> str:
        text, label = case.columns
        try:
            raw = case.path.read_bytes()
            kind = {"path": str(case.path), "columns": case.columns, "encoding": case.encoding}
            cells = list(read_cells(raw, **kind))
        except TextmillError as error:
            if case.cells is not None:
                raise Broken(f"a whole table was refused | {error}") from error
            for read in (read_labelled, read_table):
                _must_refuse(read, case)
            raise
        if case.cells is not None and cells != case.cells:
            raise Broken(f"other cells | {cells!r:.300} instead of {case.cells!r:.300}")
        try:
            labelled = read_labelled(str(case.path), text=text, label=label, encoding=case.encoding)
            if labelled.cells != cells and "nan" not in repr(cells):
                raise Broken("read_labelled gives other cells than read_cells")
            if len(labelled.rows.texts) + sum(labelled.left_out.values()) != len(cells):
                raise Broken("rows are neither used nor left out")
        except TextmillError as error:
            refused(error)
        _write_again(case, cells)
        corpus = read_table(
            [str(case.path)], text=text, label=label, encoding=case.encoding
        )  # may be refused
        if len(corpus.texts) + corpus.skipped != len(cells):
            raise Broken("rows are neither in the corpus nor skipped")
        return "came back" if case.cells is not None else "read"


def _must_refuse(read: Any, case: Case) -> None:
    path: Any = str(case.path) if read is read_labelled else [str(case.path)]
    try:
        read(path, text=case.columns[0], label=case.columns[1], encoding=case.encoding)
    except Exception as error:
        refused(error)
        return
    raise Broken(f"{read.__name__} reads what read_cells refuses")


def _odd_lines(random: Random) -> bytes:
    rows = [{"text": write_text(random), "label": "x", "n": 1} for _ in range(5)]
    return b"\n".join(json_bytes(mutated_json(random, row, odd=ODD)) for row in rows)


def _write_again(case: Case, cells: list[tuple[Any, Any]]) -> None:
    """Cells that are written into a table of the same kind can be read from it."""
    names = ("text", "label") if len({*case.columns}) < 2 else case.columns
    again = case.path.parent / f"again{case.path.suffix}"
    try:
        write_table(str(again), names, cells)
    except TextmillError as error:
        refused(error)
        return
    raw = again.read_bytes()
    if case.cells is None:  # odd values may change their form, not break the file
        return
    found = list(read_cells(raw, path=str(again), columns=names))
    # An empty line of a .tsv is no row; other writers of .csv leave no empty line.
    if found != cells and not (case.path.suffix in (".tsv", ".tab") and len(found) < len(cells)):
        raise Broken(f"written again, cells differ | {found!r:.300} were {cells!r:.300}")
