"""Reads small files and JSON that may be damaged or made to do harm; each fault is one line."""

from __future__ import annotations

import json
import math
import os
import re
import stat
from pathlib import Path
from typing import Any, NoReturn

from textmill.model.errors import TextmillError

MOST_BYTES = 2**28  # of a file that is read whole; a vocabulary of ten million words is smaller
_DEEPEST = 100  # objects and lists in one another; Python's own limit depends on the caller
_LONGEST = 20  # digits of a whole number, which are enough for any seed
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def check_regular(path: str) -> None:
    """Refuses what is there and is no file: a pipe may never end, and a device may have no end.

    Raises:
        TextmillError: it is a pipe, a device or a socket.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return  # opening it tells why
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise TextmillError(
            f"{path} is no regular file but a pipe, a device or a socket; save what it gives as a "
            "file and name that"
        )


def regular_size(path: Path) -> int:
    """Gives the size of a file, which is looked at and not opened.

    A named pipe or a device could be read for ever. Links to files are followed: caches of model
    hubs are made of them.

    Raises:
        TextmillError: there is none, or it is no regular file.
    """
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:
        raise TextmillError(f"{path} cannot be read: {getattr(error, 'strerror', error)}") from None
    if stat.S_ISDIR(found.st_mode):
        raise TextmillError(f"{path} is no regular file but a folder")
    check_regular(os.fspath(path))
    return found.st_size


def read_small(path: Path) -> bytes:
    """Reads a regular file whole.

    Raises:
        TextmillError: it cannot be read, is no regular file, or is too large for its kind.
    """
    size = regular_size(path)
    if size > MOST_BYTES:
        raise TextmillError(f"{path} is damaged: it has {size:,} bytes, at most {MOST_BYTES:,} fit")
    try:
        with open(path, "rb") as file:
            return file.read(size)
    except OSError as error:
        raise TextmillError(f"{path} cannot be read: {error.strerror}") from None


def parse_json(data: bytes, *, name: str | os.PathLike[str], cure: str = "") -> Any:
    """Parses the JSON of a file that textmill wrote.

    Args:
        data: what the file holds.
        name: the file, for the message.
        cure: what to do if it is damaged; ends the message.

    Raises:
        TextmillError: it is not valid UTF-8 or JSON, holds a number that is not finite, a whole
            number of more than 20 digits or half a character, or is nested deeper than 100.
    """
    try:
        return loads(data.decode())
    except (ValueError, RecursionError) as error:
        why = _why(error)
        end = f"; {cure}" if cure else ""
        raise TextmillError(f"{os.fspath(name)} is damaged: {why}{end}") from None


def loads(text: str, *, finite: bool = True) -> Any:
    """Parses JSON as `json.loads` does, within bounds.

    Args:
        text: the JSON.
        finite: whether numbers must be finite, which JSON demands.

    Raises:
        ValueError: it is no JSON or goes beyond the bounds, see `parse_json`.
        RecursionError: it is nested so deep that Python cannot parse it.
    """
    value = json.loads(
        text,
        parse_int=_whole,
        parse_float=_finite if finite else None,
        parse_constant=_constant if finite else None,
    )
    _check_depth(value)
    if _SURROGATE.search(text):  # a pair of them is a character, one alone is not
        json.dumps(value, ensure_ascii=False).encode()
    return value


def json_object(data: bytes, *, name: str | os.PathLike[str], cure: str = "") -> dict[str, Any]:
    """Parses the JSON of a file that must hold an object; see `parse_json`."""
    value = parse_json(data, name=name, cure=cure)
    if not isinstance(value, dict):
        end = f"; {cure}" if cure else ""
        raise TextmillError(f"{os.fspath(name)} is damaged: it is no JSON object{end}")
    return value


def _why(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"it is not valid UTF-8 at byte {error.start:,}"
    if isinstance(error, UnicodeEncodeError):
        return "it holds half a character"
    if isinstance(error, RecursionError):
        return f"it is nested deeper than {_DEEPEST}"
    if isinstance(error, json.JSONDecodeError):
        return f"it is not valid JSON ({error})"
    return str(error)


def _whole(digits: str) -> int:
    count = len(digits.removeprefix("-"))
    if count > _LONGEST:
        raise ValueError(f"it holds a whole number of {count:,} digits")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("it holds a number that is not finite")
    return value


def _constant(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}, which is no number of JSON")


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(_DEEPEST + 1):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return
    raise RecursionError
