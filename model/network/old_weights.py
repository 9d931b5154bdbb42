"""Reads weights.npz of model directories of format 1.

An `.npz` is a zip file of `.npy` files, and each of them says how much memory it wants. Nothing of
that is believed: what a member says must be what a model of these sizes has, and is compared before
its data is read. No header is evaluated, and nothing is unpacked.
"""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from textmill.model.errors import TextmillError
from textmill.model.network.weights import Shapes, array_bytes

_MAGIC = b"\x93NUMPY\x01\x00"
_LONGEST_HEADER = 1024
_ENCRYPTED = 0x1
# What `zipfile` raises for zip files that are damaged or made to do harm.
_FAULTS = (
    OSError, ValueError, KeyError, EOFError, OverflowError, MemoryError, RuntimeError,
    zipfile.BadZipFile, struct.error,
)  # fmt: skip


def read_npz(path: Path, shapes: Shapes) -> dict[str, np.ndarray]:
    """Reads arrays of these names and shapes, float32 each, from a file that fits their size.

    Raises:
        TextmillError: the file holds something else.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_names(path, sorted(member.filename for member in members), shapes)
            for member in members:
                _check_member(member, shapes[member.filename.removesuffix(".npy")])
            return {
                name: _array(archive.open(f"{name}.npy"), shape) for name, shape in shapes.items()
            }
    except _FAULTS as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise TextmillError(f"{path} holds no weights: {why[:200]}") from None


def _check_names(path: Path, found: list[str], shapes: Shapes) -> None:
    wanted = sorted(f"{name}.npy" for name in shapes)
    if sorted([*found, "context_input.npy"]) == wanted:
        raise TextmillError(
            f"{path.parent} was trained by an older textmill, whose labels set the first state "
            "only; train it again"
        )
    if found != wanted:
        raise ValueError("it holds other arrays than a model of the sizes in model.json")


def _check_member(member: zipfile.ZipInfo, shape: tuple[int, ...]) -> None:
    name = member.filename
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & _ENCRYPTED:
        raise ValueError(f"{name} is compressed or encrypted, which weights never are")
    header = member.file_size - array_bytes(shape)
    if member.compress_size != member.file_size or not 0 < header <= _LONGEST_HEADER:
        raise ValueError(f"{name} has {member.file_size:,} bytes, which do not fit {shape}")


def _array(file: IO[bytes], shape: tuple[int, ...]) -> np.ndarray:
    """Reads a member whose size is known to fit; at its end its checksum is compared."""
    with file:
        start = file.read(len(_MAGIC) + 2)
        length = int.from_bytes(start[-2:], "little")
        header = file.read(min(length, _LONGEST_HEADER))
        expected = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
        if start[:-2] != _MAGIC or header.rstrip(b" \n") != expected.encode():
            raise ValueError(f"an array is no float32 of the shape {shape}")
        data = file.read(array_bytes(shape))
        if len(data) != array_bytes(shape) or file.read(1):
            raise ValueError(f"an array is not of the shape {shape}")
    return np.frombuffer(data, "<f4").reshape(shape).copy()
