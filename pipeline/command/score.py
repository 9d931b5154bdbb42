"""`textmill score`: how probable a model finds each text of a file."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from textmill.model.errors import UsageError
from textmill.model.prompt import Score
from textmill.model.text.decoding import decode
from textmill.model.text.labelled_tables import read_cells, refuse_tables
from textmill.pipeline.api.status_line import status_line
from textmill.pipeline.api.trained_model import load
from textmill.pipeline.command.exit_status import DONE
from textmill.pipeline.command.printing import print_data
from textmill.pipeline.files.filesystem import read

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
    texts = list(_texts(path, text=text, encoding=encoding))
    with status_line(f"loading {model_dir}"):
        model = load(model_dir, own_process=False)
        model.score("", label=label)  # what is wrong with the label is said before all else
    total, words = 0.0, 0
    if not as_json:
        print("line", "perplexity", "words", "unknown", "logprob", "text", sep="\t")
    for start in range(0, len(texts), _AT_A_TIME):
        some = texts[start : start + _AT_A_TIME]
        scores = model.score([text for _, text in some], label=label, tokens=tokens)
        for (number, _), found in zip(some, scores, strict=True):
            total, words = total - found.logprob, words + found.words + 1
            print_data(_shown(number, found, as_json=as_json), keep="\t")
        sys.stdout.flush()
    if not quiet:
        each = math.exp(min(total / max(words, 1), 700.0))
        print(f"{len(texts):,} texts, perplexity {each:.3f}", file=sys.stderr)
    return DONE


def _texts(path: str, *, text: str | None, encoding: str | None) -> Iterator[tuple[int, str]]:
    """Texts with the numbers of their lines or rows, from 1; blank ones are left out."""
    if path != "-" and text is None:
        refuse_tables([path], options="--text")
    raw = sys.stdin.buffer.read() if path == "-" else read(path)
    if text is not None:
        if path == "-":
            raise UsageError("the standard input holds a text a line; --text is for a table")
        cells = read_cells(raw, path=path, columns=(text,), encoding=encoding)
        found = ["" if cell is None else str(cell) for (cell,) in cells]
    else:
        found = decode(raw, path=path, encoding=encoding).split("\n")
    for number, each in enumerate(found, start=1):
        if each.strip():
            yield number, each.removesuffix("\r")


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
