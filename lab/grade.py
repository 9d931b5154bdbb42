"""For teachers: `python -m lab.grade FOLDER` checks all submissions in a folder.

A submission is FOLDER/NAME.py or FOLDER/NAME/exercises.py. The results go to FOLDER-grades.csv and
FOLDER-grades.html. The checks' inputs are drawn from your own seed, so that students have not seen
them. Each submission runs in its own processes, with limits of time, memory and file size. The
limits protect from accidents, not from attacks: harmful code can still read your files. Grade code
that you do not trust in a container or a virtual machine.
"""

from __future__ import annotations

import argparse
import csv
import io
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from lab.checks import EXERCISES
from lab.run import FAILED, MEMORY_GIB, PASSED, Result, results
from textmill.model.pages.escaping import escape
from textmill.model.visible import visible

_STYLE = """
:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;
max-width:70rem;padding:0 1rem}table{border-collapse:collapse}td,th{border:1px solid #8888;
padding:.2rem .6rem;text-align:left}.n{text-align:right}pre{white-space:pre-wrap;margin:.2rem 0}
"""


def submissions(folder: Path) -> dict[str, Path]:
    """Finds the files of submissions by name, in alphabetical order."""
    found = {path.stem: path for path in folder.glob("*.py")}
    found |= {path.parent.name: path for path in folder.glob("*/exercises.py")}
    return dict(sorted(found.items()))


def points(graded: Sequence[Result]) -> int:
    """Gives the points of one submission, without the report."""
    return sum(EXERCISES[r.name].points for r in graded if r.status == PASSED)


def as_csv(grades: dict[str, list[Result]]) -> str:
    """Writes a row for each submission."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["name", *EXERCISES, "points"])
    for name, graded in grades.items():
        # Spreadsheets take a cell that begins with one of these for a formula.
        safe = "'" + name if name[:1] in "=+-@" else name
        writer.writerow([safe, *(r.status for r in graded), points(graded)])
    return out.getvalue()


def as_html(grades: dict[str, list[Result]], *, seed: int) -> str:
    """Makes a page with a table and what went wrong; it escapes all text from submissions."""
    most = sum(each.points for each in EXERCISES.values())
    head = "<th>points" + "".join(f"<th>{escape(name)}" for name in EXERCISES)
    rows, details = [], []
    for name, graded in grades.items():
        cells = "".join(f"<td>{'✓' if r.status == PASSED else r.status}" for r in graded)
        rows.append(f"<tr><th>{escape(name)}<td class=n>{points(graded)}{cells}")
        # A fault of the whole file is shown once.
        wrong: dict[tuple[str, ...], list[str]] = {}
        for r in graded:
            if r.status == FAILED:
                wrong.setdefault((r.what, r.expected, r.received, r.hint), []).append(r.name)
        if wrong:
            details.append(f"<h2>{escape(name)}</h2>")
        for (what, expected, received, hint), names in wrong.items():
            lines = f"{what}\nexpected  {expected}\nreceived  {received}\nhint      {hint}"
            details.append(f"<h3>{escape(', '.join(names))}</h3><pre>{escape(lines)}</pre>")
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>Grades</title><style>{_STYLE}</style><h1>Grades</h1>"
        f"<p>{len(grades)} submissions, inputs from seed {seed}; {most} points without the report."
        f"<table><tr><th>name{head}{''.join(rows)}</table>{''.join(details)}</html>\n"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; the exit status is 0 when all are graded."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.grade",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--seed", type=int, help="of the inputs (default: drawn, and printed)")
    parser.add_argument("--seconds", type=float, default=60.0, metavar="N",
                        help="for one exercise (default: 60)")  # fmt: skip
    parser.add_argument("--memory", type=float, default=MEMORY_GIB, metavar="GIB",
                        help="for a submission (default: %(default)g)")  # fmt: skip
    args = parser.parse_args(argv)
    found = submissions(args.folder)
    if not found:
        parser.error(f"{args.folder} holds neither NAME.py nor NAME/exercises.py")
    seed = secrets.randbelow(2**32) if args.seed is None else args.seed
    grades: dict[str, list[Result]] = {}
    for name, file in found.items():
        grades[name] = list(
            results(file, list(EXERCISES), seed=seed, seconds=args.seconds, memory=args.memory)
        )
        print(visible(f"{name}: {points(grades[name])}"), flush=True)
    place = args.folder.resolve()
    for ending, text in (("csv", as_csv(grades)), ("html", as_html(grades, seed=seed))):
        out = place.with_name(f"{place.name}-grades.{ending}")
        part = out.with_name(out.name + ".part")
        # A name from an old archive may be no Unicode.
        part.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")
        part.replace(out)  # whole, or not at all
        print(out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
