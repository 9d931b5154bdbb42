"""Weights in a safetensors file, whose header is compared before a byte of data is read."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from textmill.model.errors import TextmillError

Shapes = Mapping[str, tuple[int, ...]]  # by name
# What a file may hold for each array beside its data: far more than any header needs, and nothing
# beside the data of the smallest model that could be a burden.
_HEADER = 4096


def array_bytes(shape: tuple[int, ...]) -> int:
    """Gives the size of a float32 array."""
    return 4 * math.prod(shape)


def check_size(path: Path, size: int, shapes: Shapes, *, least: Shapes | None = None) -> None:
    """Refuses a file that is too small or too large for its arrays.

    Args:
        path: for the message.
        size: bytes of the file.
        shapes: the arrays it should hold.
        least: the arrays it must hold, if not all.

    Raises:
        TextmillError: it cannot hold them, or holds more.
    """
    needed, most = (sum(map(array_bytes, each.values())) for each in (least or shapes, shapes))
    most += _HEADER * (len(shapes) + 1)
    if not needed < size <= most:
        raise TextmillError(
            f"{path} is damaged: it has {size:,} bytes, and weights of the sizes in model.json "
            f"have {needed:,} and a header"
        )


def save_arrays(
    path: Path, arrays: Mapping[str, np.ndarray], *, metadata: dict[str, str] | None = None
) -> None:
    """Writes arrays to a new file and waits until the disk has them.

    Raises:
        OSError: it cannot be written.
    """
    path.touch()
    # The library may give its file to the owner alone; others should read what they may read.
    mode = path.stat().st_mode
    # It takes the memory as it is, so each array must lie there without gaps.
    whole = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    try:
        save_file(whole, path, metadata=metadata)
    except SafetensorError as error:
        raise OSError(str(error)) from None
    path.chmod(mode)
    sync(path)


def sync(path: Path) -> None:
    """Waits until the disk has a file."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def read_weights(path: Path, shapes: Shapes) -> dict[str, np.ndarray]:
    """Reads arrays of these names and shapes, float32 each.

    Raises:
        TextmillError: the file holds other arrays, or is no safetensors file.
    """
    try:
        with safe_open(path, "np") as file:
            _compare(path, _header(file), {name: ("F32", list(s)) for name, s in shapes.items()})
            return {name: file.get_tensor(name) for name in shapes}
    except (SafetensorError, OSError, ValueError) as error:
        raise TextmillError(f"{path} holds no weights: {error}") from None


def _header(file: Any) -> dict[str, tuple[str, list[int]]]:
    """Types and shapes by name."""
    slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
    return {name: (each.get_dtype(), each.get_shape()) for name, each in slices.items()}


def _compare(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    for name in (*wanted, *sorted(found)):
        if name not in found:
            raise TextmillError(f"{path} does not fit model.json: {name} is missing")
        if name not in wanted:
            raise TextmillError(f"{path} does not fit model.json: it holds {name[:80]!r}, too")
        if found[name] != wanted[name]:
            raise TextmillError(
                f"{path} does not fit model.json: {name} is {_told(found[name])} instead of "
                f"{_told(wanted[name])}"
            )


def _told(array: tuple[str, list[int]]) -> str:
    return f"{array[0]} {array[1]}"
