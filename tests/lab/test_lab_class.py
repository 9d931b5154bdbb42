"""benchmarks/lab_class.py: what a class has to get, and how it is read from the tables."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab import tables
from lab.checks import EXERCISES
from lab.grade import file_name
from lab.sandbox.run import FAILED, PASSED, Result
from lab.tables import Grade

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def lab_class():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        spec = importlib.util.spec_from_file_location(
            "lab_class", ROOT / "benchmarks" / "lab_class.py"
        )
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, "lab_class", module)
        spec.loader.exec_module(module)
        yield module


def test_it_runs_from_anywhere(tmp_path):
    """As the documents say, with the lab in no package that is installed."""
    script, env = ROOT / "benchmarks" / "lab_class.py", {**os.environ}
    env.pop("PYTHONPATH", None)
    done = subprocess.run([sys.executable, script, "--help"], cwd=tmp_path, env=env,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "--work" in done.stdout


def test_the_class_has_all_kinds_and_its_points_follow(lab_class):
    found = lab_class.students(0, Path("/x/y.py"))
    assert found == lab_class.students(0, Path("/x/y.py"))
    assert found != lab_class.students(1, Path("/x/y.py"))
    points = {each.kind: each.points for each in found}
    assert len(found) == len(set(lab_class.NAMES)) == 30
    assert points["the solution"] == points["right in other ways"] == points["a folder"] == 85
    assert [points[f"{n} exercises done"] for n in (1, 2, 3)] == [5, 15, 30]
    assert points["kills its parent, ends itself"] == 85 - 10 - 4
    assert points["an empty file"] == points["a syntax error"] == points["hangs when loaded"] == 0
    for each in found:
        if each.kind != "a syntax error":
            ast.parse(each.text)
    wrong = next(each for each in found if each.kind == "9 functions wrong")
    assert sum(line.startswith("def ") for line in wrong.text.splitlines()) >= 23


def test_the_points_are_read_from_each_table(lab_class, tmp_path):
    graded = {}
    for i, name in enumerate(lab_class.NAMES):
        status = [FAILED, PASSED][i % 2]
        graded[name] = Grade(tuple(
            Result(exercise, status, "w", "e", "r", "h", each)
            for exercise in EXERCISES for each in EXERCISES[exercise].checks
        ))  # fmt: skip
        place = tmp_path / "results" / f"{file_name(name)}.json"
        rows = [vars(result) for result in graded[name].results]
        tables.write(place, json.dumps({"name": name, "results": rows}))
    for kind, roster in zip(
        ("moodle", "canvas"), lab_class.rosters(tmp_path, lab_class.NAMES), strict=True
    ):
        given = {"roster": tables.read_roster(roster), "file_name": file_name}
        for each in ("csv", "gradescope", kind):
            tables.save(each, graded, tmp_path, **given)
    wanted = {name: [0, 85][i % 2] for i, name in enumerate(lab_class.NAMES)}
    found = lab_class.received(tmp_path)
    assert list(found) == ["saved", "csv", "moodle", "canvas", "gradescope"]
    for kind, points in found.items():
        assert {name: points[name] for name in wanted} == wanted, kind
