"""Prints texts that are data: as they are into a file or pipe, harmless in a terminal."""

from __future__ import annotations

import sys

from textmill.model.visible import visible


def print_data(text: str, *, keep: str = "", flush: bool = False) -> None:
    """Prints a text and a line end.

    Args:
        text: in a terminal its control characters are shown as escapes.
        keep: control characters that stay, in a terminal too.
        flush: whether it must be seen at once.
    """
    at_terminal = sys.stdout is not None and sys.stdout.isatty()
    print(visible(text, keep=keep) if at_terminal else text, flush=flush)
