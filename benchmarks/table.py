"""The table that a benchmark prints, with the machine above it."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable

from textmill.model.machine import cpu_kind


def machine() -> str:
    """What it was measured on."""
    return f"{cpu_kind()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def print_table(rows: Iterable[tuple[str, str]]) -> None:
    """Prints what was measured, and the figure."""
    print(f"{machine()}\n")
    print("| what | figure |\n|---|---|")
    for what, figure in rows:
        print(f"| {what} | {figure} |")
