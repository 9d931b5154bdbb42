"""What the documents say, runs."""

from __future__ import annotations

import argparse
import importlib.util
import re
import shlex
import shutil
from pathlib import Path

import pytest

from textmill.pipeline.command import cli
from textmill.pipeline.command.commands import COMMANDS
from textmill.pipeline.command.options import parser

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def options_of(command: str) -> set[str]:
    (commands,) = (
        action
        for action in parser(COMMANDS)._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return {
        option
        for action in commands.choices[command]._actions
        for option in action.option_strings
        if option not in ("-h", "--help")
    }


def test_every_option_is_in_the_readme():
    for command in COMMANDS:
        for option in options_of(command):
            assert re.search(rf"{option}\b", README), (command, option)


def test_every_option_in_the_readme_exists():
    known = {o for c in COMMANDS for o in options_of(c)}
    text = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text):
        assert option in known | {"--help", "--runner"}, option


@pytest.mark.walk
def test_the_worked_example_runs(shared, tmp_path, monkeypatch, capsys):
    shutil.copy(shared / "books" / "alice.txt", tmp_path)
    lines = (shared / "prompts" / "headlines.txt").read_text("utf-8").splitlines()[:50]
    (tmp_path / "headlines.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    commands = re.findall(r"^textmill .*$", "\n".join(blocks), flags=re.MULTILINE)
    assert len(commands) >= 4
    for command in commands:
        words = shlex.split(command)[1:]
        if words[0] == "augment":  # tests/pipeline/test_augment.py runs it, on rows of its own
            parser(COMMANDS).parse_args(words)
            continue
        if "--minutes" in words:
            words[words.index("--minutes") + 1] = "0.1"
        assert cli.main(words) == 0, command
        assert capsys.readouterr().out
    assert len(list((tmp_path / "out").glob("shard-*"))) >= 1


def test_the_commands_of_other_engines_are_known():
    """tests/pipeline/test_cluster.py runs the engines themselves."""
    from textmill.pipeline.job.engine import refuse_unknown

    text = (ROOT / "docs" / "cluster.md").read_text("utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    engines = set()
    for line in "".join(blocks).splitlines():
        words = shlex.split(line)
        if words[0] == "textmill":
            cut = words.index("--")
            parser(COMMANDS).parse_args(words[1:cut])
            refuse_unknown(words[cut + 1 :])
            engines.add(words[cut + 1])
        elif words[0] == "make":
            assert f"\n{words[1]}:" in (ROOT / "Makefile").read_text()
        elif words[:2] == ["python", "-m"]:
            assert importlib.util.find_spec(words[2]), words[2]
        else:
            assert (ROOT / words[0]).exists(), words[0]
            assert f"{words[1]})" in (ROOT / words[0]).read_text()
    assert engines == {"--runner=PrismRunner", "--runner=PortableRunner", "--runner=FlinkRunner"}


def test_links_lead_somewhere():
    for document in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text("utf-8")):
            assert (document.parent / target).exists(), (document.name, target)


def test_files_that_the_architecture_names_exist():
    """Names are written like `training/fit.py`, `output/columns`, `tests/lab/test_x.py`."""
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    named = set(re.findall(r"`((?:[a-z_]+/)+[a-z_]+(?:\.py)?)`", text))
    assert len(named) > 50
    tops = (ROOT, ROOT / "model", ROOT / "pipeline")
    for name in sorted(named):
        path = name if name.endswith(".py") else f"{name}.py"
        found = any((top / path).is_file() or (top / name).is_dir() for top in tops)
        assert found, f"architecture.md names {name}"


@pytest.mark.parametrize("command", ["demo", "test"])
def test_the_two_commands_exist(command):
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(rf"^{command}:", makefile, flags=re.MULTILINE)
    assert f"make {command}" in README


def test_ci_runs_the_readme_s_command():
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def test_no_placeholder_is_left():
    assert "@@" not in README
