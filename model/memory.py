"""Gives back memory that a process holds and no longer needs. Only Linux with glibc is known."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator

_DONTNEED = 4  # MADV_DONTNEED


def give_back_heap() -> None:
    """Gives free memory between used blocks back to the machine, which glibc by itself keeps.

    Compilers take much memory for a moment, and leave it in this state.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(0))


def give_back_pages(library: str) -> None:
    """Drops the pages of a library that were read from its files; what is used is there again.

    The dynamic loader and a large library's start look at a third of its file once. The pages stay
    in the machine's cache of files, which all processes share. But they count as memory of this
    process, which YARN, Dask and others watch to end what takes too much.

    Args:
        library: how the names of its files begin. They must stay loaded.
    """
    with contextlib.suppress(OSError, AttributeError):
        madvise = ctypes.CDLL(None).madvise
        for start, size in _unchanged(library):
            madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), _DONTNEED)


def _unchanged(library: str) -> Iterator[tuple[int, int]]:
    """Gives address and size of each part of a library that is, and has been, for reading only.

    The loader writes to some parts before it makes them read-only. Theirs is no file's content.
    """
    if sys.platform != "linux":
        return
    part: tuple[int, int] | None = None
    with open("/proc/self/smaps", encoding="utf-8", errors="replace") as maps:
        for line in maps.readlines():  # at once, as this allocates memory, too
            words = line.split()
            if not words[0].endswith(":"):
                start, end = (int(word, 16) for word in words[0].split("-"))
                path = words[5] if len(words) > 5 else ""
                named = path.rpartition("/")[2].startswith(library)
                part = (start, end - start) if named and words[1] in ("r--p", "r-xp") else None
            elif part is not None and words[:2] == ["Anonymous:", "0"]:
                yield part
