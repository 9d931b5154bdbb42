"""What a person types: any order, misspelt words, the help, and completion."""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textmill.pipeline.augment.edits import AUGMENTERS
from textmill.pipeline.command.cli import main
from textmill.pipeline.command.commands import COMMANDS
from textmill.pipeline.command.options import WAYS, parser
from textmill.pipeline.command.parsing import Parser

TOP = parser(COMMANDS)


def commands() -> dict[str, Parser]:
    (found,) = (a for a in TOP._actions if isinstance(a, argparse._SubParsersAction))
    return {name: found.choices[name] for name in COMMANDS}


def parsed(*words: str) -> dict:
    return vars(TOP.parse_args(words))


def refused(capsys, *words: str) -> str:
    """The one line with which the command refuses what was typed."""
    assert main(words) == 2
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert not captured.out
    return line


def _values(action: argparse.Action) -> list[str]:
    if action.nargs == 0:
        return []
    if action.choices is not None:
        values = list(map(str, action.choices))[-2:]
    else:
        values = {int: ["3", "-4"], float: ["0.5", "-1.5"]}.get(action.type, ["one", "two words"])
    return values if action.nargs in ("+", "*") else values[:1]


def _units(command: Parser) -> tuple[list[str], list[list[str]]]:
    """Arguments of a command, and every option with its values."""
    arguments, options = [], []
    for action in command._actions:
        if action.dest == "help" or action.help == argparse.SUPPRESS:
            continue
        if action.option_strings:
            options.append([action.option_strings[0], *_values(action)])
        else:
            arguments += [f"{action.dest}{i}" for i in range(2 if action.nargs else 1)]
    return arguments, options


@pytest.mark.parametrize("name", COMMANDS)
def test_any_order_means_the_same(name):
    command = commands()[name]
    arguments, options = _units(command)
    usual = vars(command.parse_args([*arguments, *itertools.chain(*options)]))

    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(st.permutations([None] * len(arguments) + options))
    def in_order(units):
        left = iter(arguments)
        words = [word for unit in units for word in ([next(left)] if unit is None else unit)]
        assert vars(command.parse_args(words)) == usual, words

    in_order()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["sample", "alice", "-t", "0.7", "Alice was"],
            {"model": "alice", "temperatures": [0.7], "prompt": ["Alice was"]},
        ),
        (["sample", "-t0.7", "alice"], {"model": "alice", "temperatures": [0.7], "prompt": []}),
        (["sample", "alice", "a", "--echo", "b"], {"prompt": ["a", "b"], "echo": True}),
        (["sample", "alice", "-n", "2", "--", "-x", "--y"], {"prompt": ["-x", "--y"]}),
        (["sample", "alice", "- No, said Alice"], {"prompt": ["- No, said Alice"]}),
        (["sample", "alice", "--stop=-", "--ban", "-1"], {"stop": ["-"], "ban": ["-1"]}),
        (
            ["generate", "--prompts", "h.txt", "alice", "--out", "o"],
            {"model": "alice", "prompts": ["h.txt"], "out": "o"},
        ),
        (
            ["generate", "alice", "--prompts", "a.txt", "b.txt", "--out", "o"],
            {"model": "alice", "prompts": ["a.txt", "b.txt"]},
        ),
        (
            ["generate", "--prompts", "a", "--out", "o", "--prompts", "b", "c", "alice"],
            {"model": "alice", "prompts": ["a", "b", "c"]},
        ),
        (["generate", "alice", "--prompts", "-", "--out", "o"], {"prompts": ["-"]}),
        (
            ["generate", "--prompts", "a", "m", "-t", "0", "1", "--out", "o"],
            {"model": "m", "prompts": ["a"], "temperatures": [0, 1]},
        ),
        (
            ["plan", "--workers", "1", "2", "m", "--prompts", "a", "b"],
            {"model": "m", "workers": [1, 2], "prompts": ["a", "b"]},
        ),
        (["bench", "--slots", "64", "128", "alice"], {"model": "alice", "slots": [64, 128]}),
        (["report", "--corpus", "a.txt", "out"], {"directory": "out", "corpus": ["a.txt"]}),
        (
            ["augment", "--with", "swap", "delete", "d.csv", "--unlabelled", "u", "v", "--text",
             "t", "--label", "l", "--out", "o.csv"],
            {"data": "d.csv", "methods": ["swap", "delete"], "unlabelled": ["u", "v"]},
        ),
        (["evaluate", "alice", "a", "--json", "b"], {"model": "alice", "text": ["a", "b"]}),
        (["train", "--out", "m", "a", "--minutes", "1", "b"], {"corpus": ["a", "b"], "out": "m"}),
        (["train", "a", "--out", "m", "--label", "x"], {"labels": "x"}),
        (["train", "a", "--out", "m", "--labels", "x"], {"labels": "x"}),
    ],
)  # fmt: skip
def test_what_was_meant(words, expected):
    found = parsed(*words)
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian", "a"], "there is no command 'trian'; did you mean train? (see textmill train"),
        (["xyz"], "there is no command 'xyz'; there are train, "),
        (["help", "genrate"], "did you mean generate?"),
        (["--json", "sample"], "a command's options follow its name"),
        (["--verson"], "did you mean --version?"),
        (["train", "a", "--epoch", "3"], "there is no option --epoch; did you mean --epochs? (see "
         "textmill train --help)"),
        (["generate", "a", "--max_words=3"], "did you mean --max-words?"),
        (["generate", "a", "-T", "3"], "did you mean -t?"),
        (["evaluate", "a", "--minutes", "3"], "but train, augment and demo have it"),
        (["train", "a", "--level", "words"], "--level must be one of word, char, whitespace. "
         "Received: words; did you mean word?"),
        (["train", "a", "--epochs", "ten"], "--epochs must be a whole number. Received: ten"),
        (["sample", "a", "-t", "hot"], "--temperature must be a number. Received: hot"),
        (["train", "a"], "--out is missing"),
        (["generate"], "MODEL, --prompts and --out are missing"),
        (["generate", "--prompts", "h.txt", "--out", "o"], "MODEL is missing"),
        (["bench", "--slots", "64", "128"], "MODEL is missing"),
        (["generate", "m", "--prompts", "--out", "o"], "--prompts needs a value"),
        (["generate", "m", "--out"], "--out needs a value"),
        (["verify", "a", "b"], "'b' is one word too many"),
        (["demo", "a"], "'a' is one word too many: this takes no arguments"),
        (["verify", "a", "--json=1"], "--json"),
        (["sample", "m", "-x"], "a prompt that begins with - stands after --"),
        (["augment", "--with", "swap", "dlete", "d.csv"], "Received: dlete; did you mean delete?"),
    ],
)  # fmt: skip
def test_a_slip_is_one_line_that_helps(capsys, words, said):
    line = refused(capsys, *words)
    assert said in line
    assert line.startswith("textmill")
    assert "help)" in line


