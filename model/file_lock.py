"""Locks on files, which the system frees when their process ends, however it ends."""

from __future__ import annotations

import os

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

WORKS = fcntl is not None


def take_lock(path: str | os.PathLike[str], *, create: bool = True) -> int:
    """Takes a lock; gives the descriptor, which holds it until it is closed.

    Without the system's help, or on a file system without locks, nothing is held.

    Args:
        path: the file of the lock; a link is not followed.
        create: whether to make it if it is not there.

    Raises:
        BlockingIOError: another process holds it.
        OSError: the file cannot be opened.
    """
    flags = os.O_RDWR | (os.O_CREAT if create else 0) | getattr(os, "O_NOFOLLOW", 0)
    lock = os.open(path, flags, 0o644)
    if fcntl is None:
        return lock
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise
    except OSError:  # a file system without locks
        pass
    return lock
