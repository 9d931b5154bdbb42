"""Files that exist whole or not at all."""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path

from model.errors import TextmillError

ATTEMPT = ".attempt-"  # how the name of an unfinished file begins


def sha256(data: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(data).hexdigest()


def write_once(path: str | os.PathLike[str], data: bytes) -> bool:
    """Writes a file under a name of this attempt's own, then gives it its name if that is free.

    Of several attempts at one file the first wins and the others leave no trace.

    Returns:
        Whether this attempt's file is the one that stands.

    Raises:
        TextmillError: it cannot be written; no part of it stands under `path`.
    """
    target = Path(path)
    attempt = target.parent / f"{ATTEMPT}{uuid.uuid4().hex}"
    try:
        with open(attempt, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return _name(attempt, target)
    except OSError as error:
        raise TextmillError(f"cannot write {target}: {error.strerror}") from None
    finally:
        attempt.unlink(missing_ok=True)


def make_directory(path: str | os.PathLike[str]) -> None:
    """Makes a directory and those above it where they are missing.

    Raises:
        TextmillError: it cannot be made.
    """
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise TextmillError(f"cannot make {path}: {error.strerror}") from None


def _name(attempt: Path, target: Path) -> bool:
    try:
        os.link(attempt, target)  # fails if the target exists, unlike a rename
    except FileExistsError:
        return False
    except PermissionError:  # a file system without hard links
        if target.exists():
            return False
        attempt.rename(target)
    return True
