"""A folder for a process's temporary files; the next process removes it if this one was killed."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from textmill.model import file_lock

PREFIX = "textmill-run-"
_LOCK = "lock"


@contextlib.contextmanager
def own_folder() -> Iterator[Path]:
    """Gives a new folder, held by a lock until it is removed at the end of the block.

    A process that this one forks does not remove it.
    """
    _sweep()
    made, owner = Path(tempfile.mkdtemp(prefix="textmill-new-")), os.getpid()
    lock = file_lock.take_lock(made / _LOCK)
    # Only now it has the name by which others look for it, so that they find it locked.
    folder = made.with_name(f"{_prefix()}{made.name.rpartition('-')[2]}")
    made.rename(folder)
    try:
        yield folder
    finally:
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _prefix() -> str:
    # A temporary folder may be shared by machines, and a lock may hold on one of them only.
    return f"{PREFIX}{re.sub(r'[^A-Za-z0-9.]', '_', socket.gethostname())}-"


def _sweep() -> None:
    """Removes the folders of processes that were killed on this machine."""
    if not file_lock.WORKS:
        return
    for folder in Path(tempfile.gettempdir()).glob(f"{_prefix()}*"):
        with contextlib.suppress(OSError):
            if folder.lstat().st_uid == os.getuid() and not folder.is_symlink():
                # It is an error if the lock is held, or if there are none on this file system.
                os.close(file_lock.take_lock(folder / _LOCK, create=False, sure=True))
                shutil.rmtree(folder, ignore_errors=True)
