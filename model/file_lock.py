"""Locks on files, which the system frees when their process ends, however it ends."""

from __future__ import annotations

import os

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

WORKS = fcntl is not None


def take_lock(path: str | os.PathLike[str], *, create: bool = True, sure: bool = False) -> int:
    """Takes a lock; gives the descriptor, which holds it until it is closed.

    On a file system without locks, nothing is held.

    Args:
        path: the file of the lock; a link is not followed.
        create: whether to make it if it is not there.
        sure: whether it is an error if nothing is held.

    Raises:
        BlockingIOError: another process holds it.
        OSError: the file cannot be opened, or cannot be locked and has to be.
    """
    flags = os.O_RDWR | (os.O_CREAT if create else 0) | getattr(os, "O_NOFOLLOW", 0)
    lock = os.open(path, flags, 0o644)
    try:
        if fcntl is not None:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        elif sure:
            raise OSError("this system has no locks")
    except OSError as error:
        if sure or isinstance(error, BlockingIOError):
            os.close(lock)
            raise
    return lock
