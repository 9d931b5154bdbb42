"""Checks your exercises: `python -m lab.check [EXERCISE or FUNCTION...]`; `tour` is the last three.

Each function is passed, not started, or failed; then it shows what was expected, what was received
and a hint. The checks draw their inputs from `--seed`. Your code runs in a process of its own,
which can read no other files and write in a scratch folder only.
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
from lab.language import add_option, say
from lab.sandbox.run import FAILED, MEMORY_GIB, NOT_STARTED, PASSED, Result, results
from lab.tables import fault, status
from textmill.model.visible import visible

EXERCISES_FILE = Path(__file__).resolve().parent / "exercises.py"
_REPORT = "9"
_MARKS = {PASSED: "[green]✓[/]", FAILED: "[red]✗[/]", NOT_STARTED: "·"}


def show(result: Result, console: Console) -> None:
    """Prints one function's result."""
    other = result.status == NOT_STARTED and result.what not in ("", result.function)
    missing = say(f": {result.what} is to be written") if other else ""
    title = say(EXERCISES[result.name].title)
    told = visible(f"{status(result)} {result.name}  {title}: {result.function}{missing}")
    console.print(f"{_MARKS[result.status]} {escape(told)}")
    if result.status == FAILED:
        for line in fault(result):
            console.print(Text(visible(f"    {line}", keep="\n\t")))


def asked_for(words: Sequence[str]) -> tuple[list[str], set[str]]:
    """Finds the exercises and functions of a command; nothing means all.

    Raises:
        ValueError: there is no such exercise or function.
    """
    of_function = {each: name for name, e in EXERCISES.items() for each in e.checks}
    names: set[str] = set()
    functions: set[str] = set()
    for word in words or EXERCISES:
        if word == "tour":
            found = [name for name in EXERCISES if not name.isdigit()]
        elif word == _REPORT:
            raise ValueError(f"{_REPORT} is the report, which is not checked by machine")
        elif word in of_function:
            names.add(of_function[word])
            functions.add(word)
            continue
        elif word in EXERCISES:
            found = [word]
        else:
            raise ValueError(
                f"there is no exercise {word}; give some of {', '.join(EXERCISES)}, tour, or names "
                "of functions"
            )
        names |= set(found)
        functions |= {each for name in found for each in EXERCISES[name].checks}
    return [name for name in EXERCISES if name in names], functions


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; exit status 0 if all is passed, 1 if something is not."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.check", description="Checks the exercises of the lab."
    )
    parser.add_argument(
        "exercise", nargs="*", metavar="EXERCISE",
        help=f"of {', '.join(EXERCISES)}; or functions; tour: the last three (default: all)",
    )  # fmt: skip
    parser.add_argument("--file", type=Path, default=EXERCISES_FILE, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the inputs (default: 0)")
    parser.add_argument("--seconds", type=float, default=30.0, metavar="N",
                        help="for a function, 4 N if it makes a network (default: 30)")  # fmt: skip
    parser.add_argument("--memory", type=float, default=MEMORY_GIB, metavar="GIB",
                        help="for your code (default: %(default)g)")  # fmt: skip
    add_option(parser)
    args = parser.parse_args(argv)
    if args.file.is_dir():
        parser.error(say(f"{args.file} is a folder; give the file with your functions"))
    if not args.file.is_file():
        parser.error(say(f"{args.file} is no file"))
    if args.seed < 0:
        parser.error(say(f"--seed {args.seed}: a seed is at least 0"))
    try:
        names, functions = asked_for(args.exercise)
    except ValueError as error:
        parser.error(say(str(error)))
    console = Console(soft_wrap=True)
    points = most = 0
    statuses = []
    for result in results(
        args.file, names, functions=functions, seed=args.seed, seconds=args.seconds,
        memory=args.memory,
    ):  # fmt: skip
        show(result, console)
        points += result.points
        most += EXERCISES[result.name].points_of[result.function]
        statuses.append(result.status)
    whole = sum(each.points for each in EXERCISES.values())
    rest = say(f"; the report has the other {100 - whole}") if most == whole else ""
    if most:  # the tour has no points
        console.print("\n" + say(f"{points} of {most} points") + rest)
    return 0 if set(statuses) <= {PASSED} else 1


if __name__ == "__main__":
    sys.exit(main())
