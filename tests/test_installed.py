"""textmill works in a folder where files of the user have the names of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from textmill.model.settings import GenerationSettings
from textmill.pipeline.engines.launch import Launch
from textmill.pipeline.job.generate import generate

ROOT = Path(__file__).resolve().parents[1]
COMMAND = Path(sys.executable).parent / "textmill"


@pytest.fixture
def folder(tmp_path, model_dir):
    """A folder with a model, prompts, and files that report if they are imported by mistake."""
    for name in ("model", "pipeline", "lab"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('the {name}.py of the user')\n")
    shutil.copytree(model_dir, tmp_path / "alice")
    (tmp_path / "prompts.txt").write_text("The old cat\nThe red dog\n")
    return tmp_path


def run(folder, *command, **variables):
    environment = {**os.environ, **variables}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_the_example_of_the_document_runs(folder):
    """docs/beam.md, as a script of its own beside these files."""
    text = (ROOT / "docs" / "beam.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    code = code.replace("beam.Pipeline()", "beam.Pipeline(runner='FnApiRunner')")
    (folder / "own.py").write_text(code)
    done = run(folder, sys.executable, "own.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("'source': 'mine'") == 2
    assert "rejected: {'id': 'c', 'reason': 'empty'" in done.stdout
    assert len(done.stdout.splitlines()) == 5


@pytest.mark.skipif(not COMMAND.exists(), reason="textmill is not installed beside this Python")
def test_the_installed_command(folder):
    """Two workers write the bytes of a run in this process."""
    for arguments in (["--help"], ["generate", "--help"]):
        done = run(folder, COMMAND, *arguments, PYTHONPATH=str(folder))
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("usage: textmill")
    # One that hides a standard module would stop the workers, too, were the folder on their path.
    (folder / "json.py").write_text("raise SystemExit('the json.py of the user')\n")
    asked = ["generate", "alice", "--prompts", "prompts.txt", "--out", "out", "--max-words", "5"]
    done = run(folder, COMMAND, *asked, "--workers", "2")
    assert done.returncode == 0, done.stderr
    generate(
        str(folder / "alice"),
        prompts=[str(folder / "prompts.txt")],
        out=str(folder / "here"),
        settings=GenerationSettings(max_words=5),
        launch=Launch(runner_flags=("--runner=FnApiRunner",)),
    )
    for path in (folder / "here").iterdir():
        if path.name != "stats.json":  # tells of seconds
            assert (folder / "out" / path.name).read_bytes() == path.read_bytes()


def test_as_a_module(folder):
    done = run(folder, sys.executable, "-m", "textmill", "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: textmill")
