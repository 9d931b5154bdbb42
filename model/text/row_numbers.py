"""Reads the numbers of a row: a list in one field, or a number in each of several fields."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

_SHOWN = 40  # characters of a value in a message


def numbers_of(cells: Sequence[Any], *, texts: bool = False) -> np.ndarray:
    """Reads the numbers of a row, float32 [F].

    Args:
        cells: the values of the row's fields; if it is one, it may be a list.
        texts: whether a number may be written as a text, as in a .csv.

    Raises:
        ValueError: a value is no finite number; the message says which.
    """
    values: Any = cells
    if len(cells) == 1 and isinstance(cells[0], list | tuple | np.ndarray):
        values = cells[0]
    if len(values) == 0:
        raise ValueError("must have numbers. Received: an empty list")
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiu" and values.ndim == 1:
        found = _rounded(values)
        if not np.isfinite(found).all():
            raise ValueError(_wrong(values[int(np.argmin(np.isfinite(found)))]))
        return found
    return np.array([_number(value, texts=texts) for value in values], np.float32)


def _number(value: Any, *, texts: bool) -> float:
    given = value
    if texts and isinstance(value, str) and value.isascii() and "_" not in value:
        with contextlib.suppress(ValueError):
            value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise ValueError(_wrong(given))
    if isinstance(value, int) and value.bit_length() > 128:
        raise ValueError(_wrong("a number of many digits"))
    if not math.isfinite(_rounded(np.array([value], np.float64))[0]):
        raise ValueError(_wrong(given))
    return float(value)


def _rounded(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def _wrong(value: Any) -> str:
    shown = "null" if value is None else repr(value)
    if isinstance(value, np.generic):
        shown = str(value)
    return f"must be finite numbers of 32 bits. Received: {shown[:_SHOWN]}"
