"""A mutant: the solution with one function changed, and the verdict that it must get."""

from __future__ import annotations

import ast
import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SOLUTION = Path(__file__).resolve().parents[1] / "lab_solution.py"


@dataclass(frozen=True)
class Mutant:
    """The solution with one function changed.

    Attributes:
        id: `function/what-is-other`.
        exercise: name of the exercise in `lab.checks.EXERCISES`.
        function: name of the function.
        right: whether it does what the exercise says.
        part: source that stands in the place of the function.
        hint: regular expression of the words that an apt message has; empty for a right one.
        shown: regular expression of the values that an apt message shows; empty for any.
        generated: whether an operator made it.
    """

    id: str
    exercise: str
    function: str
    right: bool
    part: str
    hint: str
    shown: str = ""
    generated: bool = False

    @property
    def source(self) -> str:
        """The whole file."""
        return with_function(self.function, self.part)


@cache
def solution() -> str:
    """The source of the solution."""
    return SOLUTION.read_text("utf-8")


@cache
def _places() -> dict[str, tuple[int, int]]:
    """First and last line of each function, from 1."""
    tree = ast.parse(solution())
    return {
        node.name: (node.lineno, node.end_lineno or node.lineno)
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
    }


def function_source(function: str) -> str:
    """The source of one function of the solution."""
    first, last = _places()[function]
    return "\n".join(solution().split("\n")[first - 1 : last])


def with_function(function: str, source: str) -> str:
    """The solution with other source in the place of a function."""
    first, last = _places()[function]
    lines = solution().split("\n")
    return "\n".join([*lines[: first - 1], source.strip("\n"), *lines[last:]])


Change = str | tuple[str, str]


class Variants:
    """Collects the mutants of one function."""

    def __init__(self, exercise: str, function: str):
        self.exercise, self.function = exercise, function
        self.found: list[Mutant] = []

    def wrong(self, what: str, hint: str, *changes: Change, shown: str = "") -> None:
        """Adds a mutant that has to be caught, with what an apt message says and shows."""
        self._add(what, False, changes, hint=hint, shown=shown)

    def right(self, what: str, *changes: Change) -> None:
        """Adds a mutant that has to pass."""
        self._add(what, True, changes)

    def _add(
        self,
        what: str,
        right: bool,
        changes: tuple[Change, ...],
        *,
        hint: str = "",
        shown: str = "",
    ) -> None:
        """Each change is other source for the function, or a pair of texts: old and new."""
        source = function_source(self.function)
        for change in changes:
            if isinstance(change, str):
                source = textwrap.dedent(change)
                continue
            old, new = change
            if source.count(old) != 1:
                raise ValueError(
                    f"{self.function}/{what}: {old!r} is there {source.count(old)} times"
                )
            source = source.replace(old, new)
        self.found.append(
            Mutant(
                id=f"{self.function}/{what}",
                exercise=self.exercise,
                function=self.function,
                right=right,
                part=source,
                hint=hint,
                shown=shown,
            )
        )


def twice(function: str, keep: str) -> str:
    """Source of the function that answers every call but the first with what the first one left.

    Args:
        keep: a statement on `_kept`, a list of the results so far, that sets `result`.
    """
    inner = function_source(function).replace(f"def {function}(", f"def _{function}_once(", 1)
    return (
        f"_kept = []\n\n\n{inner}\n\n\n"
        f"def {function}(*args):\n    result = _{function}_once(*args)\n    _kept.append(result)\n"
        f"{textwrap.indent(textwrap.dedent(keep), '    ')}\n    return result\n"
    )
