"""Tells whether a prompt file is still the one that was planned."""

from __future__ import annotations

import functools

from textmill.model.errors import TextmillError
from textmill.pipeline.files.filesystem import digest_of, mark_of

NEW_DIRECTORY = "start the run again in a new directory"


def check_unchanged(path: str, mark: str, sha256: str) -> None:
    """Refuses a file that is not the one that was planned.

    Equal marks are enough. A copy on another machine has another mark, so there the whole file is
    hashed, once in each process.

    Args:
        path: the file.
        mark: from `mark_of`, before the file was planned.
        sha256: of the planned file.

    Raises:
        TextmillError: the file changed, or is gone.
    """
    now = mark_of(path)
    if now != mark and _digest(path, now) != sha256:
        raise TextmillError(
            f"{path} changed during the run: it is not the file that was planned; {NEW_DIRECTORY}"
        )


@functools.lru_cache(maxsize=1024)
def _digest(path: str, mark: str) -> str:
    return digest_of(path)
