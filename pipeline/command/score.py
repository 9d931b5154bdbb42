"""`textmill score`: how probable a model finds each text of a file."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np

from textmill.model.errors import TextmillError, UsageError
from textmill.model.generation.check_settings import check_label
from textmill.model.prompt import Score
from textmill.model.text.decoding import decode
from textmill.model.text.labelled_tables import read_cells, refuse_tables
from textmill.model.text.row_numbers import numbers_of
from textmill.pipeline.api.status_line import status_line
from textmill.pipeline.api.trained_model import load
from textmill.pipeline.command.exit_status import DONE
from textmill.pipeline.command.printing import print_data
from textmill.pipeline.files.filesystem import read
from textmill.pipeline.prompts.reading import AS_USUAL, InputSettings

_AT_A_TIME = 2048  # texts between two looks at the output


def score_file(
    model_dir: str,
    path: str,
    *,
    text: str | None,
    label: str | None,
    encoding: str | None,
    tokens: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Prints a line for each text: its number in the file, perplexity, words, and the text.

    Args:
        path: a text a line, or a table; `-` is the standard input.
        text: the column of a table's texts.
        tokens: print the tokens with their log-probabilities behind the text.
        as_json: print JSON, with all that a `Score` holds.

    Raises:
        TextmillError: model or file cannot be read.
    """
    raw = _raw(path, text=text)
    with status_line(f"loading {model_dir}"):
        model = load(model_dir, own_process=False)
    check_label(model.saved, label)
    reading = AS_USUAL.of_model(model.saved)
    texts, numbers, sources = _texts(raw, path, text=text, encoding=encoding, reading=reading)
    total, words = 0.0, 0
    if not as_json:
        print("line", "perplexity", "words", "unknown", "logprob", "text", sep="\t")
    for start in range(0, len(texts), _AT_A_TIME):
        some = texts[start : start + _AT_A_TIME]
        scores = model.score(
            [text for _, text in some], label=label, tokens=tokens,
            context=numbers[start : start + _AT_A_TIME] or None,
            source=sources[start : start + _AT_A_TIME] or None,
        )  # fmt: skip
        for (number, _), found in zip(some, scores, strict=True):
            total, words = total - found.logprob, words + found.words + 1
            print_data(_shown(number, found, as_json=as_json), keep="\t")
        sys.stdout.flush()
    if not quiet:
        each = math.exp(min(total / max(words, 1), 700.0))
        print(f"{len(texts):,} texts, perplexity {each:.3f}", file=sys.stderr)
    return DONE


def _raw(path: str, *, text: str | None) -> bytes:
    """Reads the file, or the standard input."""
    if path != "-":
        if text is None:
            refuse_tables([path], options="--text")
        return read(path)
    if text is not None:
        raise UsageError("the standard input holds a text a line; --text is for a table")
    return sys.stdin.buffer.read()


def _texts(
    raw: bytes, path: str, *, text: str | None, encoding: str | None, reading: InputSettings
) -> tuple[list[tuple[int, str]], list[np.ndarray], list[str]]:
    """Texts with the numbers of their lines or rows, from 1; blank ones are left out.

    Args:
        reading: names the columns that hold what each text starts from; its numbers and its source
            come beside the text.
    """
    columns = reading.starts
    if columns and text is None:
        raise UsageError(
            f"the model starts its texts from {' '.join(columns)}; give a table with that, and "
            "--text for the column of the texts"
        )
    rows: Iterable[tuple[Any, ...]]
    if text is not None:
        rows = read_cells(raw, path=path, columns=(text, *columns), encoding=encoding)
    else:
        rows = ((line,) for line in decode(raw, path=path, encoding=encoding).split("\n"))
    texts, numbers, sources = [], [], []
    for number, (cell, *cells) in enumerate(rows, start=1):
        each = "" if cell is None else str(cell)
        if not each.strip():
            continue
        texts.append((number, each.removesuffix("\r")))
        if reading.source:
            *cells, source = cells
            sources.append("" if source is None else str(source))
        if reading.context:
            try:
                numbers.append(numbers_of(cells, texts=True))
            except ValueError as error:
                where = f"row {number:,} of {path}: {' '.join(reading.context)}"
                raise TextmillError(f"{where} {error}") from None
    return texts, numbers, sources


def _shown(number: int, found: Score, *, as_json: bool) -> str:
    if as_json:
        record: dict[str, Any] = {"line": number, **asdict(found)}
        if found.tokens is None:
            del record["tokens"]
        if found.label is None:
            del record["label"]
        return json.dumps(record, ensure_ascii=False)
    one_line = " ".join(found.text.split())
    cells = [number, found.perplexity, found.words, found.unknown, found.logprob, one_line]
    if found.tokens is not None:
        cells.append(" ".join(f"{word} {nats:.2f}" for word, nats in found.tokens))
    return "\t".join(map(str, cells))
