"""Waits for what other processes do, however busy the machine is."""

from __future__ import annotations

import time
from collections.abc import Callable

_MOST_SECONDS = 600.0  # keeps a test from hanging; nothing is measured by it


def until(true: Callable[[], bool], what: Callable[[], str] | str, *, every: float = 0.05) -> None:
    """Waits until something is true.

    Args:
        true: looks; it may also raise, where there is no hope.
        what: is said where it does not become true.
        every: seconds between two looks.
    """
    end = time.monotonic() + _MOST_SECONDS
    while not true():
        assert time.monotonic() < end, what if isinstance(what, str) else what()
        time.sleep(every)
