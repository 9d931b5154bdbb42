"""Assignments for other systems, made from the same checks: nbgrader and GitHub Classroom."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

from lab.checks import EXERCISES
from lab.language import VARIABLE, say, spoken
from lab.sandbox.run import NOT_STARTED, PASSED, results
from lab.starter import starter
from lab.tables import TITLE, said, write

KINDS = ("nbgrader", "github")
_MINUTES = 10  # for one step of a workflow; it may have to load TensorFlow
_REPORT = 100 - sum(exercise.points for exercise in EXERCISES.values())


def make(kind: str, folder: Path) -> list[Path]:
    """Makes one of `KINDS` in a folder, and gives the files.

    Raises:
        TextmillError: the students' file of exercises is not there any more.
    """
    if kind == "github":
        files = {".github/workflows/classroom.yml": workflow()}
    else:
        files = {
            "source/lab/lab.ipynb": notebook(),
            "source/lab/exercises.py": starter(spoken()),
        }
    for name, text in files.items():
        write(folder / name, text)
    return [folder / name for name in files]


def demand(function: str, file: str = "exercises.py") -> None:
    """Checks a function of the file in the current folder, as a cell of a notebook does.

    Raises:
        AssertionError: it is not passed; the message says why.
    """
    names = [name for name, exercise in EXERCISES.items() if function in exercise.checks]
    seed = secrets.randbelow(1 << 62)
    for result in results(Path(file), names, functions={function}, seed=seed, seconds=60.0):
        if result.status != PASSED:
            missing = result.status == NOT_STARTED
            raise AssertionError(said(result) if missing else f"{function}\n{said(result)}")


def workflow() -> str:
    """Makes a workflow for GitHub Classroom: each function is a test with its points.

    https://github.com/classroom-resources/autograding-command-grader
    """
    steps, results_of = [], []
    for name, exercise in EXERCISES.items():
        for function, points in exercise.points_of.items():
            if not points:
                continue
            results_of.append(function)
            steps.append(f"""\
      - name: "{name} {function}"
        id: {function}
        uses: classroom-resources/autograding-command-grader@v1
        with:
          test-name: "{name} {say(exercise.title)}: {function}"
          setup-command: ""
          command: python -m lab.check {function}
          timeout: {_MINUTES}
          max-score: {points}
""")
    results_ = "".join(
        f'          {each.upper()}_RESULTS: "${{{{steps.{each}.outputs.result}}}}"\n'
        for each in results_of
    )
    return f"""\
name: Autograding Tests
on: [push, workflow_dispatch, repository_dispatch]
env:
  {VARIABLE}: {spoken()}
permissions:
  checks: write
  actions: read
  contents: read
jobs:
  run-autograding-tests:
    runs-on: ubuntu-latest
    if: github.actor != 'github-classroom[bot]'
    steps:
      - name: Checkout code
        uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.11"
          cache: pip
      - name: Install the lab
        run: python -m pip install -c constraints.txt ".[lab]"
{"".join(steps)}\
      - name: Autograding Reporter
        uses: classroom-resources/autograding-grading-reporter@v1
        env:
{results_}\
        with:
          runners: {",".join(results_of)}
"""


def notebook() -> str:
    """Makes the source notebook of an nbgrader assignment: a cell with points for each function.

    https://nbgrader.readthedocs.io/en/stable/contributor_guide/metadata.html
    """
    cells = [
        _cell(
            "markdown",
            f"# {TITLE}\n"
            + say(
                "Write your functions in `exercises.py` beside this notebook, and hand in both. "
                "Each cell below checks one function; inputs are drawn anew each time."
            ),
            "intro",
        ),
        _cell("code", "from lab.assignment import demand", "setup"),
    ]
    for name, exercise in EXERCISES.items():
        if not exercise.points:
            continue
        cells.append(_cell("markdown", f"## {name} {say(exercise.title)}", f"exercise-{name}"))
        for function, points in exercise.points_of.items():
            cells.append(_cell("code", f'demand("{function}")', function, points=points))
    report = say(
        "## 9 the report\nA question, what you measured, a picture, and what you conclude."
    )
    cells.append(_cell("markdown", report, "report", points=_REPORT, answer=True))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    told = {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(told, indent=1) + "\n"


def _cell(
    kind: str, source: str, name: str, *, points: int | None = None, answer: bool = False
) -> dict[str, Any]:
    """Makes a cell: locked, with points if it is a test; an answer is graded by a person."""
    about: dict[str, Any] = {
        "grade": points is not None,
        "grade_id": name,
        "locked": not answer,
        "schema_version": 3,
        "solution": answer,
        "task": False,
    }
    if points is not None:
        about["points"] = points
    cell = {"cell_type": kind, "id": name.replace("_", "-"), "metadata": {"nbgrader": about},
            "source": source}  # fmt: skip
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})