@pytest.mark.parametrize("words", [[], ["help"], ["--help"]])
def test_the_help_of_all(capsys, words):
    assert main(words) == 0
    out = capsys.readouterr().out
    assert all(f"    {name} " in out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command(capsys, name):
    assert main(["help", name]) == 0
    out = capsys.readouterr().out
    assert main([name, "--help"]) == 0
    assert capsys.readouterr().out == out
    assert f"Example: textmill {name}" in out
    command = commands()[name]
    example = out.split("Example: ")[1].splitlines()[0]
    assert example.startswith(f"textmill {name}")
    for action in command.options().values():
        said = action.help % {"default": action.default}
        # A verb or a noun phrase, in small letters unless it is a name; no preposition.
        assert said.split()[0] not in ("of", "for", "by", "from", "at", "in", "no"), said
        value = action.nargs != 0 and not action.required
        known = ("default", "Beam", "several times", "this label", "chosen", "--", "if it is")
        chosen = (action.default is None and action.type is float) or name == "train"
        assert not value or chosen or any(word in said for word in known), (action.dest, said)


def test_the_ways_of_augment_are_those_that_the_help_names():
    assert list(WAYS) == ["generated", "pseudo", *AUGMENTERS]


def test_versions(capsys):
    assert main(["--version"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines]
    assert names == ["textmill", "tensorflow", "tensorflow-text", "keras", "apache-beam", "Python"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion(capsys, shell):
    assert main(["--print-completion", shell]) == 0
    script = capsys.readouterr().out
    assert "copied-words" in script
    assert "_labels" not in script
    if shell == "bash":
        # Loads in a shell, and completes.
        words = 'COMP_WORDS=(textmill train --ep); COMP_CWORD=2; _shtab_textmill; echo "$COMPREPLY"'
        done = subprocess.run(
            ["bash", "-c", f"{script}\n{words}"], capture_output=True, text=True, check=True
        )
        assert done.stdout.split() == ["--epochs"]


def test_python_m_textmill_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "textmill", "sampel"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == (
        "textmill: error: there is no command 'sampel'; did you mean sample? (see textmill sample "
        "--help)\n"
    )
