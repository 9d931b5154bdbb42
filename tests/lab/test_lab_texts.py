"""The lab's READMEs and pictures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lab.checks import EXERCISES
from lab.notebook.pictures import FOLDER, LOGITS, make, softmax

LAB = Path(__file__).resolve().parents[2] / "lab"
TEXTS = {name: (LAB / name).read_text("utf-8") for name in ("README.md", "README.bg.md")}


@pytest.mark.parametrize("name", TEXTS)
def test_links_and_pictures_exist(name):
    for target in re.findall(r"\]\(([^)#:]+)\)", TEXTS[name]):
        assert (LAB / target).exists(), target


def test_both_languages_have_the_same_shape():
    shapes = [
        (
            re.findall(r"^#+ ", text, flags=re.MULTILINE),
            re.findall(r"^```\w*$", text, flags=re.MULTILINE),
            sorted(re.findall(r"\$\$.*?\$\$", text, flags=re.DOTALL)),
            re.findall(r"python -m (\S+)", text),
            re.findall(r"\| (\d+) \|$", text, flags=re.MULTILINE),
        )
        for text in TEXTS.values()
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("name", TEXTS)
def test_the_points_are_those_of_the_checks(name):
    rows = re.findall(r"^\| (\d) [^|]+\| (\d+) \|$", TEXTS[name], flags=re.MULTILINE)
    points = {exercise: int(number) for exercise, number in rows}
    assert sum(points.values()) == 100
    for number, exercise in EXERCISES.items():
        assert points.get(number, 0) == exercise.points
        if name == "README.md" and exercise.points:
            assert f"{number} {exercise.title}" in TEXTS[name]


@pytest.mark.parametrize("name", TEXTS)
def test_commands_exist(name):
    makefile = (LAB.parent / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", TEXTS[name], flags=re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)
    for module in re.findall(r"python -m lab\.(\w+)", TEXTS[name]):
        assert (LAB / f"{module}.py").exists() or (LAB / module / "__main__.py").exists()


def test_pictures_are_those_that_the_script_makes(tmp_path):
    for path in make(tmp_path):
        assert (FOLDER / path.name).read_bytes() == path.read_bytes(), path.name
        assert path.stat().st_size < 120_000
        used = any(f"pictures/{path.name}" in text for text in TEXTS.values())
        assert used, path.name


def test_the_picture_s_softmax():
    assert softmax(LOGITS, 0.01)[0] == pytest.approx(1)
    assert softmax(LOGITS, 1e6) == pytest.approx([0.2] * 5, abs=1e-5)
