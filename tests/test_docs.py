"""What the documents say, runs."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import textmill
from textmill.pipeline.command import cli
from textmill.pipeline.command.command_line import parser
from textmill.pipeline.command.commands import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
COMMANDS_PAGE = (ROOT / "docs" / "commands.md").read_text("utf-8")
NO_OPTIONS = ("exit status", "field of a record", "column")  # tables of other things


def commands() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command, by its name."""
    (action,) = (
        action
        for action in parser(COMMANDS)._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return {name: action.choices[name] for name in COMMANDS}


def written(action: argparse.Action) -> list[str]:
    """How an argument or option stands in a table: a short name alone, the long one with values."""
    value = argparse.HelpFormatter("")._format_args(action, str(action.metavar))
    if not action.option_strings:
        return [str(action.metavar)]
    *short, name = action.option_strings
    return [*short, f"{name} {value}".strip()]


def groups_of(command: argparse.ArgumentParser) -> list[tuple[str, list[str]]]:
    """What the help of a command shows: a title and the options for each group."""
    groups: list[tuple[str, list[str]]] = [("arguments and options", [])]
    for group in command._action_groups:
        shown = [
            name
            for action in group._group_actions
            if action.help != argparse.SUPPRESS and not isinstance(action, argparse._HelpAction)
            for name in written(action)
        ]
        if group.title in ("arguments", "options"):
            groups[0][1].extend(shown)
        elif shown:
            groups.append((str(group.title), shown))
    return groups


def sections() -> dict[str, str]:
    """The sections of docs/commands.md, by their titles."""
    _, *parts = re.split(r"^## ", COMMANDS_PAGE, flags=re.MULTILINE)
    return {part.split("\n", 1)[0]: part for part in parts}


def tables_of(section: str) -> list[tuple[str, list[str]]]:
    """The tables of options: a title and what stands in the first column."""
    table = re.compile(r"^\| ([^|]+) \| [^|]+ \|\n\|---\|---\|\n((?:\|.*\n)+)", re.MULTILINE)
    tables = [
        (
            title,
            [
                name
                for row in rows.splitlines()
                for name in re.findall(r"`(.+?)`", row.split(" | ")[0])
            ],
        )
        for title, rows in table.findall(section)
    ]
    return [table for table in tables if table[0] not in NO_OPTIONS]


def test_each_command_has_its_section():
    assert list(sections()) == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_section_lists_the_options_of_its_command(command):
    """With their values, in the groups and the order of `textmill help COMMAND`, and no others."""
    assert tables_of(sections()[command]) == groups_of(commands()[command])


@pytest.mark.parametrize("command", COMMANDS)
def test_a_section_tells_the_defaults_of_its_command(command):
    rows = [row for row in sections()[command].splitlines() if row.startswith("| ")]
    for name, action in commands()[command].options().items():
        text = argparse.HelpFormatter("")._expand_help(action)
        default = re.search(r"\(default: ([\d.]+)", text)
        if default is not None:
            (row,) = (row for row in rows if re.search(rf"`{name}[` ]", row))
            if "as for [" not in row:
                assert f"default {default[1]}" in row.replace("`", ""), (name, row)


def test_every_option_in_the_documents_exists():
    known = {name for command in commands().values() for name in command.options()}
    known |= {"--help", "--runner", *parser(COMMANDS).options()}
    for document in (README, COMMANDS_PAGE):
        text = re.sub(r"```.*?```", "", document, flags=re.DOTALL)
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text):
            assert option in known, option


@pytest.mark.walk
def test_the_worked_example_runs(tmp_path, monkeypatch, capfd):
    """As it is written, one command after the other; only the training is shorter."""
    monkeypatch.chdir(tmp_path)
    example = README[README.index("## A worked example") : README.index("## From Python")]
    lines = "".join(re.findall(r"```sh\n(.*?)```", example, flags=re.DOTALL)).splitlines()
    named = [line.split()[1] for line in lines if line.startswith("textmill ")]
    assert named == ["books", "train", "sample", "generate", "verify", "report"]
    for line in lines:
        words = shlex.split(line)
        if words[0] != "textmill":
            subprocess.run(["bash", "-ec", line], check=True)
            prompts = (tmp_path / "prompts.txt").read_text("utf-8").splitlines()
            assert len(prompts) > 600
            (tmp_path / "prompts.txt").write_text("\n".join(prompts[:20]) + "\n", "utf-8")
            continue
        if "--minutes" in words:
            words[words.index("--minutes") + 1] = "0.1"
        assert cli.main(words[1:]) == 0, line
        assert capfd.readouterr().out, line
    assert len(list((tmp_path / "out").glob("shard-*"))) >= 1

    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(code.split("\n\n", 1)[1].splitlines()) <= 10
    subprocess.run([sys.executable, "-c", code], check=True)
    assert capfd.readouterr().out.startswith("The class")
    assert len(list((tmp_path / "rows").glob("shard-*.parquet"))) >= 1


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 150


def test_the_commands_of_other_engines_are_known():
    """tests/cluster/ runs the engines themselves."""
    from textmill.pipeline.engines.engine import refuse_unknown

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
        elif words[0] == "dask":
            program = importlib.import_module(f"distributed.cli.dask_{words[1]}").main
            known = {name for parameter in program.params for name in parameter.opts}
            assert {word for word in words if word.startswith("--")} <= known
        else:
            assert (ROOT / words[0]).exists(), words[0]
            assert f"{words[1]})" in (ROOT / words[0]).read_text()
    runners = ("PrismRunner", "PortableRunner", "DaskRunner", "SparkRunner", "FlinkRunner")
    assert engines == {f"--runner={name}" for name in runners}


def test_links_lead_somewhere():
    for document in [
        ROOT / "README.md",
        ROOT / "examples/README.md",
        *(ROOT / "docs").glob("*.md"),
    ]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text("utf-8")):
            assert (document.parent / target).exists(), (document.name, target)


def test_the_api_page_lists_every_public_name():
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    assert sorted(re.findall(r"^::: textmill\.(\w+)$", page, re.MULTILINE)) == textmill.__all__


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


@pytest.mark.walk
def test_the_page_about_keras_runs(model_dir, tmp_path, monkeypatch, capsys):
    """Its blocks in order, in one namespace; scores in this process, as another takes seconds."""
    import textmill
    from textmill.model.generation.writer import Writer
    from textmill.pipeline.api import trained_model

    monkeypatch.setattr(trained_model.Model, "_work", lambda self: Writer(self.saved))
    (tmp_path / "alice").symlink_to(model_dir)
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "keras.md").read_text("utf-8")
    # The model of the tests knows other words.
    page = page.replace('.ids["Alice"]', '.ids["cat"]')
    space: dict = {"textmill": textmill}
    for block in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL):
        exec(compile(block, "docs/keras.md", "exec"), space)
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "True"
    assert len(told) == 3
    commands = [words[1:] for words in map(shlex.split, re.findall(r"`(textmill [^`]*)`", page))]
    for words in commands:
        if words[0] in ("export", "import") and len(words) > 1:
            parser(COMMANDS).parse_args(words)
