"""Prompts from the standard input, as a file that can be read twice."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from textmill.model.errors import TextmillError, UsageError

STANDARD_INPUT = "-"
# The file's name, which the ids of its prompts begin with and a resume looks for.
_NAME = "stdin"


@contextmanager
def spooled(prompts: Sequence[str]) -> Iterator[Sequence[str]]:
    """The prompt files, with a temporary file in the place of `-`.

    Its name is always `stdin`, so that the ids are `stdin:1`, `stdin:2`, ... and the same input
    gives the same texts.

    Raises:
        TextmillError: it holds JSON, or nothing.
        UsageError: `-` is not the only one.
    """
    if STANDARD_INPUT not in prompts:
        yield prompts
        return
    if len(prompts) > 1:
        raise UsageError("--prompts - is the standard input and stands alone; name files instead")
    if sys.stdin is None:
        raise TextmillError("there is no standard input to read prompts from")
    if sys.stdin.isatty():
        print("type a prompt a line; Ctrl-D ends", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="textmill-") as folder:
        file = Path(folder, _NAME)
        with file.open("wb") as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
        _check(file)
        yield [str(file)]


def _check(file: Path) -> None:
    with file.open("rb") as lines:
        first = lines.readline(1 << 16).strip()
    if not first and file.stat().st_size == 0:
        raise TextmillError("no prompts: the standard input is empty")
    try:
        is_object = first.startswith(b"{") and isinstance(json.loads(first), dict)
    except ValueError:
        return
    if is_object:
        raise TextmillError(
            "the standard input holds JSON objects, and is read as a prompt a line; save it as a "
            ".jsonl file and name that with --prompts"
        )
