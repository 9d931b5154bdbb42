"""Grades as tables: for people, and in the forms that Moodle, Canvas and Gradescope take."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.checks import EXERCISES
from lab.language import say, spoken
from lab.sandbox.run import FAILED, NOT_STARTED, PASSED, Result
from textmill.model.pages.escaping import escape
from textmill.model.visible import visible

FORMATS = ("csv", "html", "moodle", "canvas", "gradescope")
MOST = sum(exercise.points for exercise in EXERCISES.values())
TITLE = "textmill lab"
_STYLE = """
:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;
max-width:80rem;padding:0 1rem}table{border-collapse:collapse}td,th{border:1px solid #8888;
padding:.2rem .6rem;text-align:left}.n{text-align:right}.wide{overflow-x:auto}
tr>:first-child{min-width:7rem;position:sticky;left:0;background:Canvas}
pre{white-space:pre-wrap;margin:.2rem 0}pre,h3,p{overflow-wrap:anywhere}
"""

Roster = list[dict[str, str]]
_COLUMNS = {"moodle": "Grade", "canvas": "Student"}  # by which an export is known


@dataclass(frozen=True)
class Grade:
    """What a submission got.

    Attributes:
        results: one for each function.
        seconds: how long the checks took.
    """

    results: tuple[Result, ...]
    seconds: float = 0.0


def points(results: Sequence[Result]) -> int:
    """Gives the points of one submission, without the report."""
    return sum(result.points for result in results)


def save(
    kind: str, grades: dict[str, Grade], out: Path, *, roster: Roster,
    file_name: Callable[[str], str],
) -> list[Path]:  # fmt: skip
    """Writes one of `FORMATS` into a folder, and gives the files."""
    roster = roster if fits(kind, roster) else []
    if kind == "gradescope":
        files = {
            f"gradescope/{file_name(name)}/results.json": as_gradescope(grade)
            for name, grade in grades.items()
        }
    else:
        text = {
            "csv": lambda: as_csv(grades),
            "html": lambda: as_html(grades),
            "moodle": lambda: as_moodle(grades, roster),
            "canvas": lambda: as_canvas(grades, roster),
        }[kind]()
        files = {{"csv": "grades.csv", "html": "grades.html"}.get(kind, f"{kind}.csv"): text}
    for name, text in files.items():
        write(out / name, text)
    return [out / name for name in files]


def write(place: Path, text: str) -> None:
    """Writes a file whole, or not at all."""
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(place.name + ".part")
    # A name from an old archive may be no Unicode.
    part.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")
    part.replace(place)


def said(result: Result) -> str:
    """Says in some lines what is wrong with a function; nothing if it is passed."""
    if result.status == NOT_STARTED:
        return say(f"{result.what} is to be written")
    return "\n".join(fault(result)) if result.status == FAILED else ""


def status(result: Result) -> str:
    """Gives the status of a function in the language in use."""
    told = {PASSED: say("passed"), FAILED: say("failed"), NOT_STARTED: say("not started")}
    return told[result.status]


def fault(result: Result) -> list[str]:
    """Gives the lines of a failed function: what is wrong, expected, received, hint."""
    told = {
        say("expected"): result.expected, say("received"): result.received,
        say("hint"): result.hint,
    }  # fmt: skip
    width = max(map(len, told)) + 2
    return [say(result.what), *(f"{label:<{width}}{say(text)}" for label, text in told.items())]


def _table(rows: Sequence[Sequence[Any]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()


def _cell(text: str) -> str:
    """Keeps a spreadsheet from taking a text for a formula."""
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def as_csv(grades: dict[str, Grade]) -> str:
    """Writes a row for each submission: the status of each function, and the points."""
    heads = [f"{name} {each}" for name, exercise in EXERCISES.items() for each in exercise.checks]
    rows: list[list[Any]] = [["name", *heads, "points"]]
    for name, grade in grades.items():
        statuses = [status(result) for result in grade.results]
        rows.append([_cell(name), *statuses, points(grade.results)])
    return _table(rows)


def _each(results: Sequence[Result]) -> dict[str, list[Result]]:
    found: dict[str, list[Result]] = {name: [] for name in EXERCISES}
    for result in results:
        found[result.name].append(result)
    return found


def as_html(grades: dict[str, Grade]) -> str:
    """Makes a page with a table and what went wrong; it escapes all text from submissions."""
    title = say("Grades")
    head = f"<tr><th>{say('name')}<th>{say('points')}" + "".join(
        f"<th>{escape(name)}" for name in EXERCISES
    )
    rows, details = [], []
    for number, (name, grade) in enumerate(grades.items()):
        cells, shown = "", escape(name)
        for exercise, found in _each(grade.results).items():
            right, most = sum(r.status == PASSED for r in found), EXERCISES[exercise].points
            got = f"{points(found)}/{most}" if most else f"{right}/{len(found)}"
            cells += f"<td>{'✓' if right == len(found) else got}"
        # A fault of the whole file, and what is not started, is shown once.
        wrong: dict[str, list[str]] = {}
        for result in grade.results:
            if result.status != PASSED:
                lines = said(result) if result.status == FAILED else NOT_STARTED
                wrong.setdefault(lines, []).append(result.function)
        if wrong:
            details.append(f'<h2 id="s{number}">{shown}</h2>')
            shown = f'<a href="#s{number}">{shown}</a>'
        rows.append(f"<tr><th>{shown}<td class=n>{points(grade.results)}{cells}")
        for lines, names in wrong.items():
            about = escape(", ".join(names))
            details.append(
                f"<p>{say('not started')}: {about}"
                if lines == NOT_STARTED
                else f"<h3>{about}</h3><pre>{escape(lines)}</pre>"
            )
    return (
        f'<!doctype html><html lang="{spoken()}"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style><h1>{title}</h1><p>"
        + say(f"{len(grades)} submissions; {MOST} points without the report.")
        + f"<div class=wide tabindex=0><table>{head}{''.join(rows)}</table></div>"
        + f"{''.join(details)}</html>\n"
    )


# -- teachers' systems -----------------------------------------------------------------------------


def read_roster(file: Path) -> Roster:
    """Reads the table of students that a system exports.

    Raises:
        ValueError: it is no table.
    """
    with open(file, encoding="utf-8-sig", newline="") as lines:
        rows = [dict(row) for row in csv.DictReader(lines)]
    if not rows or any(None in row for row in rows):
        raise ValueError(
            say(f"{file} is no CSV table with a line of names and a line for each student")
        )
    return [{str(key): value or "" for key, value in row.items()} for row in rows]


def fits(kind: str, roster: Roster) -> bool:
    """Tells whether a roster is of the system of this format, with its columns in English."""
    return bool(roster) and _COLUMNS.get(kind) in roster[0]


def person(name: str, roster: Roster) -> dict[str, str] | None:
    """Finds whose submission it is: by the whole name, or by a part of it between `_`.

    Moodle calls a submission `Ada Lovelace_123_assignsubmission_file`, Canvas
    `lovelaceada_123_456_exercises`.
    """

    def keys(row: dict[str, str]) -> set[str]:
        cells = {value.strip().casefold() for value in row.values()}
        parts = {key.casefold(): value.strip().casefold() for key, value in row.items()}
        first, last = parts.get("first name", ""), parts.get("last name", parts.get("surname", ""))
        if not last and "," in parts.get("student", ""):
            last, first = (each.strip() for each in parts["student"].split(",", 1))
        cells |= {f"{first} {last}".strip(), f"{last}{first}".replace(" ", "")}
        return cells - {""}

    known = [(keys(row), row) for row in roster]
    for wanted in (name, *name.split("_")):
        matches = [row for cells, row in known if wanted.strip().casefold() in cells]
        if len(matches) == 1:
            return matches[0]
    return None


def _feedback(results: Sequence[Result]) -> str:
    lines = [f"{result.function}: {said(result)}" for result in results if result.status == FAILED]
    return "<br>".join(escape(line).replace("\n", "<br>") for line in lines)


def as_moodle(grades: dict[str, Grade], roster: Roster) -> str:
    """Fills in the worksheet that Moodle exports, or makes a table to import into its gradebook.

    https://docs.moodle.org/en/Grade_import
    """
    ours = ["Grade", "Feedback comments"]
    heads = list(roster[0]) if roster else ["Username"]
    rows: list[list[Any]] = [[*heads, *(each for each in ours if each not in heads)]]
    for name, grade in grades.items():
        who = person(name, roster) or {heads[0]: name}
        row = {**who, ours[0]: points(grade.results), ours[1]: _feedback(grade.results)}
        rows.append([_cell(visible(str(row.get(head, "")))) for head in rows[0]])
    return _table(rows)


def as_canvas(grades: dict[str, Grade], roster: Roster) -> str:
    """Makes a table to import into the gradebook of Canvas, where it becomes an assignment.

    Without the table that Canvas exports, the submission's name is the login.
    """
    heads = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
    rows: list[list[Any]] = [[*heads, TITLE], ["    Points Possible", "", "", "", "", MOST]]
    for name, grade in grades.items():
        who = person(name, roster) or {"Student": name, "SIS Login ID": name}
        cells = [_cell(visible(who.get(head, ""))) for head in heads]
        rows.append([*cells, points(grade.results)])
    return _table(rows)


def as_gradescope(grade: Grade) -> str:
    """Makes the results.json of an autograder of Gradescope, of one submission.

    https://gradescope-autograders.readthedocs.io/en/latest/specs/
    """
    tests = []
    for result in grade.results:
        exercise = EXERCISES[result.name]
        test = {
            "name": f"{result.name} {say(exercise.title)}: {result.function}",
            "score": result.points,
            "max_score": exercise.points_of[result.function],
            "status": "passed" if result.status == PASSED else "failed",
            "output": visible(said(result), keep="\n"),
            "output_format": "text",
        }
        tests.append(test)
    told = {
        "execution_time": round(grade.seconds),
        "output": say(
            f"{points(grade.results)} of {MOST} points; the report has {100 - MOST} more"
        ),
        "stdout_visibility": "hidden",
        "tests": tests,
    }
    return json.dumps(told, indent=1)
