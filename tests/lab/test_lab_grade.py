"""Grades: tables for people and for teachers' systems, and assignments from the same checks."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from lab_here import only

from lab import assignment, grade, tables
from lab.checks import EXERCISES
from lab.sandbox import run
from lab.sandbox.run import FAILED, NOT_STARTED, PASSED, Result
from lab.tables import Grade
from textmill.model.visible import visible

ROOT = Path(__file__).resolve().parents[2]
SOLUTION = ROOT / "tests" / "lab" / "lab_solution.py"
ALL = [(name, each) for name, exercise in EXERCISES.items() for each in exercise.checks]


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """What ends by itself may take its time on a busy machine."""
    monkeypatch.setattr(run, "_LOAD_SECONDS", 600.0)


@pytest.fixture
def only_three():
    """Exercises that are checked in no time."""
    with only("0", "5", "8"):
        yield


def graded(**failed: str) -> Grade:
    """A grade in which all is passed but these functions, with what was received."""
    return Grade(
        tuple(
            Result(name, FAILED, "wrong", "right", failed[each], f"hint for {each}", each)
            if each in failed
            else Result(name, PASSED, function=each)
            for name, each in ALL
        ),
        12.4,
    )


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_grading(tmp_path, capsys, only_three):
    folder = tmp_path / "class"
    (folder / "ada").mkdir(parents=True)
    solution = SOLUTION.read_text("utf-8")
    (folder / "ada" / "exercises.py").write_text(solution, encoding="utf-8")
    (folder / "=bob.py").write_text(
        solution.replace("Counter(tokens)", "['<script>'].tokens"), encoding="utf-8"
    )
    (folder / "carl.py").write_text("def broken(:", encoding="utf-8")
    (folder / "__pycache__").mkdir()
    (folder / "dora").mkdir()
    assert grade.main([str(folder), "--seed", "7", "--write", *tables.FORMATS]) == 0
    out = tmp_path / "class-grades"
    found = rows((out / "grades.csv").read_text("utf-8"))
    assert [row["name"] for row in found] == ["'=bob", "ada", "carl", "dora"]
    assert [row["points"] for row in found] == ["13", "15", "0", "0"]
    assert (found[0]["0 count_words"], found[0]["0 coverage"]) == (FAILED, PASSED)
    page = (out / "grades.html").read_text("utf-8")
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    assert page.count("SyntaxError") == 1  # not once for each function
    assert "<tr><th>name<th>points<th>0" in page
    assert "<div class=wide" in page  # a narrow window moves the table, not the page
    assert '<tr><th><a href="#s0">=bob</a><td class=n>13<td>3/5<td>✓<td>✓' in page
    assert '<h2 id="s0">=bob</h2>' in page
    assert "there is no exercises.py" in page
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("1 of 4  =bob: 13, about ")
    assert said[-1] == str(out / "gradescope" / "dora" / "results.json")
    assert {path.name for path in out.iterdir()} == {
        "grades.csv", "grades.html", "moodle.csv", "canvas.csv", "gradescope", "results"
    }  # fmt: skip


def test_what_is_not_started_is_one_line_of_the_page():
    found = tuple(
        Result("5", NOT_STARTED, name, function=name) for name in ("greedy", "find_cycle")
    )
    page = tables.as_html({"ada": Grade(found)})
    assert "<p>not started: greedy, find_cycle" in page
    assert "to be written" not in page


def test_grading_goes_on_where_it_stopped(tmp_path, capsys, monkeypatch, only_three):
    folder = tmp_path / "class"
    folder.mkdir()
    for name in ("ada", "bob", "carl"):
        (folder / f"{name}.py").write_text("x = 1\n")
    checked = []

    def results_of(file, *_, seed, **__):
        checked.append((file.stem, seed))
        if file.stem == "bob" and len(checked) == 2:
            raise KeyboardInterrupt
        return iter(graded(greedy="none").results[:2])

    monkeypatch.setattr(grade, "results", results_of)
    assert grade.main([str(folder)]) == 130
    assert "--resume goes on from here" in capsys.readouterr().err
    assert not (tmp_path / "class-grades" / "grades.csv").exists()
    assert grade.main([str(folder), "--resume"]) == 0
    assert [name for name, _ in checked] == ["ada", "bob", "bob", "carl"]
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "1 of 3  ada: 5, graded before"
    assert said[1].startswith("2 of 3  bob: 5, about 1 min left")
    (folder / "carl.py").write_text("x = 2\n")  # handed in again
    assert grade.main([str(folder), "--resume"]) == 0
    assert [name for name, _ in checked[4:]] == ["carl"]
    assert grade.main([str(folder), "--resume", "--seconds", "61"]) == 0
    assert len(checked) == 8  # other limits may give other results
    assert grade.main([str(folder)]) == 0
    assert len(checked) == 11
    assert len({seed for _, seed in checked}) == 11  # a seed that got known helps nobody
    assert grade.main([str(folder), "--seed", "7"]) == grade.main([str(folder), "--seed", "7"]) == 0
    assert checked[11:14] == checked[14:]


@pytest.mark.parametrize("part", ["tables.py", "checks/greedy.py", "sandbox/run.py"])
def test_a_saved_result_is_that_of_these_checks_and_this_sandbox(tmp_path, monkeypatch, part):
    shutil.copytree(grade.ROOT / "lab", tmp_path / "lab")
    monkeypatch.setattr(grade, "ROOT", tmp_path)
    submission = grade.Submission(tmp_path / "lab" / "exercises.bg.py")
    before = grade._digest(submission, seconds=60.0, memory=8.0)
    with open(tmp_path / "lab" / part, "a") as file:
        file.write("# changed\n")
    assert grade._digest(submission, seconds=60.0, memory=8.0) != before


def test_estimates_are_in_minutes_and_hours():
    assert [grade._remaining(seconds) for seconds in (5, 100, 3600, 8000)] == [
        "1 min", "2 min", "1 h 0 min", "2 h 13 min"
    ]  # fmt: skip


def test_two_submissions_of_one_name_are_an_error(tmp_path, capsys):
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / "exercises.py").write_text("")
    (tmp_path / "ada.py").write_text("")
    for folder, said in ((tmp_path, "two submissions of ada"), (tmp_path / "no", "is no folder")):
        with pytest.raises(SystemExit):
            grade.main([str(folder)])
        assert said in capsys.readouterr().err.splitlines()[-1]


def test_a_submission_that_is_a_folder_is_refused_in_one_line(tmp_path, capsys, only_three):
    (tmp_path / "class" / "ada" / "exercises.py").mkdir(parents=True)
    (tmp_path / "class" / "bob.py").mkdir()
    assert grade.main([str(tmp_path / "class"), "--write", "csv"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("1 of 2  ada: 0 (exercises.py is a folder, not a file)")
    assert said[1] == "2 of 2  bob: 0 (bob.py is a folder, not a file)"


def test_names_that_are_no_unicode_act_on_nothing(tmp_path, capsys, monkeypatch, only_three):
    odd = "\x1b]0;x\x07[red]:smile:\x9b\u202e\udce9"
    bad = Grade((Result("0", FAILED, odd, odd, odd, odd, "coverage"),))
    (tmp_path / "class").mkdir()
    file = tmp_path / "class" / "a.py"
    file.write_text("")
    monkeypatch.setattr(grade, "submissions", lambda folder: {odd: grade.Submission(file)})
    monkeypatch.setattr(grade, "results", lambda *_, **__: iter(bad.results))
    assert grade.main([str(tmp_path / "class"), "--write", *tables.FORMATS]) == 0
    out = capsys.readouterr().out
    assert visible(out, keep="\n") == out
    assert "\\udce9" in (tmp_path / "class-grades" / "grades.csv").read_text("utf-8")
    long = "é" * 300
    assert len(grade.file_name(long)) == 64
    assert grade.file_name("Ada B") == "Ada B"
    assert "/" not in grade.file_name("../../x")


# -- teachers' systems -----------------------------------------------------------------------------


def test_gradescope(tmp_path):
    told = json.loads(tables.as_gradescope(graded(sample="\x1b[31m3")))
    assert set(told) <= {"score", "execution_time", "output", "visibility", "stdout_visibility",
                         "extra_data", "tests", "leaderboard", "output_format"}  # fmt: skip
    assert told["execution_time"] == 12
    tests = {test["name"].rsplit(" ", 1)[1]: test for test in told["tests"]}
    assert len(tests) == len(ALL)
    assert sum(test["max_score"] for test in tests.values()) == 85
    assert sum(test["score"] for test in tests.values()) == 75
    assert (tests["sample"]["status"], tests["greedy"]["status"]) == ("failed", "passed")
    assert "hint for sample" in tests["sample"]["output"]
    assert "\x1b" not in tests["sample"]["output"]


CANVAS = """\
Student,ID,SIS User ID,SIS Login ID,Section,Lab 1 (77)
    Points Possible,,,,,10
