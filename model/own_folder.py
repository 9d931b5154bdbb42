"""A folder for a process's temporary files; the next process removes it if this one was killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from textmill.model import file_lock

PREFIX = "textmill-run-"
_LOCK = "lock"
_YOUNG_SECONDS = 60.0  # a folder without a lock may be in the making for so long


@contextlib.contextmanager
def own_folder() -> Iterator[Path]:
    """Gives a new folder, held by a lock until it is removed at the end of the block."""
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    lock = file_lock.take_lock(folder / _LOCK)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _sweep() -> None:
    """Removes the folders of processes that were killed."""
    if not file_lock.WORKS:
        return
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            found = folder.lstat()
            if found.st_uid == os.getuid() and not folder.is_symlink() and _is_left(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_left(folder: Path) -> bool:
    try:
        os.close(file_lock.take_lock(folder / _LOCK, create=False))
    except BlockingIOError:
        return False
    except FileNotFoundError:
        return time.time() - folder.lstat().st_mtime > _YOUNG_SECONDS
    return True
