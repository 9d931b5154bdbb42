"""The house: which room may know which, and that no code is loaded by a second name."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Each room may import those before it, and itself.
MODEL = [
    (
        "errors",
        "small_files",
        "file_lock",
        "own_folder",
        "settings",
        "lean_imports",
        "machine",
        "memory",
        "tensorflow_setup",
        "prompt",
        "reporter",
        "visible",
    ),
    ("text",),
    ("network",),
    ("pages",),
    ("training",),
    ("generation",),
    ("export",),
]
PIPELINE = ["files", "output", "prompts", "engines", "job", "augment", "report", "api", "command"]


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def imports(path: Path) -> set[str]:
    """Dotted names of all imports of a file, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found |= {f"{node.module}.{name.name}" for name in node.names}
    return found


def room(dotted: str) -> tuple[str, str] | None:
    """`textmill.model.text.corpus.decode` is in (`model`, `text`)."""
    parts = dotted.split(".")
    return (parts[1], parts[2]) if parts[0] == "textmill" and len(parts) > 2 else None


def place(top: str, name: str) -> int:
    if top == "pipeline":
        return 100 + PIPELINE.index(name)
    return next(i for i, names in enumerate(MODEL) if name in names)


@pytest.mark.parametrize(
    "path", sources("model", "pipeline"), ids=lambda p: str(p.relative_to(ROOT))
)
def test_arrows_run_downward(path):
    top, name = path.relative_to(ROOT).with_suffix("").parts[:2]
    if name == "__init__":
        return
    for dotted in imports(path):
        known = room(dotted)
        if known is None:
            assert dotted.split(".")[0] not in ("lab", "tests", "benchmarks"), dotted
            continue
        assert place(*known) <= place(top, name), f"{path.name} imports {dotted}"
        # Training and generation stand beside one another.
        assert (name, known[1]) != ("generation", "training"), f"{path.name} imports {dotted}"


def test_only_the_pipeline_knows_beam():
    for path in sources("model", "lab", "textmill"):
        if not path.is_relative_to(ROOT / "textmill" / "pipeline"):
            assert not any(name.startswith("apache_beam") for name in imports(path)), path


def test_pytorch_loads_only_for_the_notebook_in_it():
    """Elsewhere it is imported within a function, for a student's file that imports it."""
    loads = re.compile(r"^(?:import|from) (?:torch|lab\.notebook\.torch_layers)\b", re.MULTILINE)
    found = {
        path.name
        for path in sources("textmill", "model", "pipeline", "lab")
        if loads.search(path.read_text("utf-8"))
    }
    assert found == {"torch_layers.py", "word_level_lab_torch.py"}


def test_no_code_goes_by_a_second_name():
    """`from model.x import` works in this folder, but would load all code a second time."""
    folders = ("model", "pipeline", "lab", "tests", "benchmarks", "scripts", "docker", "examples")
    for path in sources(*folders):
        for name in imports(path):
            assert name.split(".")[0] not in ("model", "pipeline"), f"{path}: {name}"
        # Names in strings: patches, `-m`, what a subprocess is given.
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                stray = re.search(r"(?:import |-m |^)(?:model|pipeline)\.[a-z_]+\.", node.value)
                assert not stray, f"{path}:{node.lineno}: {stray}"


def test_no_module_hides_a_standard_one():
    """A `statistics.py` beside a script would be imported instead of Python's own."""
    names = [path.stem for path in sources("model", "pipeline")]
    assert not {name for name in names if name in sys.stdlib_module_names}


def test_the_checks_can_fail(tmp_path):
    bad = tmp_path / "x.py"
    bad.write_text("def f():\n    from textmill.pipeline.command import cli\n")
    assert room(*imports(bad)) == ("pipeline", "command")
    assert place("pipeline", "command") > place("pipeline", "job") > place("model", "generation")


def test_no_duration_and_no_deadline_hangs_on_a_clock_that_may_jump():
    """The time of day is read in one place, which only orders what workers have told."""
    clock = re.compile(r"\btime\.time(_ns)?\(|\bdatetime\b.*\b(now|utcnow|today)\(")
    found = {
        path.relative_to(ROOT).as_posix()
        for path in sources("model", "pipeline", "lab")
        if clock.search(path.read_text("utf-8"))
    }
    assert found == {"pipeline/job/notes.py"}
