"""Checks your exercises: `python -m lab.check [EXERCISE...]`; `tour` means the last three.

Each exercise is passed, not started, or failed; then it shows what was expected, what was received
and a hint. The checks draw their inputs from `--seed`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from lab.checks import EXERCISES
from lab.run import FAILED, NOT_STARTED, PASSED, Result, results
from textmill.model.visible import visible

EXERCISES_FILE = Path(__file__).resolve().parent / "exercises.py"
_REPORT = "9"
_MARKS = {PASSED: "[green]✓[/] passed", FAILED: "[red]✗[/] failed", NOT_STARTED: "· not started"}


def show(result: Result, console: Console) -> None:
    """Prints one exercise's result."""
    title = EXERCISES[result.name].title
    missing = f": {result.what} is to be written" if result.status == NOT_STARTED else ""
    said = visible(f"{result.name}  {title}{missing}")
    console.print(f"{_MARKS[result.status]} {escape(said)}")
    if result.status == FAILED:
        for label, text in (
            ("", result.what),
            ("expected  ", result.expected),
            ("received  ", result.received),
            ("hint      ", result.hint),
        ):
            console.print(Text(visible(f"    {label}{text}", keep="\n\t")))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; exit status 0 if nothing failed, 1 if something did."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.check", description="Checks the exercises of the lab."
    )
    which = f"of {', '.join(EXERCISES)}; tour: the last three (default: all)"
    parser.add_argument("exercise", nargs="*", metavar="EXERCISE", help=which)
    parser.add_argument("--file", type=Path, default=EXERCISES_FILE, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the inputs (default: 0)")
    parser.add_argument("--seconds", type=float, default=30.0, metavar="N",
                        help="for one exercise (default: 30)")  # fmt: skip
    args = parser.parse_args(argv)
    if not args.file.is_file():
        parser.error(f"{args.file} is no file")
    asked = set(args.exercise or EXERCISES)
    if "tour" in asked:
        asked = asked - {"tour"} | {name for name in EXERCISES if not name.isdigit()}
    if _REPORT in asked:
        parser.error(f"{_REPORT} is the report, which is not checked by machine")
    if asked - set(EXERCISES):
        parser.error(
            f"there is no exercise {', '.join(sorted(asked - set(EXERCISES)))}; give some of "
            f"{', '.join(EXERCISES)}, tour"
        )
    names = [name for name in EXERCISES if name in asked]
    console = Console(soft_wrap=True)
    points = failed = 0
    for result in results(args.file, names, seed=args.seed, seconds=args.seconds):
        show(result, console)
        points += EXERCISES[result.name].points * (result.status == PASSED)
        failed += result.status == FAILED
    most = sum(EXERCISES[name].points for name in names)
    rest = f"; the report has the other {100 - most}" if names == list(EXERCISES) else ""
    if most:  # the tour has no points
        console.print(f"\n{points} of {most} points{rest}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
