"""A line on the terminal while nothing else is seen; it is gone when something is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from textmill.model.visible import visible


@contextmanager
def status_line(text: str) -> Iterator[None]:
    """Shows a text on the standard error, if that is a terminal, until the block ends.

    It is written once and needs no thread: TensorFlow, which is often what is waited for, holds the
    standard error back while it loads.
    """
    shown = sys.stderr is not None and sys.stderr.isatty()
    if shown:
        sys.stderr.write(f"{visible(text)} ...")
        sys.stderr.flush()
    try:
        yield
    finally:
        if shown:
            sys.stderr.write("\r\x1b[K")  # back to the line's start, and wipe it
            sys.stderr.flush()
