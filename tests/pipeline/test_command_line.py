"""What a person types: any order, misspelt words, the help, and completion."""

from __future__ import annotations

import argparse
import io
import itertools
import json
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from textmill.model.text.corpus import built_in_corpus, read_corpus
from textmill.pipeline.api.status_line import status_line
from textmill.pipeline.augment.edits import AUGMENTERS
from textmill.pipeline.command.cli import main
from textmill.pipeline.command.command_line import parser
from textmill.pipeline.command.commands import COMMANDS
from textmill.pipeline.command.options import WAYS
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
        # Such an option takes all words up to the next option, so what takes several comes first.
        many = {action.option_strings[0] for action in command._actions if action.nargs == "+"
                and action.option_strings}  # fmt: skip
        if any(a.nargs in ("+", "*") and not a.option_strings for a in command._actions):
            for before, unit in itertools.pairwise(units):
                assume(unit is not None or before is None or before[0] not in many)
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
        (["report", "d", "--copied-words=--"], "--copied-words needs a value; received --"),
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
    assert list(WAYS) == ["generated", "pseudo", "rewritten", *AUGMENTERS]


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


# -- what stands on the terminal while one waits ---------------------------------------------------


def test_a_status_line_is_gone_when_the_text_comes(monkeypatch):
    seen = io.StringIO()
    seen.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", seen)
    with status_line("loading alice"):
        assert seen.getvalue() == "loading alice ..."
    assert seen.getvalue().endswith("\r\x1b[K")


def test_no_status_line_where_there_is_no_terminal(capsys):
    with status_line("loading"):
        pass
    assert capsys.readouterr().err == ""


def test_commands_say_nothing_of_tensorflow_s(model_dir, tmp_path):
    """Its log comes from the import, so a process of its own has to be looked at."""
    code = (
        "import signal, sys, wsgiref.simple_server as s\n"
        "def stop(*_): raise KeyboardInterrupt\n"
        "s.WSGIServer.serve_forever = stop\n"
        "from textmill.pipeline.command.cli import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "play", str(model_dir), "--port", "0"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("http://127.0.0.1:")
    assert done.stderr == ""


# -- the standard input ----------------------------------------------------------------------------


def standard_input(monkeypatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_prompts_from_the_standard_input(monkeypatch, model_dir, tmp_path, capsys):
    out = tmp_path / "o"
    ask = ["generate", str(model_dir), "--prompts", "-", "--out", str(out), "--max-words", "3",
           "--quiet", "--json"]  # fmt: skip
    flags = ["--", "--runner=FnApiRunner"]
    standard_input(monkeypatch, b"the old\nthe red\n")
    assert main([*ask, *flags]) == 0
    rows = [json.loads(line) for line in next(out.glob("shard-*")).read_text().splitlines()]
    assert [row["id"] for row in rows] == ["stdin:1#1", "stdin:2#1"]
    capsys.readouterr()
    standard_input(monkeypatch, b"the old\nthe red\n")
    assert main([*ask, "--resume", *flags]) == 0
    standard_input(monkeypatch, b"the old\nthe wet\n")
    assert main([*ask, "--resume", *flags]) == 1
    assert "stdin has other content" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("data", "more", "said"),
    [
        (b"", [], "the standard input is empty"),
        (b'{"prompt": "a"}\n', [], "save it as a .jsonl file"),
        (b"a\n", ["b.txt"], "stands alone"),
        (b"a\n", ["--dataflow", "cpu"], "workers elsewhere cannot see it"),
    ],
)
def test_a_standard_input_that_is_of_no_use(monkeypatch, capsys, data, more, said):
    standard_input(monkeypatch, data)
    assert main(["generate", "m", "--out", "o", "--prompts", "-", *more]) in (1, 2)
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


# -- the last resort -------------------------------------------------------------------------------


@pytest.mark.last_resort
def test_what_nobody_thought_of_is_one_line_too(monkeypatch, capsys, tmp_path):
    def fault(*_, **__):
        raise KeyError("strange\nthing")

    monkeypatch.setattr("textmill.pipeline.job.verify.verify", fault)
    assert main(["verify", "some where"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("textmill: error: a fault in textmill: KeyError: 'strange\\nthing'; ")
    log = Path(line.rpartition(" ")[2]).read_text()
    assert log.startswith("textmill verify 'some where'\n")
    assert "Traceback" in log
    assert "in fault" in log
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    assert main(["verify", "some where"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "KeyError" in line
    assert "in fault" in line


# -- books -----------------------------------------------------------------------------------------

BOOK = b"""The Project Gutenberg eBook of Something
*** START OF THE PROJECT GUTENBERG EBOOK SOMETHING ***

All in the golden
afternoon full leisurely we glide.

Ende.
*** END OF THE PROJECT GUTENBERG EBOOK SOMETHING ***
licence
"""


@pytest.fixture
def network(monkeypatch, tmp_path):
    """Puts an answer in the place of the network's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def answer(found):
        def urlopen(address, timeout):
            if isinstance(found, Exception):
                raise found
            return io.BytesIO(found)

        monkeypatch.setattr("urllib.request.urlopen", urlopen)

    return answer


def test_a_book_of_gutenberg(network, capsys):
    network(BOOK)
    assert main(["books", "--gutenberg", "11"]) == 0
    out = capsys.readouterr().out
    assert "All in the golden afternoon" in out
    assert "textmill train gutenberg-11.txt" in out
    assert Path("gutenberg-11.txt").read_bytes() == BOOK
    network(OSError("no route"))
    assert main(["books", "--gutenberg", "11", "--out", "b.txt", "--json"]) == 0  # from the cache
    assert json.loads(capsys.readouterr().out) == {"file": "b.txt", "paragraphs": 2, "words": 10}


def test_the_built_in_book(network, capsys):
    network(OSError("no route"))
    assert main(["books", "--built-in", "--out", "python.txt"]) == 0
    assert read_corpus(["python.txt"], mode="stream").texts == built_in_corpus().texts


@pytest.mark.parametrize(
    ("words", "answer", "said"),
    [
        (["--gutenberg", "7"], OSError("no route"), "no route). Without a network: save that page"),
        (["--gutenberg", "7"], b"<html>", "is no book of Project Gutenberg's"),
        (["--gutenberg", "7"], HTTPError("u", 404, "Gone", None, None), "no plain text of book 7"),
        (["--gutenberg", "7"], HTTPError("u", 503, "Busy", None, None), "Busy"),
        (["--gutenberg", "0"], BOOK, "--gutenberg must be a whole number from 1 to"),
        (["--gutenberg", "7", "--built-in"], BOOK, "give one of --gutenberg N and --built-in"),
        ([], BOOK, "give one of --gutenberg N and --built-in"),
        (["--gutenberg", "7", "--out", "there.txt"], BOOK, "there.txt already exists"),
        (["--built-in", "--out", "no/where.txt"], BOOK, "no/where.txt"),
    ],
)  # fmt: skip
def test_a_book_that_cannot_be_had(network, capsys, words, answer, said):
    network(answer)
    Path("there.txt").write_text("mine")
    assert main(["books", *words]) in (1, 2)
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert Path("there.txt").read_text() == "mine"
