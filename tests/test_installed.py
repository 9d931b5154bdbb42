"""In a folder with files of the user's that are called as ours are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest


@pytest.fixture
def folder(tmp_path, model_dir):
    """What is imported of these by mistake says so."""
    for name in ("model", "pipeline", "lab"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('the {name}.py of the user')\n")
    shutil.copytree(model_dir, tmp_path / "book")
    (tmp_path / "prompts.txt").write_text("The old cat\nThe red dog\n")
    return tmp_path


def run(folder, *command, **variables):
    environment = {**os.environ, **variables}
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, check=False,
        capture_output=True, text=True,
    )  # fmt: skip


SCRIPT = """
import apache_beam as beam
from textmill.pipeline.job.transform import GenerateText
from textmill.model.settings import GenerationSettings

if __name__ == "__main__":
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        texts = (
            pipeline
            | beam.Create([{"id": "a", "prompt": "The old"}, {"id": "b", "prompt": "The red"}])
            | GenerateText("book", GenerationSettings(max_words=5))
        )
        texts.generations | beam.Map(lambda row: print("TEXT", row["id"]))
"""


def test_a_script(folder):
    (folder / "own.py").write_text(SCRIPT)
    done = run(folder, "own.py")
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split()) == ["TEXT", "TEXT", "a#1", "b#1"]


def test_workers(folder):
    done = run(
        folder, "-m", "textmill", "generate", "book", "--prompts", "prompts.txt", "--out", "out",
        "--workers", "2", "--max-words", "5", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["records"] == 2


def test_the_installed_command(folder):
    command = shutil.which("textmill", path=os.path.dirname(sys.executable))
    if command is None:
        pytest.skip("the command is not installed beside this interpreter")
    for arguments in (["--help"], ["generate", "--help"]):
        done = run(folder, command, *arguments, PYTHONPATH=str(folder))
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("usage: textmill")


def test_as_a_module(folder):
    done = run(folder, "-m", "textmill", "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: textmill")
