"""Adds options to a command's parser: by a name, what stands for the value, and the help."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

# Of a value, by what stands for it in the help; others are texts.
_TYPES = {"N": int, "K": int, "X": float, "P": float, "T": float, "SHARE": float}
# What a shell offers as a value, by what stands for it in the help.
_FILES = ("CORPUS", "TEXT", "GLOB", "FILE", "DATA", "TABLE")
_FOLDERS = ("MODEL", "DIR")


class Adder:
    """Adds options and arguments to a command.

    Args:
        place: the command, or a group of its options.
        kinds: settings, whose defaults are those of the options with the names of their fields.
    """

    def __init__(self, place: argparse._ActionsContainer, kinds: Sequence[Any]):
        self._place = place
        self._kinds = kinds
        self._defaults = {field.name: field.default for kind in kinds for field in fields(kind)}

    def group(self, title: str) -> Adder:
        """An adder of options that the help shows under a title."""
        return Adder(self._place.add_argument_group(title), self._kinds)

    def __call__(
        self, name: str, value: str | tuple[str, ...] | None, text: str, **more: Any
    ) -> None:
        """Adds an option or argument.

        Args:
            name: its name.
            value: what stands for the value in the help, a tuple of what the value may be, or None
                for a switch.
            text: the help.
            more: what else argparse takes; `short`, a second name.
        """
        if value is None:
            given: dict[str, Any] = {"action": "store_true"}
        elif isinstance(value, tuple):
            given = {"choices": value}
        else:
            given = {"metavar": value, "type": _TYPES.get(value)}
        default = self._defaults.get(more.get("dest", name.removeprefix("--").replace("-", "_")))
        if value is not None and name.startswith("--"):
            given["default"] = list(default) if isinstance(default, tuple) else default
        short = more.pop("short", None)
        action = self._place.add_argument(
            *filter(None, (short, name)), help=text, **{**given, **more}
        )
        if action.metavar in _FILES:
            action.complete = {"bash": "_shtab_compgen_files", "zsh": "_files", "tcsh": "f"}  # type: ignore[attr-defined]
        elif action.metavar in _FOLDERS:
            action.complete = {"bash": "_shtab_compgen_dirs", "zsh": "_files -/", "tcsh": "d"}  # type: ignore[attr-defined]
