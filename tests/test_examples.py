"""Each file of examples/ runs as it is, and shows what it says."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lab.notebook import making as notebook

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
TOUR = EXAMPLES / "tour.py"


def output(name: str, folder: Path, *arguments: str) -> str:
    """What a script prints, as somebody sees it who runs it in a folder of their own."""
    result = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)},
        capture_output=True,
        encoding="utf-8",
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_list_is_whole():
    listed = re.findall(r"^\| \[([\w.]+)\]", (EXAMPLES / "README.md").read_text("utf-8"), re.M)
    files = {path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".ipynb")}
    assert {*listed, TOUR.name} == files


def test_the_notebook_is_the_one_that_its_source_makes():
    assert TOUR.with_suffix(".ipynb").read_text("utf-8") == notebook.as_text(TOUR)


@pytest.mark.walk
def test_a_book(tmp_path):
    printed = output("book.py", tmp_path)
    assert len(re.findall(r"^(?:0\.5|1\.0)  The", printed, re.M)) == 4
    streamed = re.search(r"^streamed: (.+)$", printed, re.M)[1]
    assert f"0.5  {streamed}\n" in printed  # the same text as the first one
    likely, unlikely = map(float, re.findall(r"^perplexity +([\d.]+)  ", printed, re.M))
    assert likely < unlikely
    assert len(re.findall(r"^ *\d+\.\d%  \S+$", printed, re.M)) == 5


@pytest.mark.walk
def test_a_file_of_prompts(tmp_path):
    printed = output("prompts_file.py", tmp_path)
    assert "'rows': 4, 'prompts': 3, 'rejected': 1, 'records': 12" in printed
    assert "nothing is wrong" in printed
    assert len(re.findall(r"^ *(?:class|function|calm)#\d +mine ", printed, re.M)) == 12


@pytest.mark.walk
def test_a_labelled_table(tmp_path):
    printed = output("labelled_table.py", tmp_path)
    assert "36 real rows, 12 added ones" in printed
    for kind in ("place", "person"):
        assert len(re.findall(rf"^generated +{kind} +\S", printed, re.M)) == 6


@pytest.mark.walk
def test_a_beam_pipeline(tmp_path):
    printed = output("own_beam_pipeline.py", tmp_path)
    assert sum(map(int, re.findall(r"^(\d+) texts ended by", printed, re.M))) == 15
    assert "rejected: word : empty" in printed
    assert len(re.findall(r"^The (?:class|function|object|module|statement)", printed, re.M)) == 15


@pytest.mark.walk
def test_the_notebook_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("TOUR_EPOCHS", "2")
    run = notebook.run(notebook.made(TOUR), folder=tmp_path)
    found = [output for cell in run.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in found) == 1
    assert sum("text/html" in output.get("data", {}) for output in found) == 4
    printed = "".join(output.get("text", "") for output in found)
    assert "'rejected': 1, 'records': 6" in printed


@pytest.mark.long
def test_captions(tmp_path):
    printed = output("captions.py", tmp_path, "--minutes", "0.4", "--pictures", "2500")
    assert len(re.findall(r"^picture-\d: a \w+ ", printed, re.M)) == 8
    (right,) = re.findall(
        r"^exact: ([\d.]+)% of 2,500 pictures of pairs never seen$", printed, re.M
    )
    assert float(right) <= 100
    (perplexity,) = re.findall(r"^perplexity of captions it never saw: ([\d.]+)$", printed, re.M)
    assert float(perplexity) < 8  # of 19 words


@pytest.mark.long
def test_dates(tmp_path):
    printed = output("dates.py", tmp_path, "--minutes", "0.2", "--rows", "3000", "--tests", "100")
    assert len(re.findall(r"^[a-z ,-]+ -> \S+", printed, re.M)) == 8
    assert re.search(r"^exact: [\d.]+% of 100 rows that were never trained on$", printed, re.M)


def test_dates_are_said_right():
    spec = importlib.util.spec_from_file_location("dates", EXAMPLES / "dates.py")
    dates = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(dates)
    for number, said in (
        (0, "zero"), (21, "twenty-one"), (100, "one hundred"), (110, "one hundred and ten"),
        (1_001, "one thousand and one"), (20_345, "twenty thousand three hundred and forty-five"),
        (207_001, "two hundred and seven thousand and one"),
    ):  # fmt: skip
        assert dates.in_words(number) == said
    for number, said in ((1, "first"), (12, "twelfth"), (20, "twentieth"), (31, "thirty-first")):
        assert dates.ordinal(number) == said
    for year, said in (
        (1800, "eighteen hundred"), (1905, "nineteen oh five"), (1984, "nineteen eighty-four"),
        (2000, "two thousand"), (2009, "two thousand and nine"), (2010, "twenty ten"),
    ):  # fmt: skip
        assert dates.year_in_words(year) == said
