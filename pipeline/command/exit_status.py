"""Exit statuses, and the line that a failure ends with."""

from __future__ import annotations

import sys

from textmill.model.visible import visible

DONE, FAILED, WRONG_USE, TOO_MANY_REJECTED, INTERRUPTED = 0, 1, 2, 3, 130


def fail(message: str, status: int) -> int:
    """Prints why a command failed, in one line; returns its exit status."""
    print(f"textmill: error: {visible(message)}", file=sys.stderr)
    return status
