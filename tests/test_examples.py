"""Each file of examples/ runs as it is, and shows what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lab import notebook

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
TOUR = EXAMPLES / "tour.py"


def output(name: str, folder: Path) -> str:
    """What a script prints, as somebody sees it who runs it in a folder of their own."""
    result = subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
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