"Lovelace, Ada",123,S-1,ada7,A,9
"Babbage, Charles",456,S-2,chb,A,
"""


def test_canvas(tmp_path):
    (tmp_path / "export.csv").write_text(CANVAS, encoding="utf-8-sig")
    roster = tables.read_roster(tmp_path / "export.csv")
    grades = {
        "lovelaceada_123_9_exercises": graded(),
        "chb": graded(sample=""),
        "=who": graded(),
    }
    text = tables.as_canvas(grades, roster)
    lines = list(csv.reader(io.StringIO(text)))
    assert lines[0] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "textmill lab"]
    assert lines[1] == ["    Points Possible", "", "", "", "", "85"]
    assert lines[2] == ["Lovelace, Ada", "123", "S-1", "ada7", "A", "85"]
    assert lines[3] == ["Babbage, Charles", "456", "S-2", "chb", "A", "75"]
    assert lines[4] == ["'=who", "", "", "'=who", "", "85"]


MOODLE = """\
Identifier,Full name,Email address,Status,Grade,Maximum Grade,Feedback comments
Participant 11,Ada Lovelace,ada@school.example,Submitted,,85,
Participant 12,Charles Babbage,ch@school.example,Submitted,,85,
"""


def test_moodle(tmp_path):
    (tmp_path / "sheet.csv").write_text(MOODLE, encoding="utf-8")
    roster = tables.read_roster(tmp_path / "sheet.csv")
    grades = {"Ada Lovelace_11_assignsubmission_file": graded(sample="<b>3")}
    (row,) = rows(tables.as_moodle(grades, roster))
    assert list(row) == MOODLE.splitlines()[0].split(",")
    assert (row["Identifier"], row["Grade"]) == ("Participant 11", "75")
    assert "received  &lt;b&gt;3<br>hint      hint for sample" in row["Feedback comments"]
    (row,) = rows(tables.as_moodle({"ada": graded()}, []))
    assert row == {"Username": "ada", "Grade": "85", "Feedback comments": ""}


def test_a_person_is_found_only_if_no_other_may_be_meant():
    roster = [{"First name": "Ada", "Last name": "Byron", "ID number": "1"},
              {"First name": "Ada", "Last name": "King", "ID number": "2"}]  # fmt: skip
    assert tables.person("Ada", roster) is None
    assert tables.person("ADA KING_7_file", roster) == roster[1]
    assert tables.person("byronada_3_4", roster) == roster[0]
    assert tables.person("x_2_y", roster) == roster[1]


def test_a_roster_that_is_no_table_is_one_line(tmp_path, capsys):
    (tmp_path / "a.py").write_text("")
    (tmp_path / "roster.csv").write_text("name\na,b,c\n")
    with pytest.raises(SystemExit):
        grade.main([str(tmp_path), "--roster", str(tmp_path / "roster.csv")])
    assert "is no CSV table" in capsys.readouterr().err.splitlines()[-1]
    (tmp_path / "roster.csv").write_text("Име,Оценка\nАда,\n", encoding="utf-8")
    with pytest.raises(SystemExit):
        grade.main([str(tmp_path), "--write", "moodle", "--roster", str(tmp_path / "roster.csv")])
    assert "set that site to English" in capsys.readouterr().err.splitlines()[-1]


def test_the_roster_of_one_system_is_not_taken_for_the_other_s(tmp_path):
    (tmp_path / "sheet.csv").write_text(MOODLE, encoding="utf-8")
    roster = tables.read_roster(tmp_path / "sheet.csv")
    grades = {"Ada Lovelace_11_assignsubmission_file": graded()}
    (file,) = tables.save("canvas", grades, tmp_path, roster=roster, file_name=str)
    assert rows(file.read_text("utf-8"))[1]["Student"] == "Ada Lovelace_11_assignsubmission_file"


# -- assignments -----------------------------------------------------------------------------------


def test_the_workflow_of_github_classroom(tmp_path, capsys):
    assert grade.main([str(tmp_path), "--make", "github"]) == 0
    (file,) = capsys.readouterr().out.split()
    assert file == str(tmp_path / ".github" / "workflows" / "classroom.yml")
    told = yaml.safe_load(Path(file).read_text("utf-8"))
    assert told["env"] == {"LAB_LANGUAGE": "en"}
    steps = told["jobs"]["run-autograding-tests"]["steps"]
    tests = [step for step in steps if "autograding-command-grader@" in step.get("uses", "")]
    assert sum(step["with"]["max-score"] for step in tests) == 85
    for step in tests:
        words = step["with"]["command"].split()
        assert words[:3] == ["python", "-m", "lab.check"]
        assert step["id"] == words[3]
        assert words[3] in {function for _, function in ALL}
    reporter = steps[-1]
    assert reporter["uses"].startswith("classroom-resources/autograding-grading-reporter@")
    assert reporter["with"]["runners"].split(",") == [step["id"] for step in tests]
    assert set(reporter["env"]) == {f"{step['id'].upper()}_RESULTS" for step in tests}


def test_the_assignment_of_nbgrader(tmp_path):
    import nbformat

    notebook, starter = assignment.make("nbgrader", tmp_path)
    assert starter.read_bytes() == (ROOT / "lab" / "exercises.py").read_bytes()
    assert notebook.relative_to(tmp_path) == Path("source/lab/lab.ipynb")
    made = nbformat.read(notebook, as_version=4)
    nbformat.validate(made)
    about = {cell.metadata.nbgrader.grade_id: cell for cell in made.cells}
    assert len(about) == len(made.cells)
    graded_ = [cell for cell in made.cells if cell.metadata.nbgrader.grade]
    assert sum(cell.metadata.nbgrader.points for cell in graded_) == 100
    for name, function in ALL:
        if EXERCISES[name].points:
            assert about[function].source == f'demand("{function}")'
            assert about[function].metadata.nbgrader.locked
    assert about["report"].metadata.nbgrader.solution


def test_a_cell_of_the_assignment_passes_or_says_why(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("exercises.py").write_text(
        SOLUTION.read_text("utf-8").replace("/ total", "/ 1"), encoding="utf-8"
    )
    assignment.demand("count_words")
    with pytest.raises(AssertionError, match="coverage\ncoverage with size"):
        assignment.demand("coverage")
    Path("exercises.py").write_text("def coverage(counts, size):\n    raise NotImplementedError\n")
    with pytest.raises(AssertionError, match="coverage is to be written"):
        assignment.demand("coverage")


def test_a_result_says_what_is_wrong():
    assert tables.said(Result("0", PASSED, function="coverage")) == ""
    assert tables.said(Result("0", NOT_STARTED, "coverage")) == "coverage is to be written"


def test_a_student_s_copy_has_no_solution():
    files = subprocess.run(
        ["git", "ls-files", "lab"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    for name in files:
        assert "solution" not in name
    assert "lab_solution" not in (ROOT / "lab" / "exercises.py").read_text("utf-8")
    done = subprocess.run(
        [sys.executable, "-c", "import lab.exercises, sys; print('tensorflow' in sys.modules)"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "False\n"
